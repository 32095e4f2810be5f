"""Retention from Python: what a policy keeps, against Lightning's own algorithm and against what must always hold."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checkroom._core import Item, KeepBest, KeepEvery, KeepLast, RetentionEngine, RetentionPlan, RetentionPolicy, plan

EXAMPLES = settings(max_examples=int(os.environ.get("CHECKROOM_EXAMPLES", "60")), deadline=None)
POLICIES = Path(__file__).parents[1] / "data" / "policies"

# Few values, so that ties are common.
SCORES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, math.nan, math.inf, -math.inf])
MODES = st.sampled_from(["min", "max"])


# ---------------------------------------------------------------- golden policy files
def _golden() -> list[Any]:
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in sorted(POLICIES.glob("*.json"))]


def _policy(spec: dict[str, Any]) -> RetentionPolicy:
    rules: list[KeepLast | KeepEvery | KeepBest] = []
    for rule in spec.get("keep", []):
        if "last" in rule:
            rules.append(KeepLast(rule["last"]))
        elif "every" in rule:
            rules.append(KeepEvery(**rule["every"]))
        else:
            rules.append(KeepBest(rule["best"], rule["monitor"], rule.get("mode", "min")))
    return RetentionPolicy(
        save_top_k=spec["save_top_k"],
        monitor=spec.get("monitor"),
        mode=spec.get("mode", "min"),
        keep=rules,
        pinned=spec.get("pinned", []),
        budget=spec.get("budget"),
    )


def _item(row: dict[str, Any]) -> Item:
    row = dict(row)
    name, size = row.pop("name"), row.pop("bytes", 1000)
    known = {key: row.pop(key) for key in ("own_bytes", "epoch", "step") if key in row}
    saved_at = row.pop("hours", 0.0) * 3600
    return Item(name, size, saved_at=saved_at, scores={key: float(value) for key, value in row.items()}, **known)


def _rows(rows: Sequence[tuple[Item, tuple[str, ...]]]) -> list[list[str]]:
    return [[item.name, *reasons] for item, reasons in rows]


@pytest.mark.parametrize("golden", _golden())
def test_golden_policy(golden: dict[str, Any]) -> None:
    result = plan(
        [_item(row) for row in golden["inventory"]],
        _policy(golden["policy"]),
        last=golden.get("last"),
        resumed_from=golden.get("resumed_from"),
    )
    assert _rows(result.keep) == golden["keep"]
    assert _rows(result.remove) == golden["remove"]
    assert result.top_k == golden["top_k"]
    assert result.best == golden["best"]
    assert result.over_budget == golden.get("over_budget", 0)


def test_there_are_about_forty_golden_policies() -> None:
    assert len(_golden()) >= 40


# ---------------------------------------------------------------- Lightning's algorithm
def lightning_top_k(
    saves: Sequence[tuple[str, float]], k: int, mode: str
) -> Iterator[tuple[bool, dict[str, float], str | None]]:
    """ModelCheckpoint.check_monitor_top_k and _update_best_and_save on a dict: saved?, best_k_models, best."""
    best_k: dict[str, float] = {}
    kth = ""
    best = None
    for name, score in saves:
        if k == 0 or (0 <= k <= len(best_k) and not (score < best_k[kth] if mode == "min" else score > best_k[kth])):
            yield False, dict(best_k), best
            continue
        room = len(best_k) + 1 if k == -1 else k
        if len(best_k) == room:
            best_k.pop(kth)
        best_k[name] = (math.inf if mode == "min" else -math.inf) if math.isnan(score) else score
        worst_of, best_of = (max, min) if mode == "min" else (min, max)
        if len(best_k) == room:
            kth = worst_of(best_k, key=best_k.__getitem__)
        best = best_of(best_k, key=best_k.__getitem__)
        yield True, dict(best_k), best


@EXAMPLES
@given(
    scores=st.lists(SCORES | st.floats(), max_size=40),
    k=st.sampled_from([-1, 0, 1, 2, 3, 5, 20]),
    mode=MODES,
    names=st.integers(1, 60),
)
def test_top_k_is_lightnings(scores: list[float], k: int, mode: Any, names: int) -> None:
    # Fewer names than saves: some are written again, as with the version counter off.
    saves = [(f"{index % names}.ckpt", score) for index, score in enumerate(scores)]
    engine = RetentionEngine(RetentionPolicy(save_top_k=k, monitor="v", mode=mode))
    stored: set[str] = set()
    for (name, score), (saved, best_k, best) in zip(saves, lightning_top_k(saves, k, mode)):
        item = Item(name, 10, scores={"v": score})
        wanted, reasons = engine.decide(item)
        assert wanted == saved and all(reasons)
        if saved:
            stored.add(name)
            stored -= {left.name for left, _ in engine.publish(item)}
        now = engine.plan()
        assert now.top_k == list(best_k) and now.best == best
        assert {kept.name for kept, _ in now.keep} == stored == set(best_k) and not now.remove


@EXAMPLES
@given(count=st.integers(0, 12), k=st.sampled_from([-1, 0, 1]))
def test_without_a_monitor_the_newest_counts(count: int, k: int) -> None:
    items = [Item(f"{n}.ckpt", 10) for n in range(count)]
    result = plan(items, RetentionPolicy(save_top_k=k))
    newest = [item.name for item in items[-1:]]
    # Nothing is in the top 0, yet the newest published one is never removed.
    assert [item.name for item, _ in result.keep] == ([item.name for item in items] if k == -1 else newest)
    assert result.top_k == {-1: [item.name for item in items], 0: [], 1: newest}[k]
    assert result.best == (newest[0] if newest and k != 0 else None)


# ---------------------------------------------------------------- what must always hold
@st.composite
def inventories(draw: st.DrawFn) -> list[Item]:
    items = []
    clock, step, epoch = 1.7e9, 0, 0
    for index in range(draw(st.integers(0, 14))):
        clock += draw(st.sampled_from([0.0, 600.0, 1800.0, 3600.0, 9000.0, -1800.0]))
        epoch += draw(st.integers(0, 3))
        step += draw(st.integers(0, 60))
        scores = {metric: draw(SCORES) for metric in ("loss", "acc") if draw(st.integers(0, 5))}
        size = draw(st.integers(0, 4))
        items.append(
            Item(f"{index}.ckpt", 10, own_bytes=size, epoch=epoch, step=step, saved_at=clock, scores=scores)
        )
    return items


@st.composite
def policies(draw: st.DrawFn, budget: bool = True) -> dict[str, Any]:
    monitor = draw(st.sampled_from([None, "loss", "loss"]))
    rules: list[KeepLast | KeepEvery | KeepBest] = []
    if draw(st.booleans()):
        rules.append(KeepLast(draw(st.integers(1, 3))))
    for unit in ("epochs", "steps", "hours"):
        if not draw(st.integers(0, 2)):
            every: dict[str, Any] = {unit: {"epochs": 4, "steps": 70, "hours": 1.5}[unit]}
            rules.append(KeepEvery(**every))
    if draw(st.booleans()):
        rules.append(KeepBest(draw(st.integers(1, 3)), "acc", draw(MODES)))
    return {
        "save_top_k": draw(st.integers(-1, 4)) if monitor else draw(st.integers(-1, 1)),
        "monitor": monitor,
        "mode": draw(MODES),
        "keep": draw(st.permutations(rules)),
        "pinned": draw(st.lists(st.sampled_from(["0.ckpt", "2.ckpt", "3.ckpt", "9.ckpt"]), max_size=2)),
        "budget": draw(st.none() | st.integers(0, 20)) if budget else None,
    }


STANDING = st.fixed_dictionaries(
    {name: st.none() | st.sampled_from(["0.ckpt", "1.ckpt", "5.ckpt"]) for name in ("last", "resumed_from")}
)


def _kept(result: RetentionPlan) -> list[Item]:
    return [item for item, _ in result.keep]


@EXAMPLES
@given(inventory=inventories(), policy=policies(), standing=STANDING)
def test_every_item_appears_once_with_its_reasons(
    inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]
) -> None:
    result = plan(inventory, RetentionPolicy(**policy), **standing)
    names = [item.name for item, _ in [*result.keep, *result.remove]]
    assert sorted(names) == sorted(item.name for item in inventory)
    order = {item.name: index for index, item in enumerate(inventory)}
    assert [order[item.name] for item in _kept(result)] == sorted(order[item.name] for item in _kept(result))
    assert all(reasons and all(reasons) for _, reasons in result.keep)
    assert all(len(reasons) == 1 and reasons[0] for _, reasons in result.remove)
    assert set(result.top_k) <= {item.name for item in _kept(result)}


@EXAMPLES
@given(inventory=inventories(), policy=policies(), standing=STANDING)
def test_a_plan_of_what_a_plan_keeps_removes_nothing(
    inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]
) -> None:
    bound = RetentionPolicy(**policy)
    once = plan(inventory, bound, **standing)
    again = plan(_kept(once), bound, **standing)
    assert not again.remove
    assert again.keep == once.keep


@EXAMPLES
@given(inventory=inventories(), policy=policies(budget=False), standing=STANDING)
def test_a_larger_k_never_removes_more(
    inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]
) -> None:
    assume(policy["monitor"] is not None and policy["save_top_k"] >= 0)
    smaller = {item.name for item in _kept(plan(inventory, RetentionPolicy(**policy), **standing))}
    for k in (policy["save_top_k"] + 1, -1):
        larger = plan(inventory, RetentionPolicy(**{**policy, "save_top_k": k}), **standing)
        assert smaller <= {item.name for item in _kept(larger)}


@EXAMPLES
@given(inventory=inventories(), policy=policies(), standing=STANDING)
def test_the_budget_holds_or_only_what_must_stay_exceeds_it(
    inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]
) -> None:
    assume(policy["budget"] is not None)
    result = plan(inventory, RetentionPolicy(**policy), **standing)
    total = sum(item.own_bytes for item in _kept(result))
    assert result.over_budget == max(0, total - policy["budget"])
    if result.over_budget:
        must_stay = {"newest", "last", "resumed from", "pinned"}
        for item, reasons in result.keep:
            exempt = any(reason in must_stay or reason.startswith("best ") for reason in reasons)
            assert exempt or item.own_bytes == 0


@EXAMPLES
@given(inventory=inventories(), policy=policies(), standing=STANDING)
def test_what_must_stay_stays(inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]) -> None:
    assume(inventory)
    result = plan(inventory, RetentionPolicy(**policy), **standing)
    kept = {item.name for item in _kept(result)}
    exempt = {standing["last"], standing["resumed_from"], *policy["pinned"]}
    assert {item.name for item in inventory if item.name in exempt} <= kept
    assert inventory[-1].name in kept
    if policy["monitor"] and policy["save_top_k"]:
        scored = [item for item in inventory if "loss" in item.scores]
        if scored:
            worst = math.inf if policy["mode"] == "min" else -math.inf
            value = {item.name: item.scores["loss"] for item in scored}
            value = {name: worst if math.isnan(score) else score for name, score in value.items()}
            assert result.best in value
            best = min(value.values()) if policy["mode"] == "min" else max(value.values())
            assert value[result.best] == best and result.best in kept


@EXAMPLES
@given(inventory=inventories(), policy=policies())
def test_an_unscored_item_is_not_removed_by_a_rule_that_ranks(inventory: list[Item], policy: dict[str, Any]) -> None:
    assume(policy["monitor"] and policy["save_top_k"])
    result = plan(inventory, RetentionPolicy(**{**policy, "budget": None}))
    unscored = {item.name for item in inventory if "loss" not in item.scores}
    assert unscored <= {item.name for item in _kept(result)}
    for item, reasons in result.keep:
        assert ("no loss recorded" in reasons) == (item.name in unscored)


@EXAMPLES
@given(inventory=inventories(), policy=policies(), standing=STANDING)
def test_the_engine_keeps_its_word(
    inventory: list[Item], policy: dict[str, Any], standing: dict[str, Any]
) -> None:
    """What decide() promises is what publishing does; the plan is the engine's, run over the inventory."""
    engine = RetentionEngine(RetentionPolicy(**policy))
    engine.set_last(standing["last"])
    engine.set_resumed_from(standing["resumed_from"])
    left: list[str] = []
    for item in inventory:
        wanted, reasons = engine.decide(item)
        assert reasons and all(reasons)
        tried = engine.copy()
        gone = [leaving.name for leaving, _ in engine.publish(item)]
        left += gone
        assert item.name not in gone
        now = engine.plan()
        assert not now.remove
        why = {kept.name: reasons for kept, reasons in now.keep}[item.name]
        assert "newest" in why
        rules = [reason for reason in why if reason != "newest"]
        if policy["budget"] is None and not (policy["monitor"] is None and policy["save_top_k"]):
            assert wanted == bool(rules)
            if wanted:
                assert len(reasons) == len(rules)
        # The copy is independent.
        assert [leaving.name for leaving, _ in tried.publish(item)] == gone
    kept = {item.name for item in _kept(engine.plan())}
    assert kept.isdisjoint(left) and len(kept) + len(left) == len(inventory)
    assert {item.name for item in _kept(plan(inventory, RetentionPolicy(**policy), **standing))} <= kept


