"""The trainer's arguments that decide when a run saves and ends, beside its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checkroom.cli import _values
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._steps import read_steps
from checkroom.cli._values import Given

__all__ = ["TRAINER_KEYS", "epochs_of", "trainer_arguments"]

TRAINER_KEYS = ("max_steps", "check_val_every_n_epoch", "val_check_interval")


def trainer_arguments(values: Mapping[str, Given]) -> tuple[tuple[str, Any], ...]:
    """Arguments of ``RunSpec`` by name.

    Raises:
        CommandError: A value makes no sense.
    """
    found: dict[str, Any] = {}
    if "max_steps" in values:
        found["max_steps"] = _max_steps(values["max_steps"])
    if "check_val_every_n_epoch" in values:
        given = values["check_val_every_n_epoch"]
        found["check_val_every_n_epoch"] = _values.integer(given, least=1, hint="write a number of epochs")
    if "val_check_interval" in values:
        found["val_check_interval"] = _val_check_interval(values["val_check_interval"])
    if "validates" in values:
        found["validates"] = _values.truth(values["validates"])
    if "accumulate" in values:
        given = values["accumulate"]
        found["accumulate_grad_batches"] = _values.integer(given, least=1, hint="write a number of batches")
    return tuple(found.items())


def epochs_of(values: Mapping[str, Given], flags: Mapping[str, Given]) -> Given:
    """The epochs of a run whose only limit is ``max_steps``.

    Raises:
        CommandError: The steps of an epoch are not known.
    """
    given = values["max_steps"]
    most = _max_steps(given)
    untimed = {key: value for key, value in values.items() if key != "hours"}
    per_epoch = read_steps(untimed, flags, {}, max_epochs=1, dataset=None).per_epoch
    if per_epoch is None:
        raise CommandError(
            f"{given.where}: {quoted(given.value)} optimizer steps are how many epochs? "
            f"(give --steps-per-epoch or --samples as well, or --max-epochs)"
        )
    return Given(-(-most // per_epoch), given.where)


def _max_steps(given: Given) -> int:
    return _values.integer(given, least=1, hint="write a number of optimizer steps, for example 5000")


def _val_check_interval(given: Given) -> int | float:
    hint = "write a number of batches, or a part of the epoch such as 0.25"
    if isinstance(given.value, int) and not isinstance(given.value, bool):
        return _values.integer(given, least=1, hint=hint)
    if isinstance(given.value, str) and given.value.strip().isdigit():
        return _values.integer(given, least=1, hint=hint)
    part = _values.number(given, hint=hint)
    if part > 1:
        raise CommandError(f"{given.where}: more than an epoch: {quoted(given.value)} ({hint})")
    return part
