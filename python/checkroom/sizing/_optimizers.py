"""The state that an optimizer will have after its first step, without a step of the real one.

One stand-in parameter without memory for each kind of parameter (group, shape, stride, type) takes one step of the
optimizer's own class; every real parameter then gets states of the same shapes, as ghosts. The real optimizer, its
hooks and the wrappers that schedulers put around its ``step`` are not touched.
"""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

from checkroom._pickling import Ghosts

__all__ = ["Prediction", "predict_state"]

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
)
# Ways to run the same step faster: they leave the same states, but do not run without memory. Where the step runs on
# the device alone, its counters lie there too.
_FAST = ("foreach", "fused", "capturable")


@dataclass
class Prediction:
    """The state dict that an optimizer will have.

    Args:
        state_dict: As ``optimizer.state_dict()`` will return it, with ghosts for states.
        failure: Why the states are not known; empty: they are.
        grows: Does the state grow to what is predicted, rather than have it from the first step on?
        assumed: Was a state predicted at all, or did the optimizer have one?
    """

    state_dict: dict[str, Any]
    failure: str = ""
    grows: bool = False
    assumed: bool = False
    notes: list[str] = field(default_factory=list)


def predict_state(optimizer: Any, ghosts: Ghosts, steps: int) -> Prediction:
    """The state dict of an optimizer once it has stepped.

    Args:
        optimizer: A ``torch.optim.Optimizer``.
        ghosts: Takes the tensors that do not exist yet.
        steps: Steps that it will have taken; only the length of this number matters.

    Returns:
        The prediction; an optimizer that has a state already keeps it as it is.
    """
    hooks = any(getattr(optimizer, name, None) for name in _HOOKS[2:])
    quiet = _replica(optimizer)
    notes = ["a hook of the optimizer's state_dict was not run"] if hooks else []
    if optimizer.state or not _trainable(optimizer):
        return Prediction(type(optimizer).state_dict(quiet), notes=notes)
    failure, grows = "", False
    if type(optimizer).__name__ == "LBFGS":
        grows = True
        quiet.state = _lbfgs_state(optimizer, ghosts, steps)
    else:
        try:
            quiet.state = _stepped_state(optimizer, quiet, ghosts, steps)
        except Exception as error:  # an optimizer may do anything in its step
            failure = f"{type(optimizer).__name__} cannot step without data: {type(error).__name__}: {error}"
            quiet.state = defaultdict(dict)
    return Prediction(type(optimizer).state_dict(quiet), failure, grows, True, notes)


