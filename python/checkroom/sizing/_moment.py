"""The moment of a save: where in a run it is, as far as an epoch, a step and a hook tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from checkroom.sizing._findings import Span
from checkroom.sizing._run import BEYOND, Hook, Position, Run

__all__ = ["Moment", "any_moment", "moment_of", "moment_that_fits"]

HOOKS: tuple[Hook, ...] = get_args(Hook)


@dataclass(frozen=True)
class Moment:
    """Where a save may be.

    Args:
        positions: All places that fit, or the outermost of them; empty where the length of an epoch is not known.
        epoch: The epochs that they lie in.
        step: ``global_step`` there.
        hooks: The hooks that it may be in.
        guessed: Are the steps a guess, because a user's code makes them?
        only_last: Is it a ModelCheckpoint's `last` alone that is saved, without the rules being asked?
    """

    positions: tuple[Position, ...]
    epoch: Span
    step: Span
    hooks: tuple[Hook, ...]
    guessed: bool = False
    only_last: bool = False

    def at(self, hook: Hook) -> bool:
        """May it be in that hook?"""
        return hook in self.hooks

    def or_at(self, run: Run, place: Position) -> Moment:
        """This one, or that place."""
        return _moment(run, (*self.positions, place))


def moment_of(run: Run, epoch: int | None, step: int | None, at: Hook | None) -> Moment:
    """The moment of a save.

    Args:
        run: The run.
        epoch: ``current_epoch`` at the save; ``None``: that of the step, or the current one.
        step: ``global_step`` at the save; ``None``: at the end of that epoch.
        at: Lightning's hook that saves; ``None``: not known.

    Raises:
        ValueError: There is no such moment ahead.
    """
    if at is not None and at not in HOOKS:
        raise ValueError(f"at={at!r} is none of {', '.join(map(repr, HOOKS))}")
    if epoch is not None and epoch < run.epoch:
        raise ValueError(f"epoch={epoch} is over: the trainer is in epoch {run.epoch}")
    if run.length is None or (run.manual and step is not None and epoch is None):
        return _without_length(run, epoch, step, at)
    if run.manual and step is not None and epoch is not None:
        return _by_hand(run, epoch, step, at)
    if epoch is None:
        epoch = run.epoch if step is None else _epoch_of(run, step)
    found = tuple(_positions(run, epoch, step, at))
    if not found and run.resumed:  # Lightning may count the first epoch once more
        return _without_length(run, epoch, step, at)
    if not found:
        raise ValueError(_no_moment(run, epoch, step, at))
    return _moment(run, found)


def _moment(run: Run, places: tuple[Position, ...]) -> Moment:
    epochs = [place.epoch for place in places]
    steps = [run.before(place.epoch).steps + run.steps(place.epoch, place.batch) for place in places]
    hooks = tuple(hook for hook in HOOKS if any(place.hook == hook for place in places))
    return Moment(places, Span(min(epochs), max(epochs)), Span(min(steps), max(steps)), hooks, guessed=run.manual)


def moment_that_fits(run: Run, epoch: int | None, step: int | None, at: Hook | None) -> Moment:
    """The moment in that hook where there is one, else in any.

    Raises:
        ValueError: There is no such moment ahead.
    """
    try:
        return moment_of(run, epoch, step, at)
    except ValueError:
        if at is None:
            raise
    return moment_of(run, epoch, step, None)


def any_moment(run: Run) -> Moment:
    """Any moment from now on: nothing is known of it."""
    return Moment((), Span(run.epoch, BEYOND), Span(run.start.steps + 1, BEYOND), HOOKS[:3], guessed=run.manual)


def _no_moment(run: Run, epoch: int, step: int | None, at: str | None) -> str:
    first = run.before(epoch).steps
    last = first + run.steps(epoch, run.last_batch(epoch))
    if last <= first:
        return f"epoch={epoch} is not reached: the run ends at max_steps={run.max_steps}"
    if step is not None and not first <= step <= last:
        return f"step={step} is not in epoch {epoch}, which has the steps {first + 1} to {last}"
    where = f"epoch {epoch}" if step is None else f"epoch {epoch} at step {step}"
    return f"no {at} lies in {where}"


def _epoch_of(run: Run, step: int) -> int:
    """The epoch in which a step is taken."""
    if step < run.start.steps:
        raise ValueError(f"step={step} is over: epoch {run.epoch} began at step {run.start.steps}")
    low, high = run.epoch, run.epoch + 1
    while run.before(high).steps < step:
        low, high = high, 2 * high - run.epoch
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if run.before(middle).steps < step else (low, middle)
    return low


def _positions(run: Run, epoch: int, step: int | None, at: Hook | None) -> Iterator[Position]:
    last = run.last_batch(epoch)
    if last == 0:
        return
    if step is None:
        first, final = last, last
        hooks: tuple[Hook, ...] = ("validation_end", "train_epoch_end") if at is None else (at,)
    else:
        taken = step - run.before(epoch).steps
        if not 0 <= taken <= run.steps(epoch, last):
            return
        factor = run.accumulate(epoch)
        first = max(1, min(taken * factor, last))
        final = last if taken == run.steps(epoch, last) else min((taken + 1) * factor, last) - 1
        hooks = ("train_batch_end", "validation_end", "train_epoch_end") if at is None else (at,)
    for hook in hooks:
        if hook == "train_batch_end":
            places = [first, final]
        elif hook == "validation_end":
            places = [batch for batch in range(first, final + 1) if run.validates_at(epoch, batch)]
        else:
            places = [last] if final == last else []
        # What is counted only grows with the batches: the outermost places tell of those between.
        for batch in sorted({*places[:1], *places[-1:]}):
            yield Position(epoch, batch, hook)


def _without_length(run: Run, epoch: int | None, step: int | None, at: Hook | None) -> Moment:
    """An epoch without a length, as of an iterable dataset: little is known beyond what is given."""
    hooks: tuple[Hook, ...] = ("train_batch_end", "validation_end", "train_epoch_end") if step is not None else (
        "validation_end", "train_epoch_end"
    )  # fmt: skip
    epochs = Span(run.epoch, BEYOND) if epoch is None and step is not None else Span(*2 * (epoch or run.epoch,))
    steps = Span(run.start.steps + 1, BEYOND) if step is None else Span(step, step)
    return Moment((), epochs, steps, hooks if at is None else (at,), guessed=run.manual)


def _by_hand(run: Run, epoch: int, step: int, at: Hook | None) -> Moment:
    """With manual optimization a step does not tell the batch."""
    hooks = HOOKS[:3] if at is None else (at,)
    places = [Position(epoch, batch, hook) for batch in (1, run.length or 1) for hook in hooks]
    return Moment(tuple(places), Span(epoch, epoch), Span(step, step), hooks, guessed=True)
