"""Advice beside the rule that it states, played out in full over many runs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from checkroom import KeepLast, RunSpec, advise, forecast

FILE = 6_900_000_000
PAIRS = 300 if os.environ.get("CHECKROOM_FULL") else 100

STRATEGIES = ((100, 3, 10, True), (20, 3, 5, True), (0, 2, 1, False))  # from epochs on: k, every, last
MULTIPLES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
MOST_BEST, LEAST_SAVES = 10, 2


def need(spec: RunSpec) -> int:
    """The most that checkpoints and logs occupy at once, read off a forecast."""
    played = forecast(spec)
    logs = played.tensorboard_bytes + played.csv_bytes if played.has_end else 0
    return played.peak_bytes.most + logs


def saves(spec: RunSpec) -> int:
    return sum(not point.last_only for point in forecast(spec).timeline)


# ---------------------------------------------------------------- the stated rule, written down once more


def with_best(spec: RunSpec, k: int, last: bool, newest: bool) -> RunSpec | None:
    keep = [rule for rule in spec.keep if spec.monitor or k == 1 or not isinstance(rule, KeepLast)]
    top_k = k
    if spec.monitor is None and k > 1:
        if spec.writer == "lightning":
            return None
        top_k, keep = 1, [*keep, KeepLast(k)]
    if newest:
        keep = [*keep, KeepLast(1)]
    as_last: Any = "link" if last and spec.save_last == "link" else last
    return spec.replace(save_top_k=top_k, save_last=as_last, keep=keep, max_size=None)


def stretched(spec: RunSpec, times: int) -> RunSpec:
    if spec.every_n_train_steps:
        return spec.replace(every_n_train_steps=spec.every_n_train_steps * times)
    return spec.replace(every_n_epochs=(spec.every_n_epochs or 1) * times)


def ranked(spec: RunSpec, have: int) -> Iterator[tuple[str, list[RunSpec]]]:
    """Every configuration that the rule knows, best first: by kind, and in each kind."""
    epochs = forecast(spec).epochs
    _, k, every, last = next(row for row in STRATEGIES if (10**9 if epochs is None else epochs) >= row[0])
    strategy = with_best(spec, k, last, False)
    if strategy is not None and not strategy.every_n_train_steps:
        strategy = strategy.replace(every_n_epochs=max(strategy.every_n_epochs or 1, every))
    yield "strategy", [] if strategy is None or saves(strategy) == 0 else [strategy]
    newest = spec.writer == "checkroom" and spec.monitor and not any(isinstance(r, KeepLast) for r in spec.keep)
    for kind, last, too in (("last", True, False), ("newest", True, True), ("no_last", False, False)):
        if kind == "newest" and not newest:
            continue
        policies = [policy for k in range(MOST_BEST, 0, -1) if (policy := with_best(spec, k, last, too)) is not None]
        candidates = []
        for policy in policies:
            best = max([policy.save_top_k, *(r.n for r in policy.keep if isinstance(r, KeepLast))])
            for times in MULTIPLES:
                wide = stretched(policy, times)
                if saves(wide) >= (best if times == 1 else max(best, LEAST_SAVES)):
                    candidates.append(wide)
        yield kind, candidates


def random_pair(seed: int) -> tuple[RunSpec, int]:
    draw = random.Random(seed)
    by_steps = draw.random() < 0.25
    monitor = draw.choice(["val_loss", "val_loss", None])
    arguments: dict[str, Any] = {
        "max_epochs": draw.choice([1, 2, 3, 5, 10, 12, 20, 30, 60, 100, 130]),
        "steps_per_epoch": draw.randint(1, 40),
        "monitor": monitor,
        "mode": draw.choice(["min", "max"]),
        "save_top_k": draw.choice([-1, 1, 2, 3, 7] if monitor else [-1, 1]),
        "save_last": draw.choice([None, True, "link", False]),
        "writer": draw.choice(["checkroom", "checkroom", "lightning"]),
        "last_as": draw.choice(["auto", "link", "copy"]),
        "checkpoint_bytes": draw.randint(1, 10**10),
        "tensorboard_bytes_per_epoch": draw.choice([0, draw.randint(0, 10**8)]),
        "csv_bytes_per_epoch": draw.choice([0, draw.randint(0, 10**6)]),
        "existing_bytes": draw.choice([0, draw.randint(0, 10**10)]),
    }
    arguments["every_n_train_steps" if by_steps else "every_n_epochs"] = draw.choice([1, 1, 2, 5, 7])
    spec = RunSpec(**arguments)
    return spec, round(spec.checkpoint_bytes * draw.uniform(0, 14)) + draw.choice([0, spec.existing_bytes])


@pytest.mark.parametrize("seed", range(PAIRS))
def test_advice_is_what_the_stated_rule_says(seed: int) -> None:
    spec, have = random_pair(seed)
    advice = advise(spec, have)
    for option in advice.options:
        assert need(option.spec) == option.need_bytes and option.need_bytes <= have
        assert option.margin_bytes == have - option.need_bytes and option.fits
    # Of each kind the first that fits, and nothing that the rule ranks higher.
    best = {kind: next((one for one in candidates if need(one) <= have), None)
            for kind, candidates in ranked(spec, have)}
    expected: list[RunSpec] = []
    for one in best.values():
        if one is not None and all(describe(one) != describe(other) for other in expected):
            expected.append(one)
    assert [describe(option.spec) for option in advice.options if option.kind != "cap"] == list(map(describe, expected))
    kinds = [option.kind for option in advice.options]
    assert "cap" not in kinds or (kinds[-1] == "cap" and kinds.count("cap") == 1 and not advice.own.fits)
    assert (advice.short_by == 0) == (bool(advice.options) or advice.own.fits)
    if advice.short_by:
        assert advice.smallest.need_bytes is not None and advice.short_by == advice.smallest.need_bytes - have
        tried = [one for _, candidates in ranked(spec, have) for one in candidates]
        assert all(need(one) >= advice.smallest.need_bytes for one in tried)
        if advice.fitting_checkpoint_bytes:
            fitting = advice.smallest.spec.replace(checkpoint_bytes=advice.fitting_checkpoint_bytes)
            assert need(fitting) <= have
            assert need(fitting.replace(checkpoint_bytes=advice.fitting_checkpoint_bytes + 1)) > have


def describe(spec: RunSpec) -> tuple[Any, ...]:
    return (
        spec.save_top_k, spec.save_last or False, spec.every_n_epochs or (None if spec.every_n_train_steps else 1),
        spec.every_n_train_steps, repr(spec.keep), spec.max_size,
    )


# ---------------------------------------------------------------- what it says


def test_the_call_runs_and_makes_the_same_run() -> None:
    pytest.importorskip("lightning")
    from checkroom.lightning import ModelCheckpoint

    spec = RunSpec(max_epochs=20, monitor="val_loss", save_top_k=-1, checkpoint_bytes=FILE)
    for option in advise(spec, "45 GB").options:
        checkpoint = eval(option.call, {"ModelCheckpoint": ModelCheckpoint, "KeepLast": KeepLast})
        assert checkpoint.save_top_k == option.spec.save_top_k
        assert checkpoint.guard_options.cap == option.spec.max_size
        assert bool(checkpoint.save_last) == bool(option.spec.save_last)
        assert set(option.model_checkpoint) <= set(option.call.replace("(", " ").replace("=", " ").split())


def test_time_triggers_keep_their_unit() -> None:
    import datetime

    spec = RunSpec(
        max_epochs=20, steps_per_epoch=100, seconds_per_step=1.0, train_time_interval_seconds=50, monitor="loss",
        checkpoint_bytes=FILE,
    )
    options = advise(spec, "50 GB").options
    assert options and all(
        option.model_checkpoint["train_time_interval"] >= datetime.timedelta(seconds=50) for option in options
    )
    assert "datetime.timedelta(" in options[0].call


@pytest.mark.parametrize("have", ["fifty GB", -1, 2**64, 0.5, None])
def test_a_wrong_size_is_quoted(have: Any) -> None:
    spec = RunSpec(max_epochs=20, checkpoint_bytes=FILE)
    with pytest.raises((ValueError, TypeError), match=str(have)):
        advise(spec, have)


def test_a_run_without_an_end_that_logs_is_refused() -> None:
    spec = RunSpec(max_epochs=-1, steps_per_epoch=10, csv_bytes_per_epoch=1, checkpoint_bytes=FILE)
    with pytest.raises(ValueError, match="max_epochs"):
        advise(spec, "50 GB")


def test_readable_reprs() -> None:
    advice = advise(RunSpec(max_epochs=20, monitor="val_loss", checkpoint_bytes=FILE), "50 GB")
    assert repr(advice) == f"Advice(have_bytes=50000000000, options={len(advice.options)})"
    assert repr(advice.options[0]).startswith('Configuration(ModelCheckpoint(monitor="val_loss"')
    assert advice.own.kind is None and advice.own.spec.save_top_k == 1
