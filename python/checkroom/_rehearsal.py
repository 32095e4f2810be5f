"""The callback's part of a rehearsal: its preflight is made, told to ``checkroom preflight``, and nothing stays behind.

What runs inside the script without checkroom is in ``_sentinel``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from checkroom._preflight import Report, measure, remarks
from checkroom._sentinel.verdict import conclude, requested

__all__ = ["Rehearsal", "is_rehearsal"]

_entries: list[dict[str, Any]] = []  # of the callbacks of this trainer that have been asked so far


def is_rehearsal() -> bool:
    """Is this run to end at its preflight?"""
    return requested() is not None


class Rehearsal:
    """One callback's preflight in a rehearsal. Made on every rank before the guard touches its directory.

    Args:
        callback: The callback that guards.
    """

    def __init__(self, callback: Any) -> None:
        self._callback = callback
        self._absent = [] if callback._guard is None else _absent(callback._guard.directory)

    def end(self, trainer: Any, leaving: tuple[tuple[str, str], ...]) -> None:
        """Makes the preflight, on every rank alike. After the trainer's last one it does not return.

        Args:
            trainer: The trainer that is about to train.
            leaving: Names and reasons of the files that the run would remove at its start.
        """
        callback = self._callback
        try:
            report = measure(callback, trainer, callback._guard)
        finally:
            self._leave_nothing()
        ours = [other for other in trainer.checkpoint_callbacks if getattr(other, "_guarding", False)]
        if callback is ours[0]:
            _entries.clear()
        _entries.append(_entry(callback, report, leaving))
        if callback is ours[-1]:
            others = [_name(other) for other in trainer.checkpoint_callbacks if other not in ours]
            conclude(
                trainer,
                {
                    "state": "done",
                    "package": callback._package,
                    "version": callback._lightning_version,
                    "callbacks": list(_entries),
                    "not_counted": others,
                },
            )

    def _leave_nothing(self) -> None:
        guard = self._callback._guard
        if guard is None:
            return
        with suppress(OSError):
            guard.close()
        for directory in self._absent:
            with suppress(OSError):  # somebody else's file lies in it by now
                os.rmdir(directory)


def _entry(callback: Any, report: Report, leaving: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {
        "class": _name(callback),
        "directory": os.path.abspath(callback.dirpath),
        "verdict": report.verdict,
        "message": report.error or report.warning or report.unknown,
        "text": report.text,
        "remarks": remarks(callback),
        "leaving": [{"name": name, "reason": reason} for name, reason in leaving],
        "figures": report.figures,
    }


def _absent(directory: str) -> list[str]:
    """The directories on the way that are not there, deepest first."""
    absent = []
    while not os.path.lexists(directory):
        absent.append(directory)
        directory = os.path.dirname(directory)
    return absent


def _name(callback: Any) -> str:
    cls = type(callback)
    return f"{cls.__module__}.{cls.__qualname__}"
