"""One policy: arguments of ``ModelCheckpoint``, from flags, from ``--policy`` or from a file's table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from checkroom._core import KeepBest, KeepEvery, KeepLast, format_size, parse_size
from checkroom._figures import keep_arguments
from checkroom._names import doubled_metric_names
from checkroom._options import KeepRule, keep_rule
from checkroom.cli._errors import CommandError, closest, quoted
from checkroom.cli._values import Given, choice, integer, interval, size, text_of, truth

__all__ = [
    "POLICY_KEYS", "TRIGGER_KEYS", "Policy", "argument_texts", "plain", "policy", "policy_text",
]


def _save_last(given: Given) -> bool | str:
    if given.value == "link":
        return "link"
    try:
        return truth(given)
    except CommandError:
        hint = "write true or link"
        raise CommandError(f"{given.where}: not true, false or link: {quoted(given.value)} ({hint})") from None


def _count(what: str, example: int) -> Callable[[Given], int]:
    return lambda given: integer(given, least=1, hint=f"write a number of {what}, for example {example}")


def _keep(given: Given) -> list[KeepRule]:
    rules: list[Any] = given.value if isinstance(given.value, list) else [given.value]
    try:
        return [keep_rule(rule) for rule in rules]
    except ValueError as error:
        raise CommandError(f"{given.where}: {error}") from None


# Lightning's own argument names and checkroom's, in the order in which a call reads best.
_READERS: Mapping[str, Callable[[Given], Any]] = {
    "save_top_k": lambda given: integer(given, least=-1, hint="write -1 for all, 0 for none, or how many to keep"),
    "every_n_epochs": _count("epochs", 5),
    "every_n_train_steps": _count("training steps", 500),
    "train_time_interval": interval,
    "save_on_train_epoch_end": truth,
    "monitor": text_of,
    "mode": lambda given: choice(given, ("min", "max")),
    "save_last": _save_last,
    "save_weights_only": truth,
    "filename": text_of,
    "auto_insert_metric_name": truth,
    "keep": _keep,
    "max_size": size,
    "last_as": lambda given: choice(given, ("auto", "link", "copy")),
}

POLICY_KEYS = tuple(_READERS)
#: When it saves; at most one of them.
TRIGGER_KEYS = ("every_n_epochs", "every_n_train_steps", "train_time_interval")

# What a forecast has to know; the rest only names files.
_FORECAST_KEYS = (
    "save_top_k", "every_n_epochs", "every_n_train_steps", "save_on_train_epoch_end", "monitor", "mode", "save_last",
    "save_weights_only", "keep", "max_size", "last_as",
)


@dataclass(frozen=True)
class Policy:
    """When a run saves and what it keeps, under a name.

    Attributes:
        name: For the reader; one policy of each name in a request.
        arguments: What was written, in the order in which it was written.
        label: What tables call it, where it has no name that somebody gave it.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    label: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        """What a reader calls it."""
        return self.label or self.name

    def get(self, key: str) -> Any:
        """The argument's value, ``None`` where it was not written."""
        return dict(self.arguments).get(key)

    @property
    def run_spec(self) -> dict[str, Any]:
        """The arguments of ``RunSpec`` that follow from the policy."""
        interval = self.get("train_time_interval")
        timed = {} if interval is None else {"train_time_interval_seconds": interval.total_seconds()}
        return {key: value for key, value in self.arguments if key in _FORECAST_KEYS} | timed

    @property
    def model_checkpoint(self) -> dict[str, Any]:
        """The arguments to paste: as written, but for a metric's name that would be written twice."""
        arguments = dict(self.arguments)
        if self.doubled:
            arguments["auto_insert_metric_name"] = False
        return arguments

    @property
    def doubled(self) -> tuple[str, ...]:
        """The metric names that Lightning would write twice into the file's name."""
        if self.get("auto_insert_metric_name") is False:
            return ()
        return doubled_metric_names(self.get("filename") or "")

    @property
    def call(self) -> str:
        """The call to paste: ``ModelCheckpoint(save_top_k=3, monitor="val_loss")``."""
        return f"ModelCheckpoint({', '.join(self.call_arguments)})"

    @property
    def call_arguments(self) -> tuple[str, ...]:
        """The arguments of the call to paste: ``save_top_k=3``, ``monitor="val_loss"``."""
        return argument_texts(self.model_checkpoint)


def argument_texts(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Arguments of ``ModelCheckpoint`` as they stand in a call: ``save_top_k=3``, ``monitor="val_loss"``."""
    return tuple(f"{key}={_argument_text(key, value)}" for key, value in arguments.items())


def _argument_text(key: str, value: Any) -> str:
    if key == "max_size" and isinstance(value, int) and parse_size(format_size(value)) == value:
        value = format_size(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def plain(value: object) -> object:
    """An argument that JSON has no form for, as a LightningCLI config holds it."""
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, (KeepLast, KeepEvery, KeepBest)):
        return keep_arguments(value)
    raise TypeError(f"{value!r} has no plain form")


def policy(name: str, given: Mapping[str, Given], where: str, *, label: str = "") -> Policy:
    """A policy from arguments as written.

    Args:
        name: The policy's name.
        given: By Lightning's argument name.
        where: Names the whole for the reader, where one argument alone is not at fault.
        label: What tables call it instead of its name.

    Raises:
        CommandError: An unknown argument, a value that makes no sense, or arguments that Lightning refuses together.
            Also a name that does not print on one line.
    """
    if not name.strip() or not name.isprintable():
        raise CommandError(f"{where}: not a name: {quoted(name)} (write letters and digits)")
    for key, value in given.items():
        if key not in _READERS:
            raise CommandError(f"{value.where}: unknown argument {quoted(key)}{closest(key, POLICY_KEYS)}")
    result = Policy(name, tuple((key, _READERS[key](value)) for key, value in given.items()), label)
    top_k = result.get("save_top_k")
    if top_k is not None and top_k > 1 and result.get("monitor") is None:
        raise CommandError(
            f"{given['save_top_k'].where}: {quoted(top_k)} best of what? Without a monitor nothing ranks the files "
            f"(add monitor, for example val_loss, or keep -1, 0 or 1)"
        )
    triggers = [key for key in TRIGGER_KEYS if result.get(key) is not None]
    if len(triggers) > 1:
        listed = " and ".join(f"{key}={quoted(result.get(key))}" for key in triggers)
        raise CommandError(f"{where}: {listed} exclude each other (keep one of them)")
    return result


def policy_text(given: Given) -> tuple[str, dict[str, Given]]:
    """Splits ``"recommended:save_top_k=3,every_n_epochs=5"`` into its name and its arguments.

    Raises:
        CommandError: The text has no name, or an argument has no value.
    """
    text = text_of(given)
    name, colon, rest = text.partition(":")
    name = name.strip()
    hint = "write for example small:save_top_k=3,every_n_epochs=5,monitor=val_loss"
    if not name or not colon or "=" in name:
        raise CommandError(f"{given.where}: no name before the arguments: {quoted(text)} ({hint})")
    arguments = {}
    for word in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = word.partition("=")
        if not equals or not value.strip():
            raise CommandError(f"{given.where}: an argument without a value: {quoted(word)} in {quoted(text)} ({hint})")
        if key.strip() in arguments:
            raise CommandError(f"{given.where}: {quoted(key.strip())} twice in {quoted(text)} (keep one of them)")
        arguments[key.strip()] = Given(value.strip(), f"{given.where} {name}: {key.strip()}")
    return name, arguments
