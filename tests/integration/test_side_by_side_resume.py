"""A run moves between Lightning's class and ours at a restart, in both directions, and notices nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _harness import MOVES, ONE_MOVE, Lab, assert_alike, assert_moves_alike, both_packages, newest, package

SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
TOP_2 = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}
POLICIES: dict[str, dict[str, Any]] = {
    "top 2": TOP_2,
    "top 2, last as link": {**TOP_2, "save_last": "link"},
    "top 2 by steps": {**TOP_2, "every_n_train_steps": 2},
    "all": {"save_top_k": -1, "save_last": True},
    "the newest": {},
    "last alone": {"save_top_k": 0, "save_last": True, "every_n_train_steps": 1},
    "max": {**TOP_2, "mode": "max"},
    "no version counter": {**TOP_2, "filename": "{epoch}", "enable_version_counter": False},
}


def _resumed(policy: dict[str, Any], *, fits: int = 2, pick: str = "newest") -> Any:
    """Fits two epochs at a time, each time from a checkpoint that the one before left."""

    def scenario(lab: Lab) -> None:
        checkpoint = None
        for fit in range(fits):
            callback = lab.callback(**policy)
            trainer = lab.trainer(callback, max_epochs=2 * (fit + 1))
            lab.fit(trainer, lab.model(scores=SCORES), ckpt_path=checkpoint)
            lab.note("reached", [trainer.current_epoch, trainer.global_step])
            lab.note_callback(callback)
            lab.note_files()
            lab.note_contents()
            checkpoint = callback.best_model_path if pick == "best" else newest(lab.directory)

    return scenario


@pytest.mark.parametrize("policy", POLICIES)
def test_resume_from_the_newest(policy: str, tmp_path: Path) -> None:
    assert_moves_alike(_resumed(POLICIES[policy]), tmp_path, ONE_MOVE)


def test_there_and_back(tmp_path: Path) -> None:
    assert_moves_alike(_resumed(TOP_2, fits=3), tmp_path, MOVES)


def test_resume_from_the_best(tmp_path: Path) -> None:
    # The best of the first fit is its second save: from the first one Lightning resumes with a stale last_model_path.
    assert_moves_alike(_resumed({**TOP_2, "save_top_k": 3, "mode": "max"}, pick="best"), tmp_path, ONE_MOVE)


@both_packages
def test_resume_from_last_by_word(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        lab.fit(lab.trainer(lab.callback(**TOP_2), max_epochs=2), lab.model(scores=SCORES))
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback, max_epochs=4)
        lab.fit(trainer, lab.model(scores=SCORES), ckpt_path="last")
        lab.note("resumed from", trainer.ckpt_path)
        lab.note("reached", [trainer.current_epoch, trainer.global_step])
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_moves_alike(scenario, tmp_path, ONE_MOVE, package_name=package_name)


@both_packages
def test_fit_from_best_by_word(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback, max_epochs=3)
        model = lab.model(scores=SCORES)
        lab.fit(trainer, model)
        trainer.fit_loop.max_epochs = 5
        lab.fit(trainer, model, ckpt_path="best")
        lab.note("resumed from", trainer.ckpt_path)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


@both_packages
@pytest.mark.parametrize("which", ["best", "last"])
def test_validate_from(which: str, package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback)
        model = lab.model(scores=SCORES)
        lab.fit(trainer, model)
        lab.note_files("files after the fit")
        lab.note("validated", trainer.validate(model, ckpt_path=which, verbose=False))
        lab.note("from", trainer.ckpt_path)
        lab.note("weights", model.state_dict())
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path, package_name=package_name)


def test_validate_before_any_fit(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback)
        lab.note("validated", trainer.validate(lab.model(scores=SCORES), verbose=False))
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize("policy", ["top 2", "top 2, last as link", "the newest"])
@both_packages
def test_fit_twice_with_one_trainer(policy: str, package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**POLICIES[policy])
        trainer = lab.trainer(callback, max_epochs=2)
        model = lab.model(scores=SCORES)
        lab.fit(trainer, model)
        lab.note_files("files after the first fit")
        trainer.fit_loop.max_epochs = 4
        lab.fit(trainer, model)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


def test_one_callback_in_two_trainers(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        for epochs in (2, 3):
            lab.fit(lab.trainer(callback, max_epochs=epochs), lab.model(scores=SCORES))
            lab.note_callback(callback)
            lab.note_files()

    assert_alike(scenario, tmp_path)


def test_a_rerun_in_the_same_folder(tmp_path: Path) -> None:
    """Nobody resumes: the files of the first run are another run's, and stay."""

    def scenario(lab: Lab) -> None:
        for _ in range(2):
            callback = lab.callback(**TOP_2)
            lab.fit(lab.trainer(callback, max_epochs=3), lab.model(scores=SCORES))
            lab.note_callback(callback)
            lab.note_files()
            lab.note_contents()

    assert_moves_alike(scenario, tmp_path, ONE_MOVE)


def test_resume_into_another_folder(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        lab.fit(lab.trainer(lab.callback(**TOP_2), max_epochs=2), lab.model(scores=SCORES))
        last = str(lab.directory / "last.ckpt")
        callback = lab.callback(dirpath=lab.folder / "second", **TOP_2)
        lab.fit(lab.trainer(callback, max_epochs=4), lab.model(scores=SCORES), ckpt_path=last)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_moves_alike(scenario, tmp_path, ONE_MOVE)


def test_a_larger_k_on_resume(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        for k, epochs in ((1, 2), (3, 5)):
            callback = lab.callback(**{**TOP_2, "save_top_k": k})
            start = lab.directory / "last.ckpt"
            fit_from = str(start) if start.exists() else None
            lab.fit(lab.trainer(callback, max_epochs=epochs), lab.model(scores=SCORES), ckpt_path=fit_from)
            lab.note_callback(callback)
            lab.note_files()
            lab.note_contents()

    assert_moves_alike(scenario, tmp_path, ONE_MOVE)


@both_packages
def test_two_callbacks_go_on(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        start = None
        for epochs in (2, 3, 4):
            best = lab.callback(**TOP_2)
            steps = lab.callback(filename="every-{step}", every_n_train_steps=2, save_top_k=-1)
            lab.fit(lab.trainer(best, steps, max_epochs=epochs), lab.model(scores=SCORES), ckpt_path=start)
            lab.note_callback(best, "best")
            lab.note_callback(steps, "steps")
            lab.note_files()
            lab.note_contents()
            start = "last"

    assert_moves_alike(scenario, tmp_path, MOVES, package_name=package_name)


def test_state_keys_are_lightnings(tmp_path: Path) -> None:
    which = package("lightning")
    for arguments in ({}, TOP_2, {"every_n_train_steps": 5}, {"mode": "max", "monitor": "val_acc"}):
        theirs, ours = (cls(dirpath=tmp_path, **arguments) for cls in (which.theirs, which.ours))
        assert ours.state_key == theirs.state_key
