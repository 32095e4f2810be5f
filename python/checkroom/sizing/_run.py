"""How the loops of a trainer have got where they are, and how they go on: batches, steps, validations.

All of it is counted in closed form, so that the millionth step costs what the first one does. The trainer is only read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from checkroom.sizing._findings import Span
from checkroom.sizing._owners import named

__all__ = ["BEYOND", "Before", "Hook", "Position", "Run"]

Hook = Literal["train_batch_end", "validation_end", "train_epoch_end", "train_end"]

# Stands for a count of which nothing is known: a pickle takes five bytes for it, as for all from 65,536 on.
BEYOND = 2**31 - 1


@dataclass(frozen=True)
class Position:
    """A place in a run.

    Args:
        epoch: Index of the epoch, from 0.
        batch: Batches of the epoch that have been trained on, the one included in whose hook it is.
        hook: Lightning's hook.
    """

    epoch: int
    batch: int
    hook: Hook


@dataclass(frozen=True)
class Before:
    """What was done before an epoch.

    Args:
        batches: Batches.
        steps: Optimizer steps.
        zero_grads: Calls of ``zero_grad``.
    """

    batches: int
    steps: int
    zero_grads: int


class Run:
    """A trainer that is fitting, read once.

    Args:
        trainer: A ``Trainer`` of either package, from ``on_train_start`` on.

    Attributes:
        epoch: The epoch that is running, or else the one that comes next.
        inside: Is that epoch running, with no end of it in sight?
        ending: Is it in its ``on_train_epoch_end``?
        length: Batches of an epoch; ``None``: not known.
        manual: Is it manual optimization?
        resumed: Has it just been restored, so that its counters are those of another run's save?
        validation_batches: Batches of one validation.
        current_batch: Batches of the running epoch that have begun.
        steps_here: Has a step been taken in the running epoch?
    """

    def __init__(self, trainer: Any) -> None:
        fit = trainer.fit_loop
        loop = fit.epoch_loop
        epochs, batches = fit.epoch_progress, loop.batch_progress
        self.inside = epochs.current.started > epochs.current.processed
        self.ending = not self.inside and epochs.current.processed > epochs.current.completed
        flags = ("restarting", "_loaded_from_state_dict")
        self.resumed = any(getattr(one, flag, False) for one in (fit, loop) for flag in flags)
        self.epoch: int = trainer.current_epoch
        self.manual = not trainer.lightning_module.automatic_optimization
        batches_per_epoch = trainer.num_training_batches
        self.length = int(batches_per_epoch) if math.isfinite(batches_per_epoch) and batches_per_epoch > 0 else None
        self.max_steps: int = trainer.max_steps
        self._factors = _factors(trainer)
        here = self.inside or self.ending
        optimizer = loop.automatic_optimization.optim_progress.optimizer
        self.start = Before(
            batches.total.ready - (batches.current.ready if here else 0),
            self._steps_at_start(loop, optimizer, here),
            optimizer.zero_grad.total.completed - (optimizer.zero_grad.current.completed if here else 0),
        )
        # How many steps a batch takes that a user's own code makes: what it was so far, else one of each optimizer.
        done = batches.total.ready
        self.steps_per_batch = 0.0
        if self.manual:
            taken = loop.manual_optimization.optim_step_progress.total.completed
            self.steps_per_batch = taken / done if done and taken else float(len(trainer.optimizers))
        self._set_validation(trainer)
        self.current_batch: int = batches.current.ready if here else 0
        self.steps_here = bool(here and trainer.global_step > self.start.steps)

    def _steps_at_start(self, loop: Any, optimizer: Any, here: bool) -> int:
        if self.manual:
            return int(loop.manual_optimization.optim_step_progress.total.completed)
        return int(optimizer.step.total.completed - (optimizer.step.current.completed if here else 0))

    def _set_validation(self, trainer: Any) -> None:
        counts = trainer.num_val_batches
        counts = counts if isinstance(counts, list) else [counts]
        total = sum(counts)
        known = bool(counts) and math.isfinite(total)
        self.validation_batches = Span(int(total), int(total)) if known else Span(1, BEYOND)
        self.validates = bool(trainer.enable_validation) and self.validation_batches.most > 0
        self.has_validated = trainer.fit_loop.epoch_loop.val_loop.batch_progress.current.ready > 0
        self._every_epochs: int | None = trainer.check_val_every_n_epoch
        interval = getattr(trainer, "val_check_batch", None)
        # None: by the clock. Infinite: at the end of an epoch whose length is not known.
        self.validates_by_time = getattr(trainer, "_val_check_time_interval", None) is not None
        self._every_batches = interval if interval is None or math.isinf(interval) else int(interval)

    # -- steps

    def accumulate(self, epoch: int) -> int:
        """Batches that make a step in an epoch."""
        factor = 1
        for since, value in self._factors:
            if since <= epoch:
                factor = value
        return factor

    def stepped(self, epoch: int, batch: int) -> int:
        """How many of the first batches of an epoch ended with a step: with automatic optimization, its steps."""
        factor = self.accumulate(epoch)
        return batch // factor + (1 if batch == self.length and batch % factor else 0)

    def ends_with_step(self, epoch: int, batch: int) -> bool:
        """Does this batch end with a step?"""
        return batch > 0 and self.stepped(epoch, batch) > self.stepped(epoch, batch - 1)

    def steps(self, epoch: int, batch: int) -> int:
        """Optimizer steps of the first batches of an epoch."""
        return round(batch * self.steps_per_batch) if self.manual else self.stepped(epoch, batch)

    def zero_grads(self, epoch: int, batch: int) -> int:
        """Calls of ``zero_grad`` in the first batches of an epoch."""
        return 0 if self.manual else -(-batch // self.accumulate(epoch))

    def before(self, epoch: int) -> Before:
        """What will have been done before an epoch; needs the length of one."""
        batches, steps, zero_grads = self.start.batches, self.start.steps, self.start.zero_grads
        for since, count in self.alike(epoch):
            length = self.length or 0
            batches += count * length
            steps += count * self.steps(since, length)
            zero_grads += count * self.zero_grads(since, length)
        if self.manual:  # counted on from here, not from the start of the epoch
            steps -= self.steps(self.epoch, self.current_batch)
        return Before(batches, steps, zero_grads)

    def alike(self, epoch: int) -> Iterator[tuple[int, int]]:
        """The epochs from the start to that one, as (the first, how many) of each stretch with one accumulation."""
        at = self.epoch
        for since in [*(since for since, _ in self._factors if at < since < epoch), epoch]:
            if since > at:
                yield at, since - at
            at = since

    def last_batch(self, epoch: int) -> int:
        """Batches of an epoch, which ``max_steps`` may cut short; needs the length of one."""
        length = self.length or 0
        if self.max_steps < 0 or self.manual:
            return length
        left = self.max_steps - self.before(epoch).steps
        return min(length, max(0, left) * self.accumulate(epoch))

    @property
    def regular(self) -> bool:
        """Are the steps of each epoch as many as those of any other, so that a forecast can count them?"""
        return not self.manual and len(self._factors) == 1

    # -- validations

    @property
    def validates_in_phase(self) -> bool:
        """Do validations lie where they would if all epochs before had been as long as these?"""
        return self._every_epochs is not None or self.length is None or self.start.batches == self.epoch * self.length

    def validations(self, epoch: int, batch: int) -> int:
        """How often it has validated after the first batches of an epoch; needs the length of one."""
        if not self.validates or self.validates_by_time:
            return 0
        if self._every_epochs is None:
            done = self.before(epoch).batches
            return 0 if self._every_batches is None else (done + batch) // self._batches - done // self._batches
        if (epoch + 1) % self._every_epochs:
            return 0
        return batch // self._batches

    @property
    def _batches(self) -> int:
        every = self._every_batches
        return int(every) if every is not None and math.isfinite(every) and every > 0 else max(1, self.length or 0)

    def validates_at(self, epoch: int, batch: int) -> bool:
        """Does it validate after this batch?"""
        if not self.validates:
            return False
        if self.validates_by_time:
            return True  # it may
        return batch > 0 and self.validations(epoch, batch) > self.validations(epoch, batch - 1)

    def next_validation(self, after: Position) -> Position | None:
        """Where it validates next, in that epoch or in the one after it."""
        for epoch in (after.epoch, after.epoch + 1):
            first = after.batch if epoch == after.epoch else 1
            for batch in range(first, self.last_batch(epoch) + 1):
                if self.validates_at(epoch, batch):
                    return Position(epoch, batch, "validation_end")
        return None

    def validates_in(self, first: int, epoch: int) -> bool:
        """Does it validate in any of the epochs from the first one until that one?"""
        if not self.validates or self.validates_by_time:
            return False
        if self._every_epochs is None:
            until, after = (self.before(one).batches // self._batches for one in (first, epoch))
            return until < after
        return epoch // self._every_epochs > first // self._every_epochs


def _factors(trainer: Any) -> list[tuple[int, int]]:
    """(epoch, batches that make a step from then on), in order."""
    for callback in trainer.callbacks:
        if named(callback, "GradientAccumulationScheduler"):
            return sorted((int(epoch), int(factor)) for epoch, factor in callback.scheduling.items())
    return [(0, max(1, trainer.accumulate_grad_batches))]
