"""The bounds of a forecast enclose every order of the scores; for given scores it is exact.

Beside the forecast stands a model of its own, written the slow and obvious way. ``CHECKROOM_FULL=1`` plays all orders
of up to seven saves of every pair of rules, ties and NaN included; else fewer saves.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pytest

from checkroom import Forecast, KeepBest, KeepEvery, KeepLast, RunSpec, forecast

FULL = os.environ.get("CHECKROOM_FULL") == "1"
MOST_SAVES = 7 if FULL else 4
# Of the tests that play writers, caps and ways of `last`: they are many, and each looks at one save after the other.
SOME_SAVES = 5 if FULL else 4
NAN = math.nan


# ------------------------------------------------------------------ the obvious model
@dataclass
class Best:
    """Lightning's top k of one metric, smaller is better."""

    k: int
    metric: str
    held: list[tuple[float, int]] = field(default_factory=list)  # in the order of entering

    def wants(self, score: float) -> bool:
        score = math.inf if math.isnan(score) else score
        return self.k == -1 or len(self.held) < self.k or score < max(score for score, _ in self.held)

    def save(self, item: int, scores: dict[str, float]) -> None:
        score = scores[self.metric]
        if not self.wants(score):
            return
        if len(self.held) == self.k:
            worst = max(score for score, _ in self.held)
            self.held.remove(next(entry for entry in self.held if entry[0] == worst))
        self.held.append((math.inf if math.isnan(score) else score, item))

    def items(self) -> set[int]:
        return {item for _, item in self.held}


@dataclass
class Last:
    n: int
    held: list[int] = field(default_factory=list)

    def wants(self, score: float) -> bool:
        return True

    def save(self, item: int, scores: dict[str, float]) -> None:
        self.held = [*self.held, item][-self.n :]

    def items(self) -> set[int]:
        return set(self.held)


@dataclass
class Every:
    epochs: int
    held: list[int] = field(default_factory=list)
    offered: int = 0
    former: int = 0

    def wants(self, score: float) -> bool:
        return self.offered + 1 - self.former >= self.epochs

    def save(self, item: int, scores: dict[str, float]) -> None:
        if item + 1 - self.former >= self.epochs:
            self.held.append(item)
            self.former = item + 1

    def items(self) -> set[int]:
        return set(self.held)


Rules = Sequence[Best | Last | Every]


def obvious_kept(rules: Rules, scores: dict[str, Sequence[float]], count: int) -> list[set[int]]:
    """What is kept after each of ``count`` saves, one an epoch."""
    after: list[set[int]] = []
    for item in range(count):
        mine = {metric: values[item] for metric, values in scores.items()}
        for rule in rules:
            if isinstance(rule, Every):
                rule.offered = item
        if any(rule.wants(mine.get(getattr(rule, "metric", ""), 0.0)) for rule in rules):
            for rule in rules:
                rule.save(item, mine)
        after.append(set().union(*(rule.items() for rule in rules)))
    return after


# ------------------------------------------------------------------ orders of scores
@lru_cache
def orders(count: int) -> list[tuple[float, ...]]:
    """Every order of ``count`` scores with ties; and the same with the worst ones NaN."""
    found: list[tuple[float, ...]] = []
    for ranks in itertools.product(range(count), repeat=count):
        if set(ranks) != set(range(max(ranks) + 1)):
            continue
        found.append(tuple(map(float, ranks)))
        found.append(tuple(NAN if rank == max(ranks) else float(rank) for rank in ranks))
    return found


@lru_cache
def distinct_orders(count: int, k: int) -> list[tuple[float, ...]]:
    """One order for each way in which a top k can turn out: no rule can tell the others apart."""
    by_outcome: dict[Any, tuple[float, ...]] = {}
    for order in orders(count):
        outcome = tuple(map(frozenset, obvious_kept([Best(k, "a")], {"a": order}, count)))
        by_outcome.setdefault(outcome, order)
    return list(by_outcome.values())


# ------------------------------------------------------------------ comparison
def check_enclosed(bounds: Forecast, played: Forecast) -> None:
    for bound, point in zip(bounds.timeline, played.timeline, strict=True):
        for name in ("files", "at_rest_bytes", "peak_files", "peak_bytes", "written_bytes"):
            allowed, figure = getattr(bound, name), getattr(point, name)
            assert figure.least == figure.most
            assert allowed.least <= figure.least <= allowed.most, (name, bound, point, played.kept)
        assert bound.saved is None or bound.saved == point.saved
    for name in ("files", "at_rest_bytes", "peak_files", "peak_bytes", "written_bytes", "total_bytes"):
        allowed, figure = getattr(bounds, name), getattr(played, name)
        assert allowed.least <= figure.least <= figure.most <= allowed.most, name


def check_exact(played: Forecast, kept: Sequence[set[int]]) -> None:
    before: set[int] = set()
    written = 0
    for index, after in enumerate(kept):
        saved = index in after
        written += saved
        point = played.timeline[index]
        assert played.kept_after(index) == sorted(after)
        assert (point.saved, point.files.most, point.peak_files.most) == (saved, len(after), len(before) + saved)
        assert point.written_bytes.most == 10 * written
        before = after


def spec_of(rules: Rules, count: int, **more: Any) -> RunSpec:
    keep: list[Any] = []
    top: dict[str, Any] = {"save_top_k": 0}
    for rule in rules:
        if isinstance(rule, Last):
            keep.append(KeepLast(rule.n))
        elif isinstance(rule, Every):
            keep.append(KeepEvery(epochs=rule.epochs))
        elif top == {"save_top_k": 0}:
            top = {"save_top_k": rule.k, "monitor": rule.metric}
        else:
            keep.append(KeepBest(rule.k, rule.metric))
    return RunSpec(max_epochs=count, steps_per_epoch=3, checkpoint_bytes=10, keep=keep, **{**top, **more})


