"""One step of an optimizer on stand-ins of its parameters that have no memory.

The optimizer's own class decides what states there are. The real optimizer, its parameters, its hooks and the wrappers
that schedulers put around its ``step`` are not touched; nothing is allocated.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

from checkroom._ghosts import Ghosts

__all__ = ["device_of", "is_lazy", "is_pytorchs", "replica", "states_after_step", "trainable", "values_within"]

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
)
# Ways to run the same step that need the device itself. They leave the same states, but the counters of ``fused`` and
# ``capturable`` lie on the device of the parameter.
_FAST = ("foreach", "fused", "capturable")


def is_pytorchs(optimizer: Any) -> bool:
    """Is its class one of ``torch.optim``, whose states are known to keep their shapes?"""
    return type(optimizer).__module__.split(".")[:2] == ["torch", "optim"]


def trainable(optimizer: Any) -> list[Any]:
    """The parameters that may get a gradient."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def is_lazy(tensor: Any) -> bool:
    """Does it get its shape only with the first batch?"""
    import torch

    return bool(torch.nn.parameter.is_lazy(tensor))


def device_of(tensor: Any) -> str:
    """The device as a checkpoint names it."""
    return str(tensor.device)


def replica(optimizer: Any) -> Any:
    """An optimizer of the same class with the same settings, whose changes reach nobody and which has no hooks."""
    twin = object.__new__(type(optimizer))
    # `step` may lie on the instance: learning rate schedulers wrap it.
    vars(twin).update({name: _detached(value) for name, value in vars(optimizer).items() if name != "step"})
    twin.param_groups = [dict(group) for group in optimizer.param_groups]
    for name in _HOOKS:
        setattr(twin, name, OrderedDict())
    return twin


def _detached(value: Any) -> Any:
    # Containers are copied, what they hold is not: tensors may be large and are not changed by name.
    return copy.copy(value) if isinstance(value, (dict, list, set)) else value


def states_after_step(optimizer: Any, twin: Any, parameters: Iterable[Any], ghosts: Ghosts) -> dict[Any, Any]:
    """The states that a first step gives to some parameters.

    Args:
        optimizer: The real one; it is read only.
        twin: Its :func:`replica`; takes what a step notes in the groups.
        parameters: Those that get a gradient.
        ghosts: Takes the tensors that do not exist yet.

    Returns:
        Parameter -> state; other keys for what an optimizer keeps beside its parameters.

    Raises:
        ValueError: A step could reach real tensors.
        Exception: What the optimizer's ``step`` raises on tensors without memory.
    """
    wanted = {id(p) for p in parameters}
    _check_that_it_is_harmless(optimizer, wanted)
    kinds = is_pytorchs(optimizer)  # others may treat parameters of one shape differently
    stand_ins: list[list[tuple[int, Any]]] = []
    of: dict[int, Any] = {}
    for group in optimizer.param_groups:
        found: dict[Any, Any] = {}
        chosen: list[tuple[int, Any]] = []
        for index, p in enumerate(group["params"]):
            if id(p) not in wanted:
                continue
            kind = (tuple(p.shape), p.stride(), p.dtype) if kinds else id(p)
            if kind not in found:
                found[kind] = _stand_in(p)
                chosen.append((index, found[kind]))
            of[id(p)] = found[kind]
        stand_ins.append(chosen)
    stepper = replica(optimizer)
    stepper.state = defaultdict(dict)
    stepper.param_groups = [_group(*pair) for pair in zip(optimizer.param_groups, stand_ins)]
    _step(stepper)

    home = _home(optimizer)
    for group, after in zip(twin.param_groups, stepper.param_groups):
        for name, value in after.items():
            fresh = name not in group or type(group[name]) is not type(value)
            if fresh and name not in (*_FAST, "params"):  # some note things in their groups at the first step
                group[name] = _Copy(ghosts, home).of(value)
    states: dict[Any, Any] = {}
    copies: dict[Any, _Copy] = {}
    for group in optimizer.param_groups:
        fused = bool(group.get("fused"))
        on_device = fused or bool(group.get("capturable"))
        for p in group["params"]:
            after = stepper.state.get(of.get(id(p)))
            if after:
                # Parameters of one kind have states of their own; what others share between parameters stays shared.
                key = id(p) if kinds else (device_of(p), on_device, fused)
                copy_of = copies.setdefault(key, _Copy(ghosts, device_of(p), on_device, fused))
                states[p] = copy_of.of(after)
    own = {id(stand_in) for chosen in stand_ins for _, stand_in in chosen}
    for key, value in stepper.state.items():
        if id(key) not in own:  # not of a parameter: MADGRAD counts its steps here
            states[key] = _Copy(ghosts, home).of(value)
    return states


