"""The replay's stub trainer against Lightning's real one: the same hooks in the same order leave the same files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _harness import Lab, load, package
from reference.replay import Run, replay

STEPS_PER_EPOCH = 3
SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
RUN = Run(4, STEPS_PER_EPOCH, SCORES, save_top_k=2, save_last=True)

RUNS: dict[str, dict[str, Any]] = {
    "epochs": {},
    "every third epoch": {"every_n_epochs": 3},
    "never in time": {"every_n_epochs": 9},
    "steps": {"every_n_train_steps": 2},
    "every step": {"every_n_train_steps": 1, "save_top_k": -1},
    "validation every other epoch": {"check_val_every_n_epoch": 2},
    "steps, validation every other epoch": {"check_val_every_n_epoch": 2, "every_n_train_steps": 3},
    "validation twice an epoch": {"val_check_interval": 0.34},
    "steps, validation twice an epoch": {"val_check_interval": 0.5, "every_n_train_steps": 1},
    "validation by batches of an epoch": {"val_check_interval": 2},
    "validation by batches": {"val_check_interval": 4, "check_val_every_n_epoch": None},
    "steps, validation by batches": {
        "val_check_interval": 2, "check_val_every_n_epoch": None, "every_n_train_steps": 3
    },
    "on validation end": {"save_on_train_epoch_end": False},
    "on train epoch end": {"save_on_train_epoch_end": True, "check_val_every_n_epoch": 2},
    "no validation": {"validates": False},
    "no validation, but on its end": {"validates": False, "save_on_train_epoch_end": False},
    "max steps": {"max_steps": 5},
    "max steps at the end of an epoch": {"max_steps": 6, "every_n_epochs": 2},
    "max steps, validation twice an epoch": {"max_steps": 5, "val_check_interval": 0.5, "every_n_train_steps": 2},
}  # fmt: skip


@pytest.mark.parametrize("save_last", [True, "link"])
@pytest.mark.parametrize("name", RUNS)
def test_a_replay_is_a_fit(name: str, save_last: Any, tmp_path: Path) -> None:
    run = replace(RUN, save_last=save_last, **RUNS[name])
    played = tmp_path / "replay"
    played.mkdir()
    end = replay(run, played)[-1]

    which = package("lightning")
    (tmp_path / "fit").mkdir()
    lab = Lab(which, (which.theirs,), tmp_path / "fit")
    trainer = lab.trainer(
        lab.callback(**run.callback_arguments()),
        max_epochs=run.max_epochs,
        max_steps=run.max_steps,
        check_val_every_n_epoch=run.check_val_every_n_epoch,
        val_check_interval=run.val_check_interval,
        limit_val_batches=1 if run.validates else 0,
    )
    lab.fit(trainer, lab.model(scores=SCORES, log_in="training"))
    steps = {path.name: load(path)["global_step"] for path in lab.directory.glob("*.ckpt") if path.exists()}
    last = [step for name, step in steps.items() if name.startswith("last")]
    kept = sorted(step for name, step in steps.items() if not name.startswith("last"))
    assert trainer.global_step == end.step
    assert (kept, last) == (list(end.kept), [] if end.last is None else [end.last])
