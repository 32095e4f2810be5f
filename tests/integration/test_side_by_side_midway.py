"""A run that ends in the middle of an epoch goes on with either class, as it does with Lightning's alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from _harness import FULL, MOVES, ONE_MOVE, Lab, Scenario, assert_moves_alike, both_packages, newest

SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
STEPS_PER_EPOCH = 3
MIDDLE = 5  # two batches into the second epoch
TRIGGERS: dict[str, dict[str, Any]] = {
    "epochs": {},
    "steps": {"every_n_train_steps": 2},
    "time": {"train_time_interval": timedelta(seconds=2)},
}
# How the run ends, and what the next one resumes from. Only a run that ends in good order can still save by hand.
CASES = [
    ("max steps", "a save by hand"),
    ("max steps", "the newest"),
    ("max steps", "last, by word"),
    ("an exception", "the newest"),
    ("an exception", "last, by word"),
]
SOME = [("max steps", "a save by hand"), ("an exception", "the newest"), ("an exception", "last, by word")]


def _policy(trigger: str) -> dict[str, Any]:
    return {"monitor": "val_loss", "save_top_k": 2, "save_last": True, **TRIGGERS[trigger]}


def _interrupted(lab: Lab, trigger: str, end: str, at: int, **fit_arguments: Any) -> Any:
    """A fit that ends at a step; its trainer."""
    callback = lab.callback(**_policy(trigger))
    if end == "max steps":
        trainer = lab.trainer(callback, max_epochs=-1, max_steps=at)
        with lab.a_second_a_step(trainer):
            lab.fit(trainer, lab.model(scores=SCORES), **fit_arguments)
    else:
        trainer = lab.trainer(callback)
        with lab.a_second_a_step(trainer), pytest.raises(ArithmeticError, match="exploded"):
            lab.fit(trainer, lab.model(scores=SCORES, fails_at=at), **fit_arguments)
    assert trainer.global_step == at
    _note(lab, trainer, callback)
    return trainer


def _note(lab: Lab, trainer: Any, callback: Any) -> None:
    lab.note("reached", [trainer.current_epoch, trainer.global_step])
    lab.note_callback(callback)
    lab.note_files()
    lab.note_contents()


def _start(lab: Lab, trainer: Any, start: str) -> str:
    if start == "a save by hand":
        path = lab.folder / f"by-hand-{trainer.global_step}.ckpt"
        trainer.save_checkpoint(path)
        return str(path)
    return "last" if start == "last, by word" else newest(lab.directory)


def _midway(trigger: str, end: str, start: str, *, stops: tuple[int, ...] = (MIDDLE,)) -> Scenario:
    """Fits that end at these steps, and one that goes on to the end of the fourth epoch."""

    def scenario(lab: Lab) -> None:
        arguments: dict[str, Any] = {}
        for stop in stops:
            trainer = _interrupted(lab, trigger, end, stop, **arguments)
            arguments = {"ckpt_path": _start(lab, trainer, start)}
        callback = lab.callback(**_policy(trigger))
        trainer = lab.trainer(callback)
        with lab.a_second_a_step(trainer):
            lab.fit(trainer, lab.model(scores=SCORES), **arguments)
        assert trainer.global_step > MIDDLE
        _note(lab, trainer, callback)

    return scenario


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize(("end", "start"), CASES if FULL else SOME)
def test_resume_in_the_middle_of_an_epoch(trigger: str, end: str, start: str, tmp_path: Path) -> None:
    assert_moves_alike(_midway(trigger, end, start), tmp_path, ONE_MOVE)


@both_packages
def test_there_and_back(package_name: str, tmp_path: Path) -> None:
    scenario = _midway("steps", "an exception", "last, by word", stops=(MIDDLE, MIDDLE + STEPS_PER_EPOCH))
    assert_moves_alike(scenario, tmp_path, MOVES, package_name=package_name)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_an_epoch_of_which_the_validation_was_half_done(trigger: str, tmp_path: Path) -> None:
    """Saved between two validations of one epoch."""

    def scenario(lab: Lab) -> None:
        start = None
        for stop in (MIDDLE, -1):
            callback = lab.callback(**_policy(trigger))
            trainer = lab.trainer(callback, val_check_interval=1, max_steps=stop)
            with lab.a_second_a_step(trainer):
                lab.fit(trainer, lab.model(scores=SCORES), ckpt_path=start)
            _note(lab, trainer, callback)
            start = newest(lab.directory)

    assert_moves_alike(scenario, tmp_path, ONE_MOVE)
