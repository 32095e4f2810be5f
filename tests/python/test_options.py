"""The guard's arguments: what is taken, and what is refused by name and value."""

from __future__ import annotations

from typing import Any

import pytest

from checkroom import KeepBest, KeepEvery, KeepLast
from checkroom._options import GuardOptions


def test_sizes_are_bytes_or_texts() -> None:
    options = GuardOptions(min_free="20 GB", max_size=100)
    assert (options.floor, options.cap) == (20_000_000_000, 100)
    assert GuardOptions().floor == 1_000_000_000
    assert GuardOptions().cap is None


def test_rules_are_objects_or_what_a_yaml_file_can_hold() -> None:
    keep: list[Any] = [
        KeepLast(2),
        {"every": {"epochs": 10}},
        {"best": {"k": 2, "monitor": "val_acc", "mode": "max"}},
    ]
    rules = GuardOptions(keep=keep).rules
    assert rules == (KeepLast(2), KeepEvery(epochs=10), KeepBest(2, "val_acc", "max"))
    assert GuardOptions(keep=[{"last": 3}]).rules == (KeepLast(3),)


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        ({"min_free": "20 XB"}, "min_free='20 XB'"),
        ({"min_free": -1}, "min_free=-1"),
        ({"min_free": True}, "min_free=True"),
        ({"max_size": 1.5}, "max_size=1.5"),
        ({"preflight": "maybe"}, "preflight='maybe'"),
        ({"when_full": "panic"}, "when_full='panic'"),
        ({"last_as": "symlink"}, "last_as='symlink'"),
        ({"wait_minutes": -1}, "wait_minutes=-1"),
        ({"wait_minutes": float("nan")}, "wait_minutes=nan"),
        ({"keep": "last"}, "keep='last'"),
        ({"keep": [3]}, "3"),
        ({"keep": [{"newest": 1}]}, "{'newest': 1}"),
        ({"keep": [{"every": {"weeks": 1}}]}, "{'weeks': 1}"),
        ({"keep": [{"last": 0}]}, "0"),
    ],
)
def test_a_wrong_value_is_quoted(arguments: dict[str, Any], quoted: str) -> None:
    with pytest.raises(ValueError) as caught:
        GuardOptions(**arguments)
    assert quoted in str(caught.value)


def test_a_size_beyond_64_bits_names_its_argument() -> None:
    with pytest.raises(OverflowError, match="max_size='99 EB'"):
        GuardOptions(max_size="99 EB")