def _trainable(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _replica(optimizer: Any) -> Any:
    """An optimizer of the same class with the same settings and parameters, whose changes reach nobody."""
    replica = object.__new__(type(optimizer))
    vars(replica).update({name: _detached(value) for name, value in vars(optimizer).items() if name != "step"})
    replica.state = optimizer.state
    replica.param_groups = [dict(group) for group in optimizer.param_groups]
    for name in _HOOKS:
        setattr(replica, name, OrderedDict())
    return replica


def _detached(value: Any) -> Any:
    """Containers are copied, what they hold is not: tensors may be large and are not changed by name."""
    if isinstance(value, (dict, list, set)):
        return copy.copy(value)
    return value


def _stepped_state(optimizer: Any, quiet: Any, ghosts: Ghosts, steps: int) -> Any:
    """The states of all parameters after one step of stand-ins; new entries of the groups go into ``quiet``."""
    stand_ins, kinds = _stand_ins(optimizer)
    stepper = _replica(optimizer)
    stepper.state = defaultdict(dict)
    stepper.param_groups = []
    for group, chosen in zip(optimizer.param_groups, stand_ins):
        plain = {name: False for name in _FAST if name in group}
        indices = [index for index, _ in chosen]
        names = {"param_names": [group["param_names"][i] for i in indices]} if "param_names" in group else {}
        settings = {name: _detached(value) for name, value in group.items()}
        stepper.param_groups.append({**settings, **plain, **names, "params": [p for _, p in chosen]})
    _step(stepper)

    for live, after in zip(quiet.param_groups, stepper.param_groups):
        device = _device(live["params"])
        for name, value in after.items():
            # Some optimizers note things in their groups at the first step.
            if name not in live or (live[name] is None and value is not None and name not in _FAST):
                live[name] = _as_ghost(value, device, ghosts)
            if name == "step" and isinstance(value, int):
                live[name] = steps
    state: Any = defaultdict(dict)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not parameter.requires_grad or id(parameter) not in kinds:
                continue
            after = stepper.state.get(kinds[id(parameter)])
            if after:
                on_device = bool(group.get("fused") or group.get("capturable"))
                state[parameter] = _as_ghost(after, str(parameter.device), ghosts, steps, on_device)
    own = {id(p) for chosen in stand_ins for _, p in chosen}
    for key, value in stepper.state.items():
        if id(key) not in own:  # not of a parameter: MADGRAD counts its steps here
            state[key] = _as_ghost(value, _device(optimizer.param_groups[0]["params"]), ghosts, steps)
    return state


def _device(parameters: list[Any]) -> str:
    return str(parameters[0].device) if parameters else "cpu"


def _stand_ins(optimizer: Any) -> tuple[list[list[tuple[int, Any]]], dict[int, Any]]:
    """For each group the stand-ins with the index of the first parameter of their kind; and parameter -> stand-in."""
    import torch

    groups: list[list[tuple[int, Any]]] = []
    kinds: dict[int, Any] = {}
    for group in optimizer.param_groups:
        found: dict[Any, Any] = {}
        chosen: list[tuple[int, Any]] = []
        for index, parameter in enumerate(group["params"]):
            if not parameter.requires_grad:
                continue
            kind = (tuple(parameter.shape), parameter.stride(), parameter.dtype)
            if kind not in found:
                blank = torch.empty_strided(*kind[:2], dtype=kind[2], device="meta")
                stand_in = torch.nn.Parameter(blank)
                stand_in.grad = torch.empty_strided(*kind[:2], dtype=kind[2], device="meta")
                vars(stand_in).update(vars(parameter))
                found[kind] = stand_in
                chosen.append((index, stand_in))
            kinds[id(parameter)] = found[kind]
        groups.append(chosen)
    return groups, kinds


def _step(optimizer: Any) -> None:
    """One step of the class's own, past the profiling wrapper that also runs global hooks."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    read = torch.ops.aten._local_scalar_dense.default

    class Answering(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """A number that is read from a tensor without memory is one."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is read and args[0].is_meta:
                return {torch.bool: True}.get(args[0].dtype, 1.0 if args[0].is_floating_point() else 1)
            return func(*args, **(kwargs or {}))

    step = type(optimizer).step
    if getattr(step, "hooked", False):
        step = step.__wrapped__
    with warnings.catch_warnings(), Answering():  # type: ignore[no-untyped-call]
        warnings.simplefilter("ignore")
        step(optimizer)


def _as_ghost(value: Any, device: str, ghosts: Ghosts, steps: int = 0, on_device: bool = False) -> Any:
    """A copy of a stand-in's state in which tensors are ghosts on the device of the real parameter.

    Counters lie on the CPU, unless the step runs on the device alone (``on_device``).
    """
    import torch

    if isinstance(value, torch.Tensor):
        if not value.is_meta:
            if not on_device or device == "cpu":
                return value.detach().clone()
            value = value.detach().to("meta")
        elements = value.untyped_storage().nbytes() // max(1, value.element_size())
        ghost = torch.empty(elements, dtype=value.dtype, device="meta")
        return ghosts.add(ghost.as_strided(value.size(), value.stride(), value.storage_offset()), device)
    if isinstance(value, dict):
        return {
            key: steps if key == "step" and type(item) is int and steps else _as_ghost(item, device, ghosts, steps, on_device)
            for key, item in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_as_ghost(item, device, ghosts, steps, on_device) for item in value)
    return value


def _lbfgs_state(optimizer: Any, ghosts: Ghosts, steps: int) -> Any:
    """LBFGS keeps everything under its first parameter, and its history grows to a fixed length."""
    import torch

    group = optimizer.param_groups[0]
    first = group["params"][0]
    device, dtype = str(first.device), first.dtype
    numel = sum(2 * p.numel() if torch.is_complex(p) else p.numel() for p in group["params"])
    length = group["history_size"]

    def ghost(*shape: int) -> Any:
        return ghosts.add(torch.empty(*shape, dtype=dtype, device="meta"), device)

    evaluations = steps * max(1, group["max_iter"])
    state = {
        "func_evals": evaluations,
        "n_iter": evaluations,
        "d": ghost(numel),
        "t": 1.0,
        "old_dirs": [ghost(numel) for _ in range(length)],
        "old_stps": [ghost(numel) for _ in range(length)],
        "ro": [ghost() for _ in range(length)],
        "H_diag": ghost(),
        "prev_flat_grad": ghost(numel),
        "prev_loss": 1.0,
        "al": [ghost() for _ in range(length)],
    }
    return defaultdict(dict, {first: state})
