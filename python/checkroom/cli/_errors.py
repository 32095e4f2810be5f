"""What a command raises when it cannot go on: one clear line for the reader."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["CommandError", "check_format", "closest", "one_line", "quoted"]

# A longer value is quoted by its beginning and its end.
_MOST_QUOTED = 300


class CommandError(Exception):
    """A value that makes no sense. The message quotes it and names the way out; the exit code is 2.

    The commands' own modules raise it, so that no module below them knows how errors are printed.
    """


def one_line(text: str) -> str:
    """The text on one line and without control characters, so that nothing of it can move a cursor."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in " ".join(text.split()))


def quoted(value: object) -> str:
    """The value between single quotes, on one line and without control characters: ``'6.9 QB'``."""
    line = one_line(str(value).lower() if isinstance(value, bool) else str(value))  # true, as TOML has it
    if len(line) > _MOST_QUOTED:
        line = line[: _MOST_QUOTED * 2 // 3] + " ... " + line[-_MOST_QUOTED // 3 :]
    return f"'{line}'"


def check_format(format: str, known: Sequence[str]) -> None:
    """Refuses a ``--format`` that the command does not have."""
    if format not in known:
        raise CommandError(f"--format: not a format: {quoted(format)} (one of {', '.join(known)})")


def closest(word: str, known: Iterable[str]) -> str:
    """Where the word may be a slip of the pen: ``"; did you mean 'epochs'?"``, else what is known.

    Args:
        word: What was written.
        known: What could have been written.
    """
    names = list(known)
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if matches:
        return f"; did you mean {quoted(matches[0])}?"
    return "; known are " + ", ".join(names)
