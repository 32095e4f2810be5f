"""LBFGS keeps everything under its first parameter, and a history that grows to a fixed length."""

from __future__ import annotations

from typing import Any

from checkroom._ghosts import Ghosts
from checkroom.sizing._ghost_step import device_of

__all__ = ["full_history", "most_evaluations"]


def most_evaluations(optimizer: Any) -> int:
    """How often one step can call its closure: a line search that has begun is finished."""
    group = optimizer.param_groups[0]
    return int(group["max_eval"] or group["max_iter"] * 5 // 4) + 26


def full_history(optimizer: Any, ghosts: Ghosts, steps: int) -> dict[Any, Any]:
    """The largest state that it can have after so many steps; an early convergence leaves less."""
    import torch

    group = optimizer.param_groups[0]
    first = group["params"][0]
    numel = sum(2 * p.numel() if torch.is_complex(p) else p.numel() for p in group["params"])
    length = group["history_size"]

    def ghost(*shape: int) -> Any:
        return ghosts.add(torch.empty(shape, dtype=first.dtype, device="meta"), device_of(first))

    evaluations = max(1, steps) * most_evaluations(optimizer)
    state = {
        "func_evals": evaluations,
        "n_iter": evaluations,
        "d": ghost(numel),
        # A line search may leave a tensor here; so does the very first iteration, but that one has no history yet.
        "t": ghost() if group["line_search_fn"] else 1.0,
        "old_dirs": [ghost(numel) for _ in range(length)],
        "old_stps": [ghost(numel) for _ in range(length)],
        "ro": [ghost() for _ in range(length)],
        "H_diag": ghost(),
        "prev_flat_grad": ghost(numel),
        "prev_loss": 1.0,
        "al": [ghost() for _ in range(length)],
    }
    return {first: state}