def _home(optimizer: Any) -> str:
    return next((device_of(p) for group in optimizer.param_groups for p in group["params"]), "cpu")


def _stand_in(parameter: Any) -> Any:
    import torch

    def blank() -> Any:
        return torch.empty_strided(parameter.shape, parameter.stride(), dtype=parameter.dtype, device="meta")

    stand_in = torch.nn.Parameter(blank())
    stand_in.grad = blank()
    vars(stand_in).update(vars(parameter))  # some optimizers look for marks on their parameters
    return stand_in


def _group(group: dict[str, Any], chosen: list[tuple[int, Any]]) -> dict[str, Any]:
    plain = {name: False for name in _FAST if name in group}
    names = group.get("param_names")
    named = {} if names is None else {"param_names": [names[index] for index, _ in chosen]}
    settings = {name: _detached(value) for name, value in group.items()}
    return {**settings, **plain, **named, "params": [stand_in for _, stand_in in chosen]}


def _check_that_it_is_harmless(optimizer: Any, wanted: set[int]) -> None:
    """A step must not reach a real parameter: only a class of PyTorch's own is known to go by its groups alone."""
    import torch

    for p in trainable(optimizer):
        if id(p) in wanted and type(p) is not torch.nn.Parameter:
            raise ValueError(f"a parameter of type {type(p).__name__} has no stand-in")
    if is_pytorchs(optimizer):
        return
    kinds = (torch.Tensor, torch.nn.Module, torch.optim.Optimizer)
    for name, value in vars(optimizer).items():
        if name not in ("param_groups", "state", "defaults", *_HOOKS):
            held = next((item for item in values_within(value) if isinstance(item, kinds)), None)
            if held is not None:
                raise ValueError(f"a step could change what its {name} holds")


def values_within(value: Any) -> Iterator[Any]:
    """A value and all that its dicts, lists, tuples and sets hold."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, (dict, list, tuple, set)) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, dict) else item)


def _step(optimizer: Any) -> None:
    """One step of the class's own, past the wrapper that profiles and runs hooks for all optimizers."""
    import torch
    import torch.optim.optimizer as base
    from torch.utils._python_dispatch import TorchDispatchMode

    read = torch.ops.aten._local_scalar_dense.default

    class Answering(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """A number that is read from a tensor without memory is one: some steps branch on a norm."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is read and args[0].is_meta:
                return {torch.bool: True}.get(args[0].dtype, 1.0 if args[0].is_floating_point() else 1)
            return func(*args, **(kwargs or {}))

    step = type(optimizer).step
    if getattr(step, "hooked", False):
        step = step.__wrapped__
    with contextlib.ExitStack() as stack:
        for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks"):
            if hasattr(base, name):
                stack.enter_context(mock.patch.object(base, name, OrderedDict()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.enable_grad())
        stack.enter_context(Answering())  # type: ignore[no-untyped-call]
        step(optimizer)


class _Copy:
    """A state of a stand-in as that of a real parameter: its tensors are ghosts on the real device."""

    def __init__(self, ghosts: Ghosts, device: str, on_device: bool = False, fused: bool = False) -> None:
        self._ghosts, self._device, self._on_device, self._fused = ghosts, device, on_device, fused
        self._known: dict[int, Any] = {}  # what is shared stays shared
        self._kept: list[Any] = []

    def of(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            if id(value) not in self._known:
                self._known[id(value)] = self._tensor(value)
                self._kept.append(value)
            return self._known[id(value)]
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.of(item) for item in value)
        return value

    def _tensor(self, value: Any) -> Any:
        import torch

        if not value.is_meta:  # a counter, on the CPU unless the step runs on the device alone
            counter = value.detach().to(torch.float32 if self._fused else value.dtype)
            if not self._on_device or self._device == "cpu":
                return counter.clone()
            value = counter.to("meta")
        storage = value.untyped_storage()
        if storage._cdata not in self._known:
            blank = torch.empty(storage.nbytes(), dtype=torch.uint8, device="meta")
            self._known[storage._cdata] = self._ghosts.add(blank, self._device)
            self._kept.append(storage)
        base = self._known[storage._cdata].untyped_storage()
        ghost = torch.empty(0, dtype=value.dtype, device="meta")
        ghost.set_(base, value.storage_offset(), value.size(), value.stride())
        return self._ghosts.add(ghost, self._device)
