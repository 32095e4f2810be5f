"""Figures as text."""

from __future__ import annotations

import pytest

from checkroom.cli._estimate_report import Span
from checkroom.cli._text import count_span, counted, duration, epochs_range, precise_size, size_span


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (20_700_000_000, 27_600_000_000, "20.7-27.6 GB"),
        (950_000_000, 1_400_000_000, "950.0 MB-1.4 GB"),
        (6_900_000_000, 6_900_000_000, "6.9 GB"),
        (6_900_000_000, 6_900_000_001, "6.9 GB"),
        (0, 6_900_000_000, "0 B-6.9 GB"),
        (5, 7, "5-7 B"),
    ],
)
def test_size_span(least: int, most: int, expected: str) -> None:
    assert size_span(Span(least, most)) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (5_660_000_000, "5.66 GB"), (5_798_100_000, "5.80 GB"), (999, "999 B"), (1000, "1.00 kB"),
        (999_994, "999.99 kB"), (999_995, "1.00 MB"), (2**63 - 1, "9.22 EB"), (0, "0 B"),
    ],
)  # fmt: skip
def test_precise_size(size: int, expected: str) -> None:
    assert precise_size(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(45, "45 s"), (89.6, "90 s"), (720, "12 min"), (4680, "1.3 h"), (46800, "13.0 h"), (302400, "3.5 days"),
     (10**8, "3.2 years"), (1e30, "3.2e+22 years")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_counts_and_ranges() -> None:
    assert (counted(1, "epoch"), counted(20, "epoch"), counted(0, "file")) == ("1 epoch", "20 epochs", "0 files")
    assert count_span(Span(3, 4)) == "3-4"
    assert count_span(Span(3, 3)) == "3"
    assert epochs_range(20, 50) == "20-50"
    assert epochs_range(100, None) == "100+"
    assert epochs_range(7, 7) == "7"
