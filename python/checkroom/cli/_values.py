"""From what was written, on the command line or in a file, to a value.

Every function takes a :class:`Given` and returns the value or raises :class:`CommandError`, whose
text names where the value was written. No I/O: what has to be looked up on a disk is in ``_measure``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from checkroom import parse_size
from checkroom.cli._errors import CommandError, quoted

__all__ = [
    "MOST_COUNT", "Given", "choice", "count", "counts", "fraction", "integer", "interval", "number", "path_of",
    "seconds", "size", "text_of", "truth",
]

#: The largest number that the core takes.
MOST_COUNT = 2**63 - 1

_MOST_SECONDS = 10**10
_MOST_SIZE_TEXT = 100
_SIZE_HINT = "write for example '6.9 GB', '27.6 GiB' or '500M'"
_COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class Given:
    """A value as it was written, and where.

    Attributes:
        value: Text from the command line, or a string, number, truth value or list from a file.
        where: For the reader: ``--epochs`` or ``run.toml: epochs``.
        folder: What relative paths are relative to; ``None``: the working directory.
    """

    value: object
    where: str
    folder: Path | None = None


def _wrong(given: Given, what: str, hint: str) -> CommandError:
    return CommandError(f"{given.where}: {what}: {quoted(given.value)} ({hint})")


def text_of(given: Given) -> str:
    """A non-empty text of one line."""
    if not isinstance(given.value, str) or not given.value.strip():
        raise _wrong(given, "not a text", "write a text that is not empty")
    text = given.value.strip()
    if not text.isprintable():
        raise _wrong(given, "not a text of one line", "leave out line ends and control characters")
    return text


def size(given: Given) -> int:
    """Bytes: ``"6.9 GB"``, ``"27.6GiB"``, ``500``."""
    text = str(given.value).strip()
    # The core quotes what it refuses: it gets only what one line can show.
    if isinstance(given.value, bool) or not isinstance(given.value, (str, int)) or not text.isprintable():
        raise _wrong(given, "not a size", _SIZE_HINT)
    if len(text) > _MOST_SIZE_TEXT:
        raise _wrong(given, "not a size, but a long text", _SIZE_HINT)
    try:
        return parse_size(text)
    except OverflowError as error:
        raise CommandError(f"{given.where}: {error} (the largest is 9.2 EB)") from None
    except ValueError as error:
        raise CommandError(f"{given.where}: {error}") from None


def integer(given: Given, *, least: int, hint: str) -> int:
    """A whole number, ``least`` at the least."""
    value = given.value
    if isinstance(value, str):
        try:
            value = int(value.strip())
        except ValueError:
            raise _wrong(given, "not a whole number", hint) from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(given, "not a whole number", hint)
    if value < least:
        raise _wrong(given, f"less than {least}", hint)
    if value > MOST_COUNT:
        raise _wrong(given, "too large a number", hint)
    return value


def counts(given: Given, *, hint: str) -> tuple[int, ...]:
    """Whole numbers from 1: ``"5,10,20"``, ``[5, 10, 20]`` or one number; ascending, each once."""
    value = given.value
    words: Sequence[object]
    if isinstance(value, str):
        words = [word for word in value.split(",") if word.strip()]
    elif isinstance(value, list):
        words = value
    else:
        words = [value]
    if not words:
        raise _wrong(given, "no number", hint)
    return tuple(sorted({integer(Given(word, given.where), least=1, hint=hint) for word in words}))


def count(given: Given, *, hint: str) -> int:
    """A number of things with an optional unit: ``"7B"`` (billions), ``"40M"``, ``"124_000"``."""
    value = given.value
    if isinstance(value, str):
        word = value.strip()
        unit = word[-1:].lower() if word[-1:].isalpha() else ""
        number_text = word[: len(word) - len(unit)].strip()
        try:
            parsed = Decimal(number_text) * _COUNT_UNITS[unit]
            # An exponent can ask for more digits than there is memory: bounded before it is written out.
            parsed = max(Decimal(-1), min(parsed, Decimal(MOST_COUNT + 1)))
            value = int(parsed) if parsed == int(parsed) else None
        except (ArithmeticError, KeyError, ValueError):
            value = None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(given, "not a number of parameters", hint)
    if value < 1:
        raise _wrong(given, "less than 1", hint)
    if value > MOST_COUNT:
        raise _wrong(given, "too large a number", hint)
    return value


def number(given: Given, *, hint: str) -> float:
    """A number above 0."""
    value = given.value
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            raise _wrong(given, "not a number", hint) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(given, "not a number", hint)
    if value != value:
        raise _wrong(given, "not a number", hint)
    if value <= 0:
        raise _wrong(given, "not above 0", hint)
    # A whole number of a file can be too large for a float.
    return float(value) if value <= MOST_COUNT else math.inf


def seconds(given: Given, *, per_unit: float) -> float:
    """A time above 0 in a unit of ``per_unit`` seconds, in seconds."""
    hint = "write a time above 0, for example 1.3"
    value = number(given, hint=hint) * per_unit
    if value > _MOST_SECONDS:
        raise _wrong(given, "more than 300 years", hint)
    return value


def interval(given: Given) -> timedelta:
    """A time above 0: seconds, or as LightningCLI writes it: ``"0:30:00"``, ``"1 day, 0:00:00"``."""
    hint = "write for example 0:30:00, or a number of seconds"
    match = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d\d?):(\d\d?(?:\.\d+)?)", str(given.value).strip())
    if isinstance(given.value, str) and match is not None:
        days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
        total = ((days * 24 + hours) * 60 + minutes) * 60 + float(match[4])
        return interval(Given(total, given.where))
    length = number(given, hint=hint)
    if length > _MOST_SECONDS:
        raise _wrong(given, "more than 300 years", hint)
    return timedelta(seconds=length)


def fraction(given: Given) -> Decimal:
    """A fraction from 0 (allowed) to 1 (not allowed), exact as written."""
    hint = "write a fraction from 0 to below 1, for example 0.2"
    if isinstance(given.value, bool) or not isinstance(given.value, (str, int, float)):
        raise _wrong(given, "not a number", hint)
    try:
        # A float's repr is what was written in the file: 0.2 and not 0.200000000000000011.
        value = Decimal(str(given.value).strip())
    except InvalidOperation:
        raise _wrong(given, "not a number", hint) from None
    if not value.is_finite() or value < 0 or value >= 1:
        raise _wrong(given, "not a fraction", hint)
    return value


def choice(given: Given, known: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(given.value, str) or given.value.strip().lower() not in known:
        raise _wrong(given, "not one of " + ", ".join(known), f"write for example {known[0]}")
    return given.value.strip().lower()


def truth(given: Given) -> bool:
    """``true`` or ``false``, as a truth value or a word."""
    if isinstance(given.value, bool):
        return given.value
    if isinstance(given.value, str) and given.value.strip().lower() in ("true", "false"):
        return given.value.strip().lower() == "true"
    raise _wrong(given, "neither true nor false", "write true or false")


def path_of(given: Given) -> Path:
    """A path, relative to the file in which it was written; nothing is looked up but a home."""
    if not isinstance(given.value, str) or not given.value.strip() or "\0" in given.value:
        raise _wrong(given, "not a path", "write the path of a file or folder")
    try:
        path = Path(given.value).expanduser()
        os.fsencode(path)
    except RuntimeError:
        raise _wrong(given, "no such home", "write the path in full, or ./~ for a name that starts with ~") from None
    except UnicodeEncodeError:
        raise _wrong(given, "not a path", "write the path of a file or folder") from None
    return path if given.folder is None else given.folder / path
