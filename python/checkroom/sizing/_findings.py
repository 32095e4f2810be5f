"""What a prediction rests on, and what keeps it from being exact."""

from __future__ import annotations

from typing import NamedTuple

from checkroom.sizing._types import Bound

__all__ = ["Findings", "Span"]


class Span(NamedTuple):
    """A whole number that is known to lie between two."""

    least: int
    most: int

    def plus(self, other: Span) -> Span:
        """The sum."""
        return Span(self.least + other.least, self.most + other.most)


class Findings:
    """Reasons for a person to read, and what follows from them for the bound.

    A prediction has a least and a most, which are equal where everything is known. A finding says that the file may
    be larger than the most, or smaller than the least.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.assumes: list[str] = []
        self._may_be_larger = self._may_be_smaller = False

    def larger(self, note: str) -> None:
        """The file may be larger than what is counted."""
        self._may_be_larger = True
        self.notes.append(note)

    def smaller(self, note: str) -> None:
        """The file may be smaller than what is counted."""
        self._may_be_smaller = True
        self.notes.append(note)

    def unsure(self, note: str) -> None:
        """The file may be either."""
        self._may_be_larger = self._may_be_smaller = True
        self.notes.append(note)

    def assume(self, text: str) -> None:
        """What an exact size takes for granted."""
        self.assumes.append(text)

    def bound(self, least: int, most: int) -> tuple[Bound, int, int, int | None]:
        """What is promised of a prediction between two sizes: bound, total, least, most."""
        if not self._may_be_larger and not self._may_be_smaller:
            return ("exact" if least == most else "at most"), most, least, most
        if not self._may_be_larger:
            return "at most", most, 0, most
        if not self._may_be_smaller:
            return "at least", least, least, None
        return "estimate", most, 0, None
