"""What an error quotes, and what it suggests."""

from __future__ import annotations

import pytest

from checkroom.cli._errors import closest, one_line, quoted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("6.9 QB", "'6.9 QB'"),
        ("a\nb\t c", "'a b c'"), ("\x1b[31mred", "'\\x1b[31mred'"), (3, "'3'"), ("größer", "'größer'"),
        (True, "'true'"), ("\udcff", "'\\udcff'"), ("\0", "'\\x00'"), ("", "''"),
    ],  # fmt: skip
)
def test_quoted(value: object, expected: str) -> None:
    assert quoted(value) == expected


def test_a_long_value_is_quoted_by_its_ends() -> None:
    text = quoted("a" * 4000 + "z")
    assert text.startswith("'aaaa") and " ... a" in text and text.endswith("az'")
    assert len(text) < 320
    assert quoted("a" * 300) == "'" + "a" * 300 + "'"


def test_one_line() -> None:
    assert one_line("a\n b\x1b]0;t\x07\u202e") == "a b\\x1b]0;t\\x07\\u202e"


def test_closest() -> None:
    known = ["epochs", "save_top_k", "monitor"]
    assert closest("epoch", known) == "; did you mean 'epochs'?"
    assert closest("save_topk", known) == "; did you mean 'save_top_k'?"
    assert closest("zzz", known) == "; known are epochs, save_top_k, monitor"