@EXAMPLES
@given(inventory=inventories(), policy=policies())
def test_a_candidate_that_the_budget_would_take_first_is_not_wanted(
    inventory: list[Item], policy: dict[str, Any]
) -> None:
    """No churn: what was wanted is not what the budget takes as soon as it is no longer the newest."""
    assume(policy["budget"] is not None)
    engine = RetentionEngine(RetentionPolicy(**policy))
    for item in inventory:
        wanted, _ = engine.decide(item)
        if not wanted:
            continue
        engine.publish(item)
    result = engine.plan()
    assert not result.remove


# ---------------------------------------------------------------- the engine's other calls
def test_what_last_lets_go_of_leaves_with_the_next_save() -> None:
    engine = RetentionEngine(RetentionPolicy(save_top_k=1, monitor="loss"))
    engine.publish(Item("a", 1, scores={"loss": 1.0}))
    engine.set_last("a")
    assert engine.publish(Item("b", 1, scores={"loss": 0.5})) == []
    engine.set_last("b")
    pending = engine.plan()
    assert _rows(pending.remove) == [["a", "not in the top 1 by loss (1.000; the best is 0.500)"]]
    left = engine.publish(Item("c", 1, scores={"loss": 0.25}))
    assert [item.name for item, _ in left] == ["a"]


