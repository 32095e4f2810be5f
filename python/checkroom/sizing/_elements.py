"""A size counted from elements, for strategies whose dump is a collective: nothing is asked of them."""

from __future__ import annotations

from typing import Any

from checkroom.sizing._closed_form import OPTIMIZERS, OptimizerStates
from checkroom.sizing._types import CheckpointSize

__all__ = ["from_elements", "reason_to_count"]


def reason_to_count(trainer: Any) -> str | None:
    """Why no dump may be asked of the trainer's strategy; ``None``: one may."""
    strategy = type(trainer.strategy)
    for method in ("save_checkpoint", "optimizer_state", "lightning_module_state_dict"):
        owner = next(kind for kind in strategy.__mro__ if method in vars(kind))
        if owner.__name__ not in ("Strategy", "ParallelStrategy", "DDPStrategy"):
            return f"{strategy.__name__} shards or gathers states on its own"
    if any(type(p).__name__ == "DTensor" or type(p.data).__name__ == "DTensor" for p in _parameters(trainer)):
        return "the parameters are distributed tensors"
    return None


def _parameters(trainer: Any) -> list[Any]:
    return list(trainer.lightning_module.parameters())


def from_elements(trainer: Any, weights_only: bool, reason: str) -> CheckpointSize:
    """Parameters, buffers, and as many states a trainable parameter as the kind of optimizer keeps."""
    tensors = [*_parameters(trainer), *trainer.lightning_module.buffers()]
    weights = sum(map(_bytes, tensors))
    optimizer = 0
    for one in () if weights_only else trainer.optimizers:
        for group in one.param_groups:
            trained = [p for p in group["params"] if p.requires_grad]
            optimizer += sum(map(_bytes, trained)) * _states(one, group).full
    # One rank holds its part of a flat parameter.
    factor = trainer.world_size if any(type(tensor).__name__ == "FlatParameter" for tensor in tensors) else 1
    weights, optimizer = weights * factor, optimizer * factor
    return CheckpointSize(
        total=weights + optimizer,
        weights=weights,
        optimizer=optimizer,
        other=0,
        exact=False,
        bound="estimate",
        notes=(f"{reason}: counted from elements, without asking for its states",),
    )


def _bytes(tensor: Any) -> int:
    # DeepSpeed leaves an empty tensor where it has partitioned a parameter.
    return int(getattr(tensor, "ds_numel", tensor.numel()) * tensor.element_size())


def _states(optimizer: Any, group: dict[str, Any]) -> OptimizerStates:
    name = type(optimizer).__name__.lower()
    for option in ("momentum", "amsgrad"):
        if group.get(option) and f"{name}-{option}" in OPTIMIZERS:
            name = f"{name}-{option}"
    return OPTIMIZERS.get(name, OPTIMIZERS["adamw"])
