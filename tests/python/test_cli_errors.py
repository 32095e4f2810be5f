"""What an error quotes, and what it suggests."""

from __future__ import annotations

import pytest

from checkroom.cli._errors import closest, quoted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("6.9 QB", "'6.9 QB'"),
        ("a\nb\t c", "'a b c'"), ("\x1b[31mred", "'\\x1b[31mred'"), (3, "'3'"), ("größer", "'größer'"),
    ],  # fmt: skip
)
def test_quoted(value: object, expected: str) -> None:
    assert quoted(value) == expected


def test_closest() -> None:
    known = ["epochs", "save_top_k", "monitor"]
    assert closest("epoch", known) == "; did you mean 'epochs'?"
    assert closest("save_topk", known) == "; did you mean 'save_top_k'?"
    assert closest("zzz", known) == "; known are epochs, save_top_k, monitor"