def test_forgetting_frees_a_slot_and_the_one_before_becomes_the_newest() -> None:
    engine = RetentionEngine(RetentionPolicy(save_top_k=2, monitor="loss"))
    for name, loss in [("a", 1.0), ("b", 2.0)]:
        engine.publish(Item(name, 1, scores={"loss": loss}))
    assert engine.decide(Item("c", 1, scores={"loss": 3.0})) == (
        False,
        ("not in the top 2 by loss (3.000; the 2nd is 2.000)",),
    )
    engine.forget("b")
    engine.forget("never there")
    assert _rows(engine.plan().keep) == [["a", "best loss (1.000)", "newest"]]
    assert engine.decide(Item("c", 1, scores={"loss": 3.0})) == (True, ("top 2 by loss (rank 2, 3.000)",))


def test_a_smaller_budget_takes_effect() -> None:
    engine = RetentionEngine(RetentionPolicy(save_top_k=-1, monitor="loss"))
    for name, loss in [("a", 3.0), ("b", 1.0), ("c", 2.0)]:
        engine.publish(Item(name, 1000, scores={"loss": loss}))
    engine.set_budget(2000)
    assert _rows(engine.plan().remove) == [["a", "over the budget of 2.0 kB: rank 3 of loss"]]
    engine.set_budget(None)
    assert engine.plan().remove == []
    with pytest.raises(ValueError, match="-1"):
        engine.set_budget(-1)


