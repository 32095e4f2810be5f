"""What a prediction rests on, and the bound that follows."""

from __future__ import annotations

import pytest

from checkroom.sizing._findings import Findings, Span


@pytest.mark.parametrize(
    ("finds", "bound"),
    [
        ((), ("at most", 30, 20, 30)),
        (("larger",), ("at least", 20, 20, None)),
        (("smaller",), ("at most", 30, 0, 30)),
        (("larger", "smaller"), ("estimate", 30, 0, None)),
        (("unsure",), ("estimate", 30, 0, None)),
    ],
)
def test_the_bound_says_what_is_promised(finds: tuple[str, ...], bound: tuple[object, ...]) -> None:
    findings = Findings()
    for kind in finds:
        getattr(findings, kind)(f"because it is {kind}")
    assert findings.bound(20, 30) == bound
    assert findings.notes == [f"because it is {kind}" for kind in finds]


def test_it_is_exact_only_where_nothing_is_open() -> None:
    findings = Findings()
    findings.assume("all is well")
    assert findings.bound(20, 20) == ("exact", 20, 20, 20)
    assert findings.assumes == ["all is well"]
    findings.larger("something comes")
    assert findings.bound(20, 20)[0] == "at least"


def test_spans_add_up() -> None:
    assert Span(1, 2).plus(Span(10, 20)) == Span(11, 22)
