"""The saves that a ModelCheckpoint is going to make, as far as the forecast that plays them ahead can count them."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from typing import Any

from checkroom import _core
from checkroom._run_spec import run_spec
from checkroom.sizing._moment import Moment, any_moment, moment_of, moment_that_fits
from checkroom.sizing._run import BEYOND, Hook, Position, Run
from checkroom.sizing._scores import logged_metrics

__all__ = ["Points", "Save", "hook_of", "is_model_checkpoint", "may_wait", "next_save"]

# More saves than these cost more time than the figure is worth; what is beyond makes it a bound.
MOST_SAVES = 10_000


def is_model_checkpoint(callback: Any) -> bool:
    """Is it Lightning's ModelCheckpoint, or ours?"""
    return all(hasattr(callback, name) for name in ("best_k_models", "format_checkpoint_name", "save_top_k"))


def hook_of(callback: Any, trainer: Any) -> Hook | None:
    """Lightning's hook in which a ModelCheckpoint saves; ``None``: more than one may be it."""
    if callback._every_n_train_steps or callback._train_time_interval is not None:
        # A metric of the validation that is not there yet lets it wait.
        return "train_batch_end" if callback.monitor is None else None
    return "train_epoch_end" if callback._should_save_on_train_epoch_end(trainer) else "validation_end"


def may_wait(callback: Any, trainer: Any) -> bool:
    """May a save wait for a validation, because the metric that it monitors has not been logged yet?"""
    by_steps = callback._every_n_train_steps or callback._train_time_interval is not None
    if getattr(callback, "_defer_save_until_validation", False):
        return True
    return bool(by_steps and callback.monitor not in (None, "epoch", "step", *logged_metrics(trainer)))


def next_save(callback: Any, trainer: Any, run: Run) -> Moment:
    """When a ModelCheckpoint is going to save next, as far as that is known."""
    if _is_unknown(callback, trainer, run):
        return any_moment(run)
    spec = _spec(callback, trainer, run)
    try:
        timeline = _core.forecast(spec).timeline
    except ValueError:  # too many saves to be played ahead
        timeline = _core.forecast(spec.replace(max_epochs=run.epoch + max(1, callback._every_n_epochs))).timeline
    points = [point for point in timeline if not _is_over(point, callback, trainer, run)]
    if not points:
        return moment_of(run, None, None, None)
    found = _moment_of_point(points[0], callback, trainer, run)
    if _is_maybe_over(points[0], trainer, run) and len(points) > 1:
        after = _moment_of_point(points[1], callback, trainer, run)
        if not found.positions or not after.positions:
            return any_moment(run)
        found = functools.reduce(lambda one, place: one.or_at(run, place), after.positions, found)
    point = points[0]
    if not found.positions:
        return found
    later = None
    if point.last_only:  # when the epoch ends, or only when the training does
        last = found.positions[-1]
        later = Position(last.epoch, last.batch, "train_end")
    elif may_wait(callback, trainer):
        later = run.next_validation(found.positions[-1])
    found = found if later is None else found.or_at(run, later)
    return replace(found, only_last=point.last_only and not may_wait(callback, trainer))


def _is_unknown(callback: Any, trainer: Any, run: Run) -> bool:
    """Does it save by what a forecast does not count: the clock, uneven steps, or validations out of phase?"""
    if callback._train_time_interval is not None:
        return True
    if callback._every_n_train_steps:
        return not run.regular
    if hook_of(callback, trainer) != "validation_end":
        return False
    return run.length is None or not run.validates_in_phase


def _moment_of_point(point: Any, callback: Any, trainer: Any, run: Run) -> Moment:
    epoch = point.epoch if point.epoch >= 0 else None
    step = point.step if _has_step(point, run) else None
    if epoch is None and step is None:
        return any_moment(run)
    return moment_that_fits(run, epoch, step, hook_of(callback, trainer))


def _spec(callback: Any, trainer: Any, run: Run) -> Any:
    """The run from before the current step on: what is saved at this step may still be to come."""
    spec = run_spec(callback, trainer, 1)
    if run.steps_here:
        return spec.replace(start_step=trainer.global_step - 1)
    return spec


def _has_step(point: Any, run: Run) -> bool:
    return point.step >= 0 and run.regular


def _is_over(point: Any, callback: Any, trainer: Any, run: Run) -> bool:
    """Has this save been made? A callback saves at most once a step."""
    if not _has_step(point, run):
        return False
    now = trainer.global_step
    return bool(point.step < now or (point.step == now and callback._last_global_step_saved == now and now))


def _is_maybe_over(point: Any, trainer: Any, run: Run) -> bool:
    """May the hook in which it would have been made be over?"""
    if not _has_step(point, run):
        return point.epoch == run.epoch and bool(run.current_batch)
    return bool(point.step == trainer.global_step and run.current_batch)


@dataclass(frozen=True)
class Save:
    """One save that is to come, and the path that it is going to have."""

    epoch: int
    step: int
    path: str = ""


class Points:
    """The saves of a callback from now until a moment: the least and the most, and the one that is in question."""

    def __init__(self, callback: Any, trainer: Any, run: Run, moment: Moment, saves: bool) -> None:
        self.unknown = _is_unknown(callback, trainer, run)
        earlier, until = [], []
        timeline = [] if self.unknown else _timeline(callback, trainer, run, moment)
        last = sum(not _has_step(point, run) and point.epoch == moment.epoch.most for point in timeline)
        for point in timeline:
            by_step = _has_step(point, run)
            at, least, most = (point.step, *moment.step) if by_step else (point.epoch, *moment.epoch)
            save = Save(max(0, point.epoch), max(0, point.step))
            if at < least and not _is_maybe_over(point, trainer, run):
                earlier.append(save)
            if at < most or (at == most and (not saves or last > 1)):
                until.append(save)
        self.unknown = self.unknown or len(until) >= MOST_SAVES
        self.least, self.most = earlier, until
        if may_wait(callback, trainer):
            # Lightning lets a trigger wait even at step 0, which the forecast, for which all metrics are there, skips.
            self.least, self.most = [], [Save(run.epoch, run.start.steps + 1), *until]
        ends = {Save(epoch, step) for epoch, step in zip(moment.epoch, moment.step)}
        self.here = sorted(ends, key=lambda save: (save.epoch, save.step)) if saves else []


def _timeline(callback: Any, trainer: Any, run: Run, moment: Moment) -> list[Any]:
    """The saves that the forecast plays ahead, not much further than that moment."""
    spec = _spec(callback, trainer, run)
    if moment.epoch.most < BEYOND:
        ends = moment.epoch.most + 1
        spec = spec.replace(max_epochs=ends if spec.max_epochs in (None, -1) else min(ends, spec.max_epochs or 0))
    elif moment.step.most < BEYOND and spec.max_steps == -1:
        spec = spec.replace(max_steps=moment.step.most)
    try:
        timeline = _core.forecast(spec).timeline
    except ValueError:  # too many to be played ahead
        return []
    coming = (point for point in timeline if not point.last_only and not _is_over(point, callback, trainer, run))
    return list(itertools.islice(coming, MOST_SAVES))
