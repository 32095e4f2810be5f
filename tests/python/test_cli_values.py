"""From what was written to a value: what is understood, and what is refused with a text that helps."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

import pytest

from checkroom.cli import _values
from checkroom.cli._errors import CommandError
from checkroom.cli._values import Given


def given(value: object) -> Given:
    return Given(value, "--here")


@pytest.mark.parametrize(
    ("value", "expected"), [("6.9GB", 6_900_000_000), ("27.6 GiB", 29_635_274_342), (500, 500), ("0", 0)]
)
def test_size(value: object, expected: int) -> None:
    assert _values.size(given(value)) == expected


@pytest.mark.parametrize(
    "value", ["6.9 QB", "-1GB", "", True, 1.5, [1], "99999999999GB", "1\0", "\x1b[31m", "\udcff", "1" * 5000, "1\n2"]
)
def test_no_size(value: object) -> None:
    with pytest.raises(CommandError, match="^--here: ") as caught:
        _values.size(given(value))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("value", "expected"), [("5,10,20", (5, 10, 20)), ("20, 5,5", (5, 20)), ([10, 5], (5, 10)), (7, (7,)), ("7", (7,))]
)
def test_counts(value: object, expected: tuple[int, ...]) -> None:
    assert _values.counts(given(value), hint="hint") == expected


@pytest.mark.parametrize("value", ["", ",", "5,x", "0", "-5", [], [1.5], [True], "99999999999999999999"])
def test_no_counts(value: object) -> None:
    with pytest.raises(CommandError, match=r"^--here: .* \(hint\)$"):
        _values.counts(given(value), hint="hint")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7B", 7 * 10**9), ("40 M", 40 * 10**6), ("1.5b", 1_500_000_000), ("124_000", 124_000), (5, 5), ("2k", 2000)],
)
def test_count(value: object, expected: int) -> None:
    assert _values.count(given(value), hint="hint") == expected


@pytest.mark.parametrize(
    "value", ["7X", "B", "", "-7B", "0", "0.5", True, 1.5, "nan", "infB", "10000000000T", "1e999999", "1e9999999999"]
)
def test_no_count(value: object) -> None:
    with pytest.raises(CommandError, match=r"^--here: .* \(hint\)$"):
        _values.count(given(value), hint="hint")


def test_fraction_is_exact() -> None:
    assert _values.fraction(given(0.29)) == Decimal("0.29")
    assert _values.fraction(given("0.2")) == Decimal("0.2")
    assert _values.fraction(given(0)) == 0


@pytest.mark.parametrize("value", ["1", "1.5", "-0.1", "x", "nan", True, None])
def test_no_fraction(value: object) -> None:
    with pytest.raises(CommandError, match="for example 0.2"):
        _values.fraction(given(value))


def test_numbers_and_times() -> None:
    assert _values.number(given("1.5"), hint="") == 1.5
    assert _values.seconds(given(1.3), per_unit=3600) == pytest.approx(4680)


@pytest.mark.parametrize(
    ("value", "said"),
    [("0", "not above 0: '0'"), (-1, "not above 0: '-1'"), ("nan", "not a number: 'nan'"), ("x", "not a number: 'x'"),
     (False, "not a number: 'false'"), ("inf", "more than 300 years: 'inf'"), ("1e308", "more than 300 years"),
     (10**400, "more than 300 years")],
)
def test_no_time(value: object, said: str) -> None:
    with pytest.raises(CommandError, match=f"^--here: {said}") as caught:
        _values.seconds(given(value), per_unit=3600)
    assert str(caught.value).endswith("(write a time above 0, for example 1.3)")


def test_words() -> None:
    assert _values.choice(given(" Min "), ("min", "max")) == "min"
    assert _values.truth(given("TRUE")) is True
    assert _values.truth(given(False)) is False
    assert _values.text_of(given(" val_loss ")) == "val_loss"


@pytest.mark.parametrize(
    "read",
    [
        lambda value: _values.choice(value, ("min", "max")),
        _values.truth,
        _values.text_of,
        lambda value: _values.integer(value, least=1, hint="hint"),
    ],
)
@pytest.mark.parametrize("value", ["", 3.5, None])
def test_no_words(read: Callable[[Given], Any], value: object) -> None:
    with pytest.raises(CommandError, match="^--here: "):
        read(given(value))


def test_a_path_is_relative_to_the_file_it_was_written_in() -> None:
    assert _values.path_of(Given("data", "x", Path("runs"))) == Path("runs/data")
    assert _values.path_of(Given("/data", "x", Path("runs"))) == Path("/data")
    assert _values.path_of(Given("~/data", "x", Path("runs"))) == Path.home() / "data"
    assert _values.path_of(given("data")) == Path("data")
    assert _values.path_of(given("\udcff")) == Path("\udcff")  # how Python writes a byte that is no character


@pytest.mark.parametrize("value", ["", " ", "a\0b", "\ud800", 5, True, None, ["a"], "~no-such-user-here/x"])
def test_no_path(value: object) -> None:
    with pytest.raises(CommandError, match="^--here: no"):
        _values.path_of(given(value))


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31mred", "\0", "\udcff"])
def test_a_text_has_one_line(value: str) -> None:
    with pytest.raises(CommandError, match="^--here: not a text of one line: '") as caught:
        _values.text_of(given(value))
    assert str(caught.value).isprintable()
