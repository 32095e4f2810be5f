"""How many optimizer steps an epoch has, and how long one takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checkroom.cli import _values
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._values import Given

__all__ = ["STEP_KEYS", "Steps", "read_steps", "steps_of"]

_LOADER_KEYS = ("batch_size", "accumulate", "devices")
STEP_KEYS = ("steps_per_epoch", "samples", *_LOADER_KEYS, "seconds_per_step", "hours")


@dataclass(frozen=True)
class Steps:
    """The steps of an epoch.

    Attributes:
        per_epoch: Optimizer steps; ``None``: unknown.
        samples: What they were derived from; ``None``: they were given.
        batch_size, accumulate, devices: Samples a batch and device, batches a step, devices.
        seconds: One step; ``None``: unknown.
        remarks: What the reader should know about them.
    """

    per_epoch: int | None = None
    samples: int | None = None
    batch_size: int = 1
    accumulate: int = 1
    devices: int = 1
    seconds: float | None = None
    remarks: tuple[str, ...] = ()

    def scaled(self, factor: int) -> int | None:
        """The steps of an epoch over ``factor`` times as much data."""
        if self.samples is not None:
            return steps_of(self.samples * factor, self.batch_size, self.accumulate, self.devices)
        return None if self.per_epoch is None else self.per_epoch * factor


def steps_of(samples: int, batch_size: int, accumulate: int, devices: int) -> int:
    """Optimizer steps of an epoch as Lightning counts them: every device gets an equal share, rounded up;
    the last batch may be short; the last step may have fewer batches.
    """
    share = -(-samples // devices)
    batches = -(-share // batch_size)
    return -(-batches // accumulate)


def read_steps(
    values: Mapping[str, Given], flags: Mapping[str, Given], file: Mapping[str, Given], *, max_epochs: int,
    dataset: int | None,
) -> Steps:
    """Reads them.

    Args:
        values: What counts, flags over file.
        flags: The flags alone.
        file: The file alone.
        max_epochs: The length that ``hours`` belongs to.
        dataset: The dataset's training files, where they are known: the samples unless others are given.

    Raises:
        CommandError: A value makes no sense, or two contradict each other.
    """
    if "steps_per_epoch" in values and "samples" in values:
        raise _both(values, "steps_per_epoch", "samples")
    if "seconds_per_step" in values and "hours" in values:
        raise _both(values, "seconds_per_step", "hours")
    loader = {
        key: _values.integer(values[key], least=1, hint="write a number from 1") if key in values else 1
        for key in _LOADER_KEYS
    }
    samples, per_epoch = None, None
    if "steps_per_epoch" in values:
        per_epoch = _values.integer(values["steps_per_epoch"], least=1, hint="write a number of steps, for example 171")
    elif "samples" in values:
        samples = _values.integer(values["samples"], least=1, hint="write how many training samples there are")
    elif dataset:
        samples = dataset
    if samples is not None:
        per_epoch = steps_of(samples, **loader)
    remarks = []
    idle = [flags[key].where for key in _LOADER_KEYS if key in flags]
    if "steps_per_epoch" in values and idle:
        remarks.append(
            f"{', '.join(idle)}: without effect, as the steps of an epoch are given; give --samples instead."
        )
    elif samples is None and idle:
        remarks.append(f"{', '.join(idle)}: without effect, as the samples are not known; give --samples.")
    seconds = _seconds(values, flags, file, per_epoch, max_epochs)
    return Steps(per_epoch, samples, seconds=seconds, remarks=tuple(remarks), **loader)


def _seconds(
    values: Mapping[str, Given], flags: Mapping[str, Given], file: Mapping[str, Given], per_epoch: int | None,
    max_epochs: int,
) -> float | None:
    if "seconds_per_step" in values:
        seconds = _values.seconds(values["seconds_per_step"], per_unit=1)
        if per_epoch is None and "seconds_per_step" in flags:
            raise CommandError(
                f"{flags['seconds_per_step'].where}: {quoted(flags['seconds_per_step'].value)} seconds for how many "
                f"steps? (give --steps-per-epoch or --samples as well)"
            )
        return seconds
    if "hours" not in values:
        return None
    total = _values.seconds(values["hours"], per_unit=3600)
    if values["hours"] is file.get("hours") and "steps_per_epoch" in file:
        # The file's hours belong to the file's own steps, whatever the flags say.
        per_epoch = _values.integer(file["steps_per_epoch"], least=1, hint="write a number of steps")
    if per_epoch is None:
        raise CommandError(
            f"{values['hours'].where}: {quoted(values['hours'].value)} hours of how many steps? "
            f"(give --steps-per-epoch or --samples, or --seconds-per-step instead)"
        )
    return total / (max_epochs * per_epoch)


def _both(values: Mapping[str, Given], first: str, second: str) -> CommandError:
    return CommandError(
        f"{values[first].where} {quoted(values[first].value)} and {values[second].where} "
        f"{quoted(values[second].value)} exclude each other (keep one of them)"
    )
