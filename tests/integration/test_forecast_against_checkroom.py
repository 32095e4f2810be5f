"""The forecast for given scores against real fits with our own class: what is kept, the peak, the number of writes."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import pytest
from _harness import Lab, load, package
from reference import LIGHTNING_VERSION
from reference.disk_watch import DiskWatch, usage
from reference.watched_store import watched_stores

import checkroom

EPOCHS, STEPS_PER_EPOCH = 4, 3
TRIGGERS: dict[str, dict[str, Any]] = {
    "epochs": {"every_n_epochs": 1},
    "every other epoch": {"every_n_epochs": 2},
    "steps": {"every_n_train_steps": 2},
}


def _policies() -> list[Any]:
    monitored = itertools.product(["val_loss"], [-1, 0, 1, 2, 3], [None, True, "link"], ["min", "max"], TRIGGERS)
    others = itertools.product([None], [-1, 0, 1], [None, True, "link"], ["min"], TRIGGERS)
    every = [*monitored, *others]
    if not os.environ.get("CHECKROOM_FULL"):
        every = every[::5]  # shares no factor with 2 or 3: each value meets each other one
    return [pytest.param(*case, id="-".join(map(str, case))) for case in every]


@pytest.mark.parametrize(("monitor", "save_top_k", "save_last", "mode", "trigger"), _policies())
def test_forecast_is_what_happens(
    monitor: str | None, save_top_k: int, save_last: Any, mode: str, trigger: str, tmp_path: Path
) -> None:
    count = EPOCHS * STEPS_PER_EPOCH
    chance = random.Random(f"{monitor} {save_top_k} {save_last} {mode} {trigger}")
    scores = [chance.choice([0.5, 1.0, 2.0, 4.0, float("nan")]) for _ in range(count)]
    policy: dict[str, Any] = {
        "monitor": monitor, "save_top_k": save_top_k, "save_last": save_last, "mode": mode, **TRIGGERS[trigger]
    }  # fmt: skip

    which = package("lightning")
    lab = Lab(which, (which.ours,), tmp_path)
    watch = DiskWatch(lab.directory, tmp_path / "tmp")
    # A metric logged in training is there at every step; a metric of the validation is not there at the first ones.
    model = lab.model(scores=scores, log_in="training")
    with watch, watched_stores(watch):
        lab.fit(lab.trainer(lab.callback(last_as="link", **policy), max_epochs=EPOCHS), model)
    files = [path for path in lab.directory.glob("*.ckpt") if not path.name.startswith("last")]

    # Files of one byte: bytes are then numbers of files, whatever a file really weighs.
    spec = checkroom.RunSpec(
        max_epochs=EPOCHS, steps_per_epoch=STEPS_PER_EPOCH, checkpoint_bytes=1, last_as="link",
        lightning_version=LIGHTNING_VERSION, **policy,
    )  # fmt: skip
    opportunities = list(checkroom.forecast(spec).timeline)
    given = None if monitor is None else [scores[point.step - 1] for point in opportunities]
    forecast = checkroom.forecast(spec, scores=given)

    assert forecast.kept is not None
    assert [opportunities[index].step for index in forecast.kept] == sorted(load(path)["global_step"] for path in files)
    assert _only(forecast.files) == usage(lab.directory).files
    assert _only(forecast.peak_files) == watch.peak_destination.files
    assert _only(forecast.written_bytes) == watch.publishes


def _only(bounds: Any) -> int:
    assert bounds.least == bounds.most, bounds
    return int(bounds.least)
