"""When Lightning's class saves, ours saves: triggers, limits, and the odd corners of the fit loop."""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from _harness import Lab, assert_alike, both_packages, one_fit, package

MIXED = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
TOP_2 = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}

CALLBACKS: dict[str, dict[str, Any]] = {
    "every 2 epochs": {"every_n_epochs": 2},
    "every 9 epochs, never reached": {"every_n_epochs": 9},
    "every 2 steps": {"every_n_train_steps": 2},
    "every step, all": {"every_n_train_steps": 1, "save_top_k": -1},
    "every step, none but last": {"every_n_train_steps": 1, "save_top_k": 0},
    "every step, last as link": {"every_n_train_steps": 1, "save_last": "link"},
    "time": {"train_time_interval": timedelta(0)},
    "on train epoch end": {"save_on_train_epoch_end": True},
    "on validation end": {"save_on_train_epoch_end": False},
    "steps, on validation end": {"every_n_train_steps": 2, "save_on_train_epoch_end": False},
    "no version counter": {"filename": "one", "enable_version_counter": False},
    "no version counter, steps": {"filename": "{step}", "enable_version_counter": False, "every_n_train_steps": 1},
    "version counter": {"filename": "one"},
    "metric in the name": {"filename": "{epoch:02d}-{val_loss:.2f}"},
    "metric in a name by hand": {"filename": "e{epoch}-{val_loss:.1f}", "auto_insert_metric_name": False},
    "name in a folder": {"filename": "best/{epoch}"},
    "weights only": {"save_weights_only": True},
    "quiet": {"verbose": True},
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callback_arguments(name: str, tmp_path: Path) -> None:
    assert_alike(one_fit(scores=MIXED, **{**TOP_2, **CALLBACKS[name]}), tmp_path)


@both_packages
@pytest.mark.parametrize("seconds", [2, 5])
def test_a_time_interval(seconds: int, package_name: str, tmp_path: Path) -> None:
    """Of two or five steps each, across the ends of epochs of three."""

    def scenario(lab: Lab) -> None:
        callback = lab.callback(train_time_interval=timedelta(seconds=seconds), **TOP_2)
        trainer = lab.trainer(callback)
        with lab.a_second_a_step(trainer):
            lab.fit(trainer, lab.model(scores=MIXED))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


TRAINERS: dict[str, dict[str, Any]] = {
    "validation every other epoch": {"check_val_every_n_epoch": 2},
    "validation twice an epoch": {"val_check_interval": 0.5, "limit_train_batches": 2},
    "validation by steps": {"val_check_interval": 2, "check_val_every_n_epoch": None},
    "limited train batches": {"limit_train_batches": 2},
    "a fraction of the train batches": {"limit_train_batches": 0.5},
    "limited validation batches": {"limit_val_batches": 1},
    "max steps in the middle of an epoch": {"max_epochs": -1, "max_steps": 5},
    "accumulation": {"accumulate_grad_batches": 2},
    "sanity validation": {"num_sanity_val_steps": 2},
    "fast dev run": {"fast_dev_run": 2},
}


@pytest.mark.parametrize("trigger", [{}, {"every_n_train_steps": 2}], ids=["epochs", "steps"])
@pytest.mark.parametrize("name", TRAINERS)
def test_trainer_arguments(name: str, trigger: dict[str, Any], tmp_path: Path) -> None:
    arguments = {**TOP_2, **trigger}
    if name == "fast dev run":
        arguments["save_last"] = None  # with it Lightning writes a last.ckpt at the end; ours does not
    assert_alike(one_fit(scores=MIXED, trainer=TRAINERS[name], **arguments), tmp_path)


def test_without_validation(tmp_path: Path) -> None:
    scenario = one_fit(
        scores=MIXED, model={"log_in": "training"}, trainer={"limit_val_batches": 0}, monitor="val_loss", save_top_k=2
    )
    assert_alike(scenario, tmp_path)


def test_metric_logged_in_training(tmp_path: Path) -> None:
    scenario = one_fit(scores=MIXED, model={"log_in": "training"}, every_n_train_steps=1, **TOP_2)
    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize("trigger", [{}, {"every_n_train_steps": 2}], ids=["epochs", "steps"])
def test_manual_optimization(trigger: dict[str, Any], tmp_path: Path) -> None:
    assert_alike(one_fit(scores=MIXED, model={"manual": True}, **{**TOP_2, **trigger}), tmp_path)


def test_a_metric_that_is_never_logged(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(monitor="no_such_metric", save_top_k=2)
        with pytest.raises(Exception, match="no_such_metric") as caught:
            lab.fit(lab.trainer(callback), lab.model(scores=MIXED))
        lab.note("error", [type(caught.value).__name__, str(caught.value)])
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize("save_last", [None, True])
def test_an_exception_in_training(save_last: bool | None, tmp_path: Path) -> None:
    if "save_on_exception" not in inspect.signature(package("lightning").theirs.__init__).parameters:
        pytest.skip("this Lightning has no save_on_exception")

    def scenario(lab: Lab) -> None:
        callback = lab.callback(save_on_exception=True, **{**TOP_2, "save_last": save_last})
        with pytest.raises(ArithmeticError, match="exploded"):
            lab.fit(lab.trainer(callback), lab.model(scores=MIXED, fails_at=7))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [{"save_top_k": -2}, {"save_top_k": 3}, {"mode": "best"}, {"every_n_epochs": 1, "every_n_train_steps": 1}],
    ids=str,
)
def test_wrong_arguments(arguments: dict[str, Any], tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        with pytest.raises(Exception) as caught:
            lab.callback(**arguments)
        lab.note("error", [type(caught.value).__name__, str(caught.value)])

    assert_alike(scenario, tmp_path)
