"""The counters of a checkpoint as they will be at a later save.

A pickled whole number takes 2, 3 or 5 bytes, so a checkpoint of step 40,000 is longer than one of step 0. This is the
one place that says which counter stands where in a checkpoint, and what it will be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from checkroom.sizing._findings import Span
from checkroom.sizing._lbfgs import most_evaluations
from checkroom.sizing._moment import Moment
from checkroom.sizing._owners import is_lightnings
from checkroom.sizing._run import BEYOND, Position, Run

__all__ = ["Counters", "counters_of"]

Path = tuple[str, ...]

_FIT = ("loops", "fit_loop")
_EPOCHS = (*_FIT, "epoch_progress")
_BATCHES = (*_FIT, "epoch_loop.batch_progress")
_SCHEDULERS = (*_FIT, "epoch_loop.scheduler_progress")
_STEPPED = (*_FIT, "epoch_loop.state_dict", "_batches_that_stepped")
_STEPS = (*_FIT, "epoch_loop.automatic_optimization.optim_progress", "optimizer", "step")
_ZERO_GRADS = (*_FIT, "epoch_loop.automatic_optimization.optim_progress", "optimizer", "zero_grad")
_BY_HAND = (*_FIT, "epoch_loop.manual_optimization.optim_step_progress")
_VALIDATION = (*_FIT, "epoch_loop.val_loop.batch_progress")
_STAGES = ("ready", "started", "processed", "completed")


class Counters:
    """What will have been counted at a moment.

    Args:
        spans: Where in the checkpoint -> between which numbers.
        updates: Updates of each learning rate scheduler from now until then.
        validated: Will it have validated? ``None``: maybe.
    """

    def __init__(self, spans: Mapping[Path, Span], updates: tuple[Span, ...], validated: bool | None) -> None:
        self.spans, self.updates, self.validated = dict(spans), updates, validated


def counters_of(run: Run, trainer: Any, moment: Moment) -> Counters:
    """What will have been counted at a moment.

    Args:
        run: The run.
        trainer: Its trainer, for what it has counted so far.
        moment: When.
    """
    configs = trainer.lr_scheduler_configs
    if moment.positions:
        places = [_At(run, trainer, place) for place in moment.positions]
        found = [place.counters() for place in places]
        spans = {path: _cover(one[path] for one in found) for path in found[0]}
        updates = tuple(_cover(place.updates_from_now(config) for place in places) for config in configs)
        seen = {place.has_validated for place in places}
        validated = seen.pop() if len(seen) == 1 else None
    else:
        spans = _unknown(run, trainer, moment)
        updates = tuple(Span(0, BEYOND) for _ in configs)
        validated = True if run.has_validated else None if run.validates else False
    if run.manual and configs:  # stepped by a user's code
        most = max(spans[_BATCHES + ("total", "ready")].most, moment.epoch.most + 1)
        updates = tuple(Span(0, most) for _ in configs)
        spans = {**spans, **{path: Span(0, most) for path in _paths(_SCHEDULERS, ("ready", "completed"))}}
    spans.update(_closures(trainer, spans))
    if moment.step.least == moment.step.most:
        spans[("global_step",)] = moment.step
        if run.manual:
            spans.update({(*_BY_HAND, "total", stage): moment.step for stage in ("ready", "completed")})
    if run.resumed:
        spans = {path: _around(path, span) for path, span in spans.items()}
        updates = tuple(Span(max(0, least - 1), most + 1) for least, most in updates)
    return Counters(spans, updates, validated)


def _closures(trainer: Any, spans: Mapping[Path, Span]) -> dict[Path, Span]:
    """Gradients are zeroed wherever a step evaluates its closure: LBFGS does so more than once."""
    often = max((most_evaluations(one) for one in trainer.optimizers if type(one).__name__ == "LBFGS"), default=1)
    least = 1 if is_lightnings(trainer.lightning_module, "optimizer_step") else 0
    if often == least:
        return {}
    paths = [path for path in _paths(_ZERO_GRADS, ("ready", "started", "completed")) if path in spans]
    return {path: Span(spans[path].least * least, min(BEYOND, spans[path].most * often)) for path in paths}


def _around(path: Path, span: Span) -> Span:
    # Lightning makes up for what the save that it goes on from had not counted yet: that may shift a counter by one.
    return span if path[0] != "loops" else Span(max(0, span.least - 1), span.most + 1)


def _cover(spans: Iterable[Span]) -> Span:
    """The span that holds them all."""
    found = list(spans)
    return Span(min(span.least for span in found), max(span.most for span in found))


def _paths(where: Path, stages: Iterable[str]) -> list[Path]:
    return [(*where, scope, stage) for scope in ("total", "current") for stage in stages]


class _At:
    """What will have been counted at one place; the length of an epoch is known."""

    def __init__(self, run: Run, trainer: Any, place: Position) -> None:
        self.run, self.trainer, self.place = run, trainer, place
        self.loop = trainer.fit_loop.epoch_loop
        self.here = run.inside or run.ending
        self.before = run.before(place.epoch)
        self.over = place.hook in ("train_epoch_end", "train_end")

    @property
    def has_validated(self) -> bool | None:
        """Will it have validated by then?"""
        run, place = self.run, self.place
        if run.has_validated or run.validates_in(run.epoch, place.epoch) or self._validations():
            return True
        return None if run.validates_by_time and run.validates else False

    def counters(self) -> dict[Path, Span]:
        exact = {
            **self._epochs(),
            **self._batches(),
            **self._optimization(),
        }
        spans = {path: Span(value, value) for path, value in exact.items()}
        return {**spans, **self._scheduler_progress(), **self._validation()}

    def _epochs(self) -> dict[Path, int]:
        run, place = self.run, self.place
        ahead = place.epoch - run.epoch
        counters: dict[Path, int] = {("epoch",): place.epoch + (1 if place.hook == "train_end" else 0)}
        progress = self.trainer.fit_loop.epoch_progress
        for scope in ("total", "current"):
            now = getattr(progress, scope)
            for stage in _STAGES:
                value = getattr(now, stage) + ahead
                if stage in ("ready", "started"):
                    begun = self.here or getattr(now, stage) > now.completed
                    value += 0 if begun else 1
                elif stage == "processed":
                    value += (1 if self.over else 0) - (1 if run.ending else 0)
                elif place.hook == "train_end":
                    value += 1
                counters[_EPOCHS + (scope, stage)] = value
        return counters

    def _batches(self) -> dict[Path, int]:
        counters: dict[Path, int] = {}
        for scope, done in (("total", self.before.batches + self.place.batch), ("current", self.place.batch)):
            for stage in _STAGES:
                open_ = stage == "completed" and self.place.hook == "train_batch_end"
                counters[_BATCHES + (scope, stage)] = done - (1 if open_ else 0)
        return counters

    def _optimization(self) -> dict[Path, int]:
        run, place = self.run, self.place
        inside = run.steps(place.epoch, place.batch)
        total = self.before.steps + inside
        counters: dict[Path, int] = {("global_step",): total, _STEPPED: self._batches_that_stepped()}
        if run.manual:
            progress = self.loop.manual_optimization.optim_step_progress
            more = total - progress.total.completed
            for scope in ("total", "current"):
                for stage in ("ready", "completed"):
                    counters[_BY_HAND + (scope, stage)] = getattr(getattr(progress, scope), stage) + more
            return counters
        zero_grads = run.zero_grads(place.epoch, place.batch)
        for scope, steps, zeroed in (
            ("total", total, self.before.zero_grads + zero_grads), ("current", inside, zero_grads),
        ):  # fmt: skip
            counters.update({(*_STEPS, scope, stage): steps for stage in ("ready", "completed")})
            counters.update({(*_ZERO_GRADS, scope, stage): zeroed for stage in ("ready", "started", "completed")})
        return counters

    def _batches_that_stepped(self) -> int:
        """Lightning counts a batch here only after its validation."""
        run, place = self.run, self.place
        now = self.loop._batches_that_stepped
        if self.here:
            counted = run.current_batch if run.ending else max(0, run.current_batch - 1)
            now -= run.stepped(run.epoch, counted)
        for since, count in run.alike(place.epoch):
            now += count * run.stepped(since, run.length or 0)
        return int(now + run.stepped(place.epoch, place.batch if self.over else place.batch - 1))

    def _validations(self) -> int:
        batch = self.place.batch - (1 if self.place.hook == "train_batch_end" else 0)
        return self.run.validations(self.place.epoch, max(0, batch))

    def _validation(self) -> dict[Path, Span]:
        one = self.run.validation_batches
        times = self._validations()
        total = Span(one.least * times, min(BEYOND, one.most * times))
        current = {True: one, False: Span(0, 0), None: Span(0, one.most)}[self.has_validated]
        if self.run.validates_by_time and self.run.validates:
            total, current = Span(0, BEYOND), Span(0, one.most)
        return {path: total if path[-2] == "total" else current for path in _paths(_VALIDATION, _STAGES)}

    # -- learning rate schedulers

    def _scheduler_progress(self) -> dict[Path, Span]:
        progress = self.loop.scheduler_progress
        configs = self.trainer.lr_scheduler_configs
        start = progress.total.completed - (progress.current.completed if self.here else 0)
        inside = Span(*(sum(self._updates(one, self.place, sure) for one in configs) for sure in (True, False)))
        earlier = Span(
            *(sum(self._updates_before(one, self.place.epoch, sure) for one in configs) for sure in (True, False))
        )
        total = Span(start, start).plus(earlier).plus(inside)
        return {path: total if path[-2] == "total" else inside for path in _paths(_SCHEDULERS, ("ready", "completed"))}

    def updates_from_now(self, config: Any) -> Span:
        """How often a scheduler is stepped between now and then."""
        now, found = self._now(), []
        for sure in (True, False):
            done = 0 if now is None else self._updates(config, now, sure)
            ahead = self._updates_before(config, self.place.epoch, sure) + self._updates(config, self.place, sure)
            found.append(max(0, ahead - done))
        return Span(*found)

    def _now(self) -> Position | None:
        run, batches = self.run, self.loop.batch_progress.current
        if not self.here:
            return None
        if run.ending:
            return Position(run.epoch, run.current_batch, "train_epoch_end")
        if batches.processed < batches.ready:  # in a training step: what belongs to the batch before is done
            return Position(run.epoch, run.current_batch - 1, "train_epoch_end")
        return Position(run.epoch, run.current_batch, "train_batch_end")

    def _updates_before(self, config: Any, epoch: int, sure: bool) -> int:
        """Updates in the epochs from the start of the current one until that one."""
        if sure and _may_be_skipped(config):
            return 0
        frequency = max(1, config.frequency)
        if config.interval != "step":
            return int(epoch // frequency - self.run.epoch // frequency)
        length = self.run.length or 0
        return sum(
            count * self._updates(config, Position(since, length, "train_end"), sure)
            for since, count in self.run.alike(epoch)
        )

    def _updates(self, config: Any, place: Position, sure: bool) -> int:
        """Updates in an epoch until a place in it."""
        run, frequency = self.run, max(1, config.frequency)
        plateau = config.reduce_on_plateau  # waits for a metric of the validation
        if run.manual or (sure and _may_be_skipped(config)):
            return 0
        if config.interval != "step":
            due = (place.epoch + 1) % frequency == 0 and place.batch == run.length
            return int(due and (not plateau or place.hook == "train_end"))
        batch = place.batch
        if plateau and place.hook in ("train_batch_end", "validation_end"):
            batch -= 1
        # Lightning asks for the index of the batch, not for that of the step.
        factor = run.accumulate(place.epoch)
        tail = batch == run.length and batch % factor and batch % frequency == 0
        return batch // math.lcm(factor, frequency) + (1 if tail else 0)


def _may_be_skipped(config: Any) -> bool:
    """Does a scheduler go without an update where its metric is missing?"""
    return bool(config.reduce_on_plateau and not config.strict)


def _unknown(run: Run, trainer: Any, moment: Moment) -> dict[Path, Span]:
    """Counters of a run whose epochs have no known length."""
    first = moment.epoch == Span(run.epoch, run.epoch)
    factor = run.accumulate(run.epoch)
    steps = Span(max(1, moment.step.least - run.start.steps), moment.step.most - run.start.steps)
    batches = Span((steps.least - 1) * factor + 1 if first else steps.least, min(BEYOND, steps.most * factor))
    if run.manual:
        batches = Span(1, BEYOND)

    def since(start: int, span: Span, current: bool = False) -> Span:
        if current:
            return span if first else Span(0, span.most)
        return Span(start + max(0, span.least - 1), min(BEYOND, start + span.most))

    spans: dict[Path, Span] = {("epoch",): moment.epoch, ("global_step",): moment.step}
    progress = trainer.fit_loop.epoch_progress
    ahead = Span(moment.epoch.least - run.epoch, moment.epoch.most - run.epoch)
    for path in _paths(_EPOCHS, _STAGES):
        now = getattr(getattr(progress, path[-2]), path[-1])
        spans[path] = Span(now + ahead.least, min(BEYOND, now + ahead.most + 1))
    for path in _paths(_BATCHES, _STAGES):
        spans[path] = since(run.start.batches, batches, path[-2] == "current")
    stepped = trainer.fit_loop.epoch_loop._batches_that_stepped
    spans[_STEPPED] = Span(max(0, stepped - 1), min(BEYOND, stepped + batches.most))
    if run.manual:
        for path in _paths(_BY_HAND, ("ready", "completed")):
            spans[path] = Span(0, moment.step.most)
    else:
        for path in _paths(_STEPS, ("ready", "completed")):
            spans[path] = since(run.start.steps, steps, path[-2] == "current")
        for path in _paths(_ZERO_GRADS, ("ready", "started", "completed")):
            spans[path] = since(run.start.zero_grads, steps, path[-2] == "current")
    most = BEYOND if trainer.lr_scheduler_configs else 0
    spans.update({path: Span(0, most) for path in _paths(_SCHEDULERS, ("ready", "completed"))})
    spans.update({path: Span(0, BEYOND if run.validates else 0) for path in _paths(_VALIDATION, _STAGES)})
    return spans
