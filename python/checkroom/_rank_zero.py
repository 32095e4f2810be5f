"""What every rank takes from rank 0, so that all of them decide alike."""

from __future__ import annotations

from typing import Any

__all__ = ["of_rank_zero"]


def of_rank_zero(trainer: Any, candidates: dict[str, Any]) -> dict[str, Any]:
    """The metrics as rank 0 has them: where nobody synchronised them, names and scores would differ by rank."""
    if trainer.world_size == 1:
        return candidates
    import torch

    # As plain numbers: pickling a tensor goes through torch.save, where those who count files would see it.
    told = trainer.strategy.broadcast(
        {
            key: (value.tolist(), value.dtype) if isinstance(value, torch.Tensor) else (value, None)
            for key, value in candidates.items()
        }
    )
    if trainer.is_global_zero:
        return candidates
    devices = {key: getattr(value, "device", None) for key, value in candidates.items()}
    return {
        key: value if dtype is None else torch.tensor(value, dtype=dtype, device=devices.get(key))
        for key, (value, dtype) in told.items()
    }