def test_a_save_that_no_rule_wants_stays_until_the_next() -> None:
    engine = RetentionEngine(RetentionPolicy(save_top_k=1, monitor="loss"))
    engine.publish(Item("a", 1, scores={"loss": 1.0}))
    assert engine.publish(Item("mine", 1, scores={"loss": 5.0})) == []
    left = engine.publish(Item("c", 1, scores={"loss": 0.5}))
    assert sorted(item.name for item, _ in left) == ["a", "mine"]


# ---------------------------------------------------------------- values
@pytest.mark.parametrize(
    "value",
    [
        Item("a.ckpt", 5, own_bytes=3, epoch=1, step=2, saved_at=4.5, scores={"loss": 0.5}, run="r"),
        Item("nan.ckpt", 5, scores={"loss": math.nan}),
        KeepLast(2),
        KeepEvery(epochs=5),
        KeepEvery(steps=100),
        KeepEvery(hours=0.5),
        KeepBest(3, "acc", "max"),
        RetentionPolicy(save_top_k=3, monitor="loss", keep=[KeepLast(2), KeepEvery(hours=2)], pinned=["a"], budget=7),
    ],
    ids=repr,
)
def test_values_compare_hash_pickle_and_do_not_change(value: Any) -> None:
    twin = pickle.loads(pickle.dumps(value))
    assert twin == value and hash(twin) == hash(value) and repr(twin) == repr(value)
    assert value != "something else"
    for name in [name for name in dir(value) if not name.startswith("_")]:
        with pytest.raises(AttributeError):
            setattr(value, name, getattr(value, name))


