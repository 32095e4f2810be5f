"""The run spec of a trainer that is about to train, with the ModelCheckpoint that saves."""

from __future__ import annotations

import math
import sys
from typing import Any

from checkroom._core import KeepEvery, RunSpec

__all__ = ["goes_by_hours", "lightning_version", "run_spec"]


def run_spec(callback: Any, trainer: Any, checkpoint_bytes: int) -> RunSpec:
    """The run spec of a trainer that is about to train.

    Args:
        callback: A ModelCheckpoint of ours, or Lightning's own.
        trainer: The trainer.
        checkpoint_bytes: Bytes of one checkpoint.
    """
    options = getattr(callback, "guard_options", None)
    batches = trainer.num_training_batches
    known = not math.isinf(batches) and batches > 0
    interval = callback._train_time_interval
    val_check = trainer.val_check_interval
    ours: dict[str, Any] = {}
    if options is not None:
        rules = [rule for rule in options.rules if not goes_by_hours(rule)]
        ours = {"keep": rules, "max_size": options.cap, "last_as": options.last_as}
    return RunSpec(
        max_epochs=-1 if trainer.max_epochs is None else trainer.max_epochs,
        max_steps=trainer.max_steps,
        steps_per_epoch=math.ceil(batches / trainer.accumulate_grad_batches) if known else None,
        batches_per_epoch=int(batches) if known else None,
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        start_epoch=trainer.current_epoch,
        start_step=trainer.global_step,
        validates=trainer.enable_validation,
        check_val_every_n_epoch=trainer.check_val_every_n_epoch,
        val_check_interval=val_check if isinstance(val_check, (int, float)) else 1.0,
        every_n_epochs=callback._every_n_epochs,
        every_n_train_steps=callback._every_n_train_steps or None,
        train_time_interval_seconds=None if interval is None else interval.total_seconds(),
        save_on_train_epoch_end=callback._save_on_train_epoch_end,
        save_top_k=callback.save_top_k,
        monitor=callback.monitor,
        mode=callback.mode,
        save_last=callback.save_last,
        checkpoint_bytes=checkpoint_bytes,
        lightning_version=lightning_version(callback),
        writer="lightning" if options is None else "checkroom",
        **ours,
    )


def goes_by_hours(rule: Any) -> bool:
    """Is it a rule that a forecast cannot count, because it does not know how long a step takes?"""
    return isinstance(rule, KeepEvery) and rule.hours is not None


def lightning_version(callback: Any) -> str:
    """The version of the Lightning package that the callback comes from."""
    own = getattr(callback, "_lightning_version", None)
    if own is not None:
        return str(own)
    for kind in type(callback).__mro__:
        package = kind.__module__.split(".")[0]
        if package in ("lightning", "pytorch_lightning"):
            return str(getattr(sys.modules[package], "__version__", "2.6"))
    return "2.6"
