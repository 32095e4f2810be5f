"""The counters of a checkpoint as they will be at a later save.

A pickled integer takes more bytes from 256 and from 65,536 on, so a size that is exact at the first save needs the
counters of the save that is asked for. Only how large they are matters, not whether each is right to the last one.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["set_counters"]


def set_counters(checkpoint: dict[str, Any], trainer: Any, epoch: int | None, step: int | None) -> None:
    """Sets epochs, steps and batches in a checkpoint dict to those of a save.

    Args:
        checkpoint: What ``dump_checkpoint`` built; changed in place.
        trainer: The trainer, for the lengths of its loops.
        epoch: ``current_epoch`` at the save; ``None``: the current one.
        step: ``global_step`` at the save; ``None``: at the end of that epoch.
    """
    epoch = trainer.current_epoch if epoch is None else epoch
    batches = _finite(trainer.num_training_batches)
    accumulate = max(1, trainer.accumulate_grad_batches)
    steps_per_epoch = max(1, math.ceil(batches / accumulate))
    if step is None:
        step = max(trainer.global_step, (epoch + 1) * steps_per_epoch)
    checkpoint["epoch"], checkpoint["global_step"] = epoch, step
    loop = checkpoint.get("loops", {}).get("fit_loop")
    if not loop:
        return
    total_batches = max(step * accumulate, (epoch * batches) + 1)
    current_batches = min(batches, max(1, total_batches - epoch * batches))
    current_steps = min(steps_per_epoch, max(1, step - epoch * steps_per_epoch))
    _set(loop.get("epoch_progress"), epoch + 1, epoch + 1)
    _set(loop.get("epoch_loop.batch_progress"), total_batches, current_batches)
    own = loop.get("epoch_loop.state_dict")
    if isinstance(own, dict) and "_batches_that_stepped" in own:
        own["_batches_that_stepped"] = step
    manual = not trainer.lightning_module.automatic_optimization
    if manual:
        _set(loop.get("epoch_loop.manual_optimization.optim_step_progress"), step, current_steps)
    else:
        _set(loop.get("epoch_loop.automatic_optimization.optim_progress"), step, current_steps)
    validation = trainer.num_val_batches
    val_batches = _finite(sum(validation) if isinstance(validation, list) else validation)
    _set(loop.get("epoch_loop.val_loop.batch_progress"), val_batches, val_batches)
    by_step = any(config.interval == "step" for config in trainer.lr_scheduler_configs)
    if trainer.lr_scheduler_configs:
        _set(loop.get("epoch_loop.scheduler_progress"), *((step, current_steps) if by_step else (epoch + 1, 1)))
    for state, config in zip(checkpoint.get("lr_schedulers", []), trainer.lr_scheduler_configs):
        _set_scheduler(state, step if config.interval == "step" else epoch + 1)


def _finite(batches: float) -> int:
    return 1 if math.isinf(batches) else max(0, int(batches))


def _set(progress: Any, total: int, current: int) -> None:
    """Sets every count below ``total`` and ``current``, however deep."""
    if not isinstance(progress, dict):
        return
    for key, value in progress.items():
        if key in ("total", "current") and isinstance(value, dict):
            for name in value:
                value[name] = total if key == "total" else current
        else:
            _set(value, total, current)


def _set_scheduler(state: Any, steps: int) -> None:
    """A scheduler's counters, and those of the schedulers inside of it."""
    if not isinstance(state, dict):
        return
    for key, value in state.items():
        if key == "last_epoch":
            state[key] = steps
        elif key == "_step_count":
            state[key] = steps + 1
        elif key == "_schedulers":
            for inner in value:
                _set_scheduler(inner, steps)
