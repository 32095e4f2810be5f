"""What an optimizer's state dict will hold after its first step, without taking the step.

A copy of the optimizer steps on stand-ins of the parameters that have no memory (meta tensors). PyTorch's own ``step``
decides what states there are; nothing of the real optimizer, its parameters or the random state changes.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from typing import Any

from checkroom._ghosts import Ghosts

__all__ = ["predicted_state_dict"]

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def predicted_state_dict(optimizer: Any, ghosts: Ghosts) -> dict[str, Any]:
    """The state dict of an optimizer as it will be once every trainable parameter has been stepped.

    Args:
        optimizer: A ``torch.optim.Optimizer``.
        ghosts: Takes the states that do not exist yet.

    Returns:
        The state dict; where the optimizer has all its states already, its own.

    Raises:
        Exception: What the optimizer's ``step`` raises on tensors without memory.
    """
    import torch

    trainable = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if not trainable or all(p in optimizer.state for p in trainable):
        return dict(optimizer.state_dict())
    stand_ins: dict[int, Any] = {}
    ghost = object.__new__(type(optimizer))
    # `step` may lie on the instance: learning rate schedulers wrap it.
    ghost.__dict__.update({key: value for key, value in vars(optimizer).items() if key != "step"})
    ghost.__dict__.update({name: OrderedDict() for name in _HOOKS if hasattr(optimizer, name)})
    ghost.state = defaultdict(dict)
    ghost.param_groups = [_stand_in_group(group, stand_ins) for group in optimizer.param_groups]
    device = {id(stand_ins[id(p)]): p.device for p in trainable}
    # An operation without memory draws no random numbers, but a user's own step may.
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), _answered_items():
        type(optimizer).step(ghost)
    for parameter, state in ghost.state.items():
        for value in _tensors(state):
            if value.is_meta:
                # PyTorch names every CPU storage by one and the same string object.
                ghosts.add(value, sys.intern(str(device[id(parameter)])))
    for p in trainable:
        # What the real parameter has already is what the file will hold.
        if p in optimizer.state:
            ghost.state[stand_ins[id(p)]] = optimizer.state[p]
    predicted: dict[str, Any] = type(optimizer).state_dict(ghost)
    return predicted


def _stand_in_group(group: dict[str, Any], stand_ins: dict[int, Any]) -> dict[str, Any]:
    import torch

    parameters = []
    for p in group["params"]:
        stand_in = torch.nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        if p.requires_grad:
            stand_in.grad = torch.empty_like(stand_in)
        stand_ins[id(p)] = stand_in
        parameters.append(stand_in)
    return {**group, "params": parameters}


def _tensors(value: Any) -> list[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for entry in value.values() for tensor in _tensors(entry)]
    if isinstance(value, (list, tuple)):
        return [tensor for entry in value for tensor in _tensors(entry)]
    return []


def _answered_items() -> Any:
    """Inside, ``.item()`` of a tensor without memory answers 1: some steps branch on a norm."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Answers(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
                return 1.0 if args[0].is_floating_point() else 1
            return func(*args, **(kwargs or {}))

    return Answers()  # type: ignore[no-untyped-call]