def test_reprs_can_be_read() -> None:
    assert repr(KeepEvery(hours=0.5)) == "KeepEvery(hours=0.5)"
    assert repr(KeepBest(2, "acc", "max")) == "KeepBest(k=2, monitor='acc', mode='max')"
    assert "a.ckpt" in repr(Item("a.ckpt", 5)) and "0.5" in repr(Item("a", 1, scores={"loss": 0.5}))


def test_a_plan_hands_back_the_items_themselves() -> None:
    items = [Item(name, 1, scores={"loss": loss}) for name, loss in [("a", 2.0), ("b", 1.0)]]
    result = plan(items, RetentionPolicy(monitor="loss"))
    assert result.keep[0][0] is items[1] and result.remove[0][0] is items[0]


BAD: list[tuple[Any, str]] = [
    (lambda: KeepLast(0), r"KeepLast\(n=0\)"),
    (lambda: KeepBest(0, "loss"), r"k=0"),
    (lambda: KeepBest(1, ""), "monitor"),
    (lambda: KeepBest(1, "loss", "best"), "'best'"),  # type: ignore[arg-type]
    (lambda: KeepEvery(), "exactly one"),
    (lambda: KeepEvery(epochs=1, steps=1), "exactly one"),
    (lambda: KeepEvery(epochs=0), "epochs=0"),
    (lambda: KeepEvery(steps=-3), "steps=-3"),
    (lambda: KeepEvery(hours=0.0), "hours=0"),
    (lambda: KeepEvery(hours=math.inf), "hours=inf"),
    (lambda: KeepEvery(hours=math.nan), "hours=-?nan"),
    (lambda: RetentionPolicy(save_top_k=-2), "save_top_k=-2"),
    (lambda: RetentionPolicy(save_top_k=2), "save_top_k=2 needs a monitor"),
    (lambda: RetentionPolicy(mode="least"), "'least'"),  # type: ignore[arg-type]
    (lambda: RetentionPolicy(keep=[KeepLast(1), KeepLast(2)]), r"KeepLast\(n=2\) repeats KeepLast\(n=1\)"),
    (lambda: RetentionPolicy(keep=[KeepEvery(hours=1), KeepEvery(hours=2)]), "repeats"),
    (lambda: RetentionPolicy(monitor="loss", keep=[KeepBest(1, "loss")]), "repeats save_top_k=1"),
    (lambda: RetentionPolicy(monitor="loss", keep=[KeepBest(1, "loss", "max")]), "contradicts save_top_k=1"),
    (lambda: RetentionPolicy(keep=[KeepBest(1, "acc", "max"), KeepBest(2, "acc", "max")]), "repeats KeepBest"),
    (lambda: RetentionPolicy(keep=[KeepBest(1, "acc", "max"), KeepBest(2, "acc")]), "contradicts KeepBest"),
    (lambda: RetentionPolicy(pinned=[""]), "empty"),
    (lambda: RetentionPolicy(budget=-1), "budget=-1"),
    (lambda: Item("", 1), "empty"),
    (lambda: Item("a", -1), "bytes=-1"),
    (lambda: Item("a", 1, own_bytes=-2), "own_bytes=-2"),
    (lambda: Item("a", 1, saved_at=math.nan), "saved_at"),
    (lambda: plan([Item("a", 1), Item("a", 2)], RetentionPolicy()), "'a' twice"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_what_cannot_be_is_refused_at_construction(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_different_units_and_a_rule_of_another_metric_do_not_repeat() -> None:
    RetentionPolicy(
        monitor="loss",
        keep=[KeepEvery(epochs=1), KeepEvery(steps=1), KeepEvery(hours=1), KeepBest(1, "acc"), KeepBest(1, "f1", "max")],  # noqa: E501
    )