def fresh(rules: Rules) -> list[Best | Last | Every]:
    return [
        Best(rule.k, rule.metric) if isinstance(rule, Best) else Last(rule.n) if isinstance(rule, Last)
        else Every(rule.epochs)
        for rule in rules
    ]  # fmt: skip


RULES = [Best(1, "a"), Best(2, "a"), Best(3, "a"), Best(1, "b"), Best(2, "b"), Last(1), Last(3), Every(1), Every(3)]
PAIRS = [
    [one, other]
    for one, other in itertools.combinations(RULES, 2)
    if type(one) is not type(other) or getattr(one, "metric", "") != getattr(other, "metric", "")
]


def series_of(rules: Rules, count: int) -> Iterator[dict[str, Sequence[float]]]:
    best = [rule for rule in rules if isinstance(rule, Best)]
    choices = [distinct_orders(count, rule.k) if len(best) > 1 else orders(count) for rule in best]
    for chosen in itertools.product(*choices):
        yield {rule.metric: order for rule, order in zip(best, chosen, strict=True)}


@pytest.mark.parametrize("rules", PAIRS, ids=str)
def test_every_pair_of_rules(rules: list[Best | Last | Every]) -> None:
    for count in range(1, MOST_SAVES + 1):
        spec = spec_of(rules, count)
        bounds = forecast(spec)
        for scores in series_of(rules, count):
            played = forecast(spec, scores)
            check_exact(played, obvious_kept(fresh(rules), scores, count))
            check_enclosed(bounds, played)


@pytest.mark.parametrize("k", [1, 2, 3, 4, -1])
def test_one_top_k_is_exact_and_its_bounds_are_tight(k: int) -> None:
    for count in range(1, MOST_SAVES + 1):
        spec = spec_of([Best(k, "a")], count)
        bounds = forecast(spec)
        plays = []
        for order in orders(count):
            played = forecast(spec, order)
            check_exact(played, obvious_kept([Best(k, "a")], {"a": order}, count))
            check_enclosed(bounds, played)
            plays.append(played)
        for name in ("files", "peak_files", "written_bytes"):
            for index in range(count):
                seen = [getattr(played.timeline[index], name).least for played in plays]
                allowed = getattr(bounds.timeline[index], name)
                assert (allowed.least, allowed.most) == (min(seen), max(seen)), (name, index)
        # What independent scores lead to is the mean over all strict orders.
        strict = [forecast(spec, order).written_bytes.most for order in itertools.permutations(range(count))]
        assert bounds.written_bytes.expected == pytest.approx(sum(strict) / len(strict), rel=1e-12)


WRITERS = [
    {"writer": writer, "save_last": save_last, "last_as": last_as, **trigger}
    for writer in ("checkroom", "lightning")
    for save_last in (None, True, "link")
    for last_as in ("auto", "link", "copy")
    for trigger in ({}, {"every_n_train_steps": 3})
    if writer == "checkroom" or last_as == "auto"
]


@pytest.mark.parametrize("writer", WRITERS, ids=str)
@pytest.mark.parametrize("k", [0, 1, 2, -1])
@pytest.mark.parametrize("version", ["2.6", "2.5"])
def test_every_writer_stays_within_the_bounds(k: int, writer: dict[str, Any], version: str) -> None:
    for count in range(1, SOME_SAVES + 1):
        spec = spec_of([Best(k, "a")], count, lightning_version=version, **writer)
        bounds = forecast(spec)
        for order in orders(count):
            if (saves := spec.save_count) is not None and saves <= count:
                check_enclosed(bounds, forecast(spec, order[:saves]))


@pytest.mark.parametrize("room", range(0, 6))
@pytest.mark.parametrize(
    "rules", [[Best(1, "a")], [Best(3, "a")], [Best(-1, "a")], [Best(-1, "a"), Last(1)], *PAIRS[::3]], ids=str
)
def test_a_cap_stays_within_the_bounds(rules: list[Best | Last | Every], room: int) -> None:
    count = SOME_SAVES
    spec = spec_of(rules, count, max_size=10 * (room + 1))
    bounds = forecast(spec)
    for scores in series_of(rules, count):
        check_enclosed(bounds, forecast(spec, scores))


def obvious_last(kept: Sequence[set[int]], shares: bool, always: bool) -> list[tuple[int, int, int]]:
    """(at rest, peak, written) after each save, with checkroom's `last`."""
    rows, before, own, written = [], 0, 0, 0
    for index, after in enumerate(kept):
        files = peak = before + own
        if index in after:
            files, written = files + 1, written + 1
            peak = files
            files -= before + 1 - len(after)
        if index in after and shares:
            files, own = files - own, 0
        elif index in after or always:
            peak, written = max(peak, files + 1), written + 1
            files, own = files + 1 - own, 1
        before = len(after)
        rows.append((files, peak, written))
    return rows


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("last_as", ["auto", "link", "copy"])
@pytest.mark.parametrize("k", [1, 2, -1])
def test_the_last_of_checkroom(k: int, last_as: str, always: bool) -> None:
    trigger = {"every_n_train_steps": 3} if always else {}
    for count in range(1, SOME_SAVES + 1):
        spec = spec_of([Best(k, "a")], count, save_last=True, last_as=last_as, **trigger)
        for order in orders(count):
            kept = obvious_kept([Best(k, "a")], {"a": order}, count)
            points = forecast(spec, order).timeline
            found = [(p.files.least, p.peak_files.least, p.written_bytes.least // 10) for p in points]
            assert found == obvious_last(kept, last_as != "copy", always)
