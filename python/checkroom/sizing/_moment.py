"""The counters of a later moment, written into a dump that was made now.

Numbers take 2, 3 or 5 bytes in a pickle, so a checkpoint of step 40,000 is longer than one of step 0. Only the dump is
edited; no counter of the run is touched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Moment"]


@dataclass(frozen=True)
class Moment:
    """When the checkpoint is going to be written: at the end of an epoch, or in the middle of one.

    Args:
        epoch: Index of the epoch, from 0.
        step: ``trainer.global_step`` at that time.
        batches: Batches since the run's start.
        batches_in_epoch: Batches of this epoch.
        steps_in_epoch: Optimizer steps of this epoch.
        ends_epoch: Is the epoch over by then?
        guessed: Is the step a guess, because the length of an epoch is not known?
    """

    epoch: int
    step: int
    batches: int
    batches_in_epoch: int
    steps_in_epoch: int
    ends_epoch: bool
    guessed: bool = False

    @classmethod
    def of(cls, trainer: Any, epoch: int | None, step: int | None) -> Moment:
        """The moment of (epoch, step); by default the end of the epoch that is running or about to."""
        loop = trainer.fit_loop.epoch_loop
        here = loop.batch_progress
        per_epoch = trainer.num_training_batches
        done, total, now = here.current.ready, here.total.ready, trainer.global_step
        steps_done = math.ceil(done / trainer.accumulate_grad_batches)
        if math.isfinite(per_epoch) and done >= per_epoch:
            done = steps_done = 0  # that epoch is over, the next one has not begun
        first_batch, first_step = total - done, max(0, now - steps_done)
        ahead = 0 if epoch is None else max(0, epoch - trainer.current_epoch)
        epoch = trainer.current_epoch + ahead if epoch is None else epoch
        if not math.isfinite(per_epoch) or per_epoch <= 0:
            guessed = step is None
            step = now + 1 if step is None else step
            steps = max(0, step - first_step) // (ahead + 1)
            batches = steps * trainer.accumulate_grad_batches
            return cls(epoch, step, first_batch + batches * (ahead + 1), batches, steps, True, guessed)
        per_epoch = int(per_epoch)
        steps_per_epoch = math.ceil(per_epoch / trainer.accumulate_grad_batches)
        begins = first_step + ahead * steps_per_epoch
        step = begins + steps_per_epoch if step is None else step
        ends = not 0 <= step - begins < steps_per_epoch
        steps = steps_per_epoch if ends else step - begins
        batches = per_epoch if ends else steps * trainer.accumulate_grad_batches
        return cls(epoch, step, first_batch + ahead * per_epoch + batches, batches, steps, ends)

    def write_into(self, dump: dict[str, Any], trainer: Any) -> None:
        """Replaces the counters in a dump; entries that it does not have are not made."""
        dump["epoch"], dump["global_step"] = self.epoch, self.step
        scheduled = [self._scheduler_steps(config) for config in trainer.lr_scheduler_configs]
        for state, steps in zip(dump.get("lr_schedulers", []), scheduled):
            _advance_scheduler(state, steps)
        fit = dump.get("loops", {}).get("fit_loop", {})
        _fill(fit.get("epoch_progress"), self.epoch + 1, self.epoch + 1)
        for tracker in (fit.get("epoch_progress") or {}).values():
            # A checkpoint is written before its epoch counts as completed.
            _replace(tracker, "processed", self.epoch)
            _replace(tracker, "completed", self.epoch)
        _fill(fit.get("epoch_loop.batch_progress"), self.batches, self.batches_in_epoch)
        intervals = [config.interval for config in trainer.lr_scheduler_configs]
        in_epoch = sum(1 if interval == "epoch" else self.steps_in_epoch for interval in intervals)
        _fill(fit.get("epoch_loop.scheduler_progress"), sum(scheduled), in_epoch)
        _replace(fit.get("epoch_loop.state_dict"), "_batches_that_stepped", self.step)
        if trainer.lightning_module.automatic_optimization:
            progress = fit.get("epoch_loop.automatic_optimization.optim_progress", {}).get("optimizer", {})
            for name in ("step", "zero_grad"):
                _fill(progress.get(name), self.step, self.steps_in_epoch)
        else:
            progress = fit.get("epoch_loop.manual_optimization.optim_step_progress")
            _fill(progress, self.step, self.steps_in_epoch)
        validation = _validation_batches(trainer)
        if validation and (self.ends_epoch or self.epoch > 0):
            _fill(fit.get("epoch_loop.val_loop.batch_progress"), validation, validation)

    def _scheduler_steps(self, config: Any) -> int:
        frequency: int = max(1, config.frequency)
        if config.interval == "step":
            return self.step // frequency
        # At the end of an epoch a scheduler has stepped already; one that waits for a metric has not.
        epochs = self.epoch + (1 if self.ends_epoch and not config.reduce_on_plateau else 0)
        return epochs // frequency


def _replace(target: Any, key: str, value: int) -> None:
    if isinstance(target, dict) and type(target.get(key)) is int:
        target[key] = value


def _fill(progress: Any, total: int, current: int) -> None:
    """A progress tracker's dict: every counter under ``total`` and ``current``."""
    for name, value in (("total", total), ("current", current)):
        tracker = progress.get(name) if isinstance(progress, Mapping) else None
        for key in tracker or ():
            _replace(tracker, key, value)


def _advance_scheduler(state: Any, steps: int) -> None:
    """A scheduler's dict, and those of the schedulers that it is made of."""
    if not isinstance(state, dict):
        return
    _replace(state, "last_epoch", steps)
    _replace(state, "_step_count", steps + 1)
    for nested in state.get("_schedulers") or ():
        _advance_scheduler(nested, steps)


def _validation_batches(trainer: Any) -> int:
    counts = trainer.num_val_batches
    counts = counts if isinstance(counts, list) else [counts]
    total = sum(counts)
    return int(total) if math.isfinite(total) else 0
