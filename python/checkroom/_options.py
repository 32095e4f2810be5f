"""The guard's own arguments: what they mean, their defaults, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from checkroom._core import KeepBest, KeepEvery, KeepLast, parse_size

__all__ = ["GuardOptions", "KeepRule", "KeepRuleLike", "LastAs", "Preflight", "WhenFull", "keep_rule", "size_in_bytes"]

KeepRule = Union[KeepLast, KeepEvery, KeepBest]
# What a YAML file can hold: {"last": 1}, {"every": {"epochs": 10}}, {"best": {"k": 2, "monitor": "val_acc"}}.
KeepRuleLike = Union[KeepLast, KeepEvery, KeepBest, Mapping[str, Any]]
Preflight = Literal["error", "warn", "off"]
WhenFull = Literal["skip", "wait", "stop", "error"]
LastAs = Literal["auto", "link", "copy"]

_KEEP_FORMS = "{'last': 1}, {'every': {'epochs': 10}} or {'best': {'k': 2, 'monitor': 'val_acc', 'mode': 'max'}}"


def size_in_bytes(name: str, value: int | str) -> int:
    """The bytes of a size argument; errors name the argument and quote the value."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{name}={value!r} is not a size: give bytes as an integer, or a text such as '20 GB'")
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{name}={value!r} is negative")
        return value
    try:
        return parse_size(value)
    except (ValueError, OverflowError) as error:
        raise type(error)(f"{name}={value!r}: {error}") from None


def keep_rule(value: KeepRuleLike) -> KeepRule:
    """A keep rule from the object itself or from the mapping that stands for it in a YAML file."""
    if isinstance(value, (KeepLast, KeepEvery, KeepBest)):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        (kind, arguments), *_ = value.items()
        try:
            if kind == "last":
                return KeepLast(arguments)
            if kind == "every" and isinstance(arguments, Mapping):
                return KeepEvery(**arguments)
            if kind == "best" and isinstance(arguments, Mapping):
                return KeepBest(**arguments)
        except TypeError:
            raise ValueError(f"keep has a rule with the wrong arguments: {value!r}; write {_KEEP_FORMS}") from None
    raise ValueError(f"keep has an entry that is no rule: {value!r}; give KeepLast(...) and the like, or {_KEEP_FORMS}")


def _choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


@dataclass(frozen=True)
class GuardOptions:
    """The guard's arguments, checked and in bytes.

    Args:
        min_free: Free space that is never eaten into: bytes, or a text such as ``"20 GB"``.
        max_size: The directory never exceeds this, not even for a moment; ``None``: no cap.
        preflight: ``"error"`` raises before the first batch when what is certain cannot fit; ``"warn"``; ``"off"``.
        when_full: What happens to a save that does not fit after all that makes room.
        wait_minutes: How long ``when_full="wait"`` waits at the most, in minutes.
        prune_first: May the file that a save displaces go before the new one is written, if only then it fits?
        keep: Rules beyond the top k.
        last_as: How ``last.ckpt`` is made: sharing blocks where it can (``"auto"``), a hard link, or a copy.
        durable: ``False``: no fsync; a power cut may take acknowledged checkpoints.
        verify: Read each file back from the disk before what it replaces is pruned.

    Raises:
        ValueError: A value is wrong; it is quoted.
    """

    min_free: int | str = "1 GB"
    max_size: int | str | None = None
    preflight: Preflight = "error"
    when_full: WhenFull = "skip"
    wait_minutes: float = 10
    prune_first: bool = True
    keep: Sequence[KeepRuleLike] = ()
    last_as: LastAs = "auto"
    durable: bool = True
    verify: bool = False

    def __post_init__(self) -> None:
        _choice("preflight", self.preflight, ("error", "warn", "off"))
        _choice("when_full", self.when_full, ("skip", "wait", "stop", "error"))
        _choice("last_as", self.last_as, ("auto", "link", "copy"))
        for name in ("prune_first", "durable", "verify"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} is neither True nor False")
        minutes = self.wait_minutes
        if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 <= minutes < math.inf:
            raise ValueError(f"wait_minutes={minutes!r} is not a number of minutes")
        if isinstance(self.keep, (str, Mapping)) or not isinstance(self.keep, Sequence):
            raise ValueError(f"keep={self.keep!r} is not a list of rules; write [{_KEEP_FORMS}]")
        # Computed once here, so that a wrong value fails at construction and not in the middle of a run.
        _ = self.floor, self.cap, self.rules

    @property
    def floor(self) -> int:
        """``min_free`` in bytes."""
        return size_in_bytes("min_free", self.min_free)

    @property
    def cap(self) -> int | None:
        """``max_size`` in bytes."""
        return None if self.max_size is None else size_in_bytes("max_size", self.max_size)

    @property
    def rules(self) -> tuple[KeepRule, ...]:
        """``keep`` as rules."""
        return tuple(keep_rule(entry) for entry in self.keep)
