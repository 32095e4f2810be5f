"""Scores that have not been logged yet, as tensors of the size that they will have."""

from __future__ import annotations

from typing import Any

from checkroom._ghosts import Ghosts

__all__ = ["logged_metrics", "score_like"]


def logged_metrics(trainer: Any) -> dict[str, Any]:
    """The metrics as they were last put together. Asking the trainer itself may compute, which is a collective."""
    return dict(getattr(trainer._logger_connector, "_callback_metrics", {}))


def score_like(trainer: Any, monitor: str, ghosts: Ghosts) -> Any:
    """A score as Lightning will hand it out: like the one that was logged, else of the default precision."""
    import torch

    logged = logged_metrics(trainer).get(monitor)
    if logged is None and monitor in ("epoch", "step"):  # ModelCheckpoint knows these two by itself
        return torch.tensor(0, device="cpu")
    if logged is not None:
        dtype, device = logged.dtype, str(logged.device)
    else:
        double = str(trainer.precision) == "64-true" or torch.get_default_dtype() == torch.float64
        dtype, device = torch.float64 if double else torch.float32, str(trainer.strategy.root_device)
    if device == "cpu":
        return torch.zeros((), dtype=dtype, device="cpu")
    return ghosts.add(torch.empty((), dtype=dtype, device="meta"), device)
