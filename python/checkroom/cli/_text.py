"""Figures as text: every one with its unit, ranges with one unit where both ends have it."""

from __future__ import annotations

from decimal import Decimal

from checkroom import format_size
from checkroom.cli._estimate_report import Span

__all__ = ["count_span", "counted", "duration", "epochs_range", "precise_size", "size_span"]

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def size_span(span: Span) -> str:
    """``"20.7-27.6 GB"``, ``"950.0 MB-1.4 GB"``, or one size where both ends read alike."""
    least, most = format_size(span.least), format_size(span.most)
    if least == most:
        return least
    figure, unit = least.split(" ")
    return f"{figure}-{most}" if most.endswith(" " + unit) else f"{least}-{most}"


def count_span(span: Span) -> str:
    """``"3-4"``, or one number."""
    return str(span.least) if span.least == span.most else f"{span.least}-{span.most}"


def counted(number: int, what: str) -> str:
    """``"1 epoch"``, ``"20 epochs"``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def precise_size(size: int) -> str:
    """Two digits after the point, for sizes that are compared: ``"5.66 GB"``."""
    if size < 1000:
        return f"{size} B"
    amount, unit = Decimal(size), -1
    while amount >= Decimal("999.995") and unit + 1 < len(_UNITS):
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.2f} {_UNITS[unit]}" if unit >= 0 else f"{amount:.0f} B"


def duration(seconds: float) -> str:
    """``"45 s"``, ``"12 min"``, ``"1.3 h"``, ``"3.5 days"``, ``"2.5 years"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds < 730 * 86400:
        return f"{seconds / 86400:.1f} days"
    years = seconds / (365.25 * 86400)
    return f"{years:.1f} years" if years < 10_000 else f"{years:.1e} years"


def epochs_range(first: int, last: int | None) -> str:
    """``"20-50"``, ``"100+"``."""
    if last is None:
        return f"{first}+"
    return str(first) if first == last else f"{first}-{last}"
