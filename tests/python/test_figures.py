"""The plain values of a preflight: they make the run spec again, and survive JSON."""

from __future__ import annotations

import json

import pytest

from checkroom import KeepBest, KeepEvery, KeepLast, RunSpec, admit, forecast, free_space
from checkroom._figures import keep_arguments, preflight_figures, spec_arguments, spec_from
from checkroom.sizing import Trap
from checkroom._options import keep_rule

RULES = [KeepLast(2), KeepEvery(epochs=3), KeepEvery(steps=10), KeepEvery(hours=1.5), KeepBest(2, "val_acc", "max")]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_comes_back(rule: KeepLast | KeepEvery | KeepBest) -> None:
    assert repr(keep_rule(json.loads(json.dumps(keep_arguments(rule))))) == repr(rule)


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(max_epochs=7, steps_per_epoch=5, save_top_k=3, monitor="val_loss", keep=RULES[:2], checkpoint_bytes=10),
        RunSpec(max_steps=40, every_n_train_steps=7, save_last="link", max_size=1000, start_step=3, checkpoint_bytes=9),
        RunSpec(max_epochs=-1, train_time_interval_seconds=2.5, seconds_per_step=0.5, validates=False, last_as="copy"),
    ],
    ids=["epochs", "steps", "time"],
)
def test_a_run_spec_comes_back(spec: RunSpec) -> None:
    assert repr(spec_from(json.loads(json.dumps(spec_arguments(spec))))) == repr(spec)


def test_the_figures_are_the_forecasts() -> None:
    spec = RunSpec(max_epochs=5, steps_per_epoch=3, save_top_k=2, monitor="val_loss", checkpoint_bytes=1000)
    ours, alone = forecast(spec), forecast(spec.replace(writer="lightning"))
    admission = admit(file_bytes=ours.peak_bytes.most, available=100, floor=10)
    space = free_space("/")
    figures = preflight_figures(ours, alone, space, admission, exact=True, floor=10, cap=None, used=7, own=3)
    assert figures["traps"] == []
    assert json.loads(json.dumps(figures)) == figures
    assert figures["checkpoint_bytes"] == 1000
    assert figures["peak_bytes"]["checkroom"]["most"] == ours.peak_bytes.most == 3000
    assert figures["written_bytes"]["lightning"]["most"] == alone.written_bytes.most == 5000
    assert figures["have_bytes"] + figures["short_by_bytes"] >= figures["need_bytes"] == admission.need
    assert (figures["floor_bytes"], figures["cap_bytes"]) == (10, None)
    assert (figures["used_bytes"], figures["own_bytes"]) == (7, 3)
    assert figures["device"] == space.device


def test_a_run_without_an_end_that_cannot_be_counted_has_no_such_figures() -> None:
    spec = RunSpec(max_epochs=-1, save_top_k=-1, checkpoint_bytes=1000)
    ours, alone = forecast(spec), forecast(spec.replace(writer="lightning"))
    admission = admit(file_bytes=1000, available=100)
    figures = preflight_figures(
        ours, alone, free_space("/"), admission, exact=True, floor=0, cap=None, used=0, own=0,
        traps=(Trap("view", 5, "x is a view"),),
    )  # fmt: skip
    assert figures["traps"] == [{"kind": "view", "bytes": 5, "text": "x is a view"}]
    assert figures["at_rest_bytes"] is None and figures["peak_bytes"] == {"checkroom": None, "lightning": None}
    assert json.loads(json.dumps(figures))["checkpoint_bytes"] == 1000
