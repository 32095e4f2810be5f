"""What people do around the callback: several at once, saves by hand, loggers, other plugins, copies."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from _harness import Lab, assert_alike, both_packages, load, package

SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
TOP_2 = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}
NAMES_FOR_LOGGERS = ("best_model_path", "best_model_score", "best_k_models", "_last_checkpoint_saved")


@pytest.mark.parametrize("apart", [True, False], ids=["two folders", "one folder"])
@both_packages
def test_two_callbacks(apart: bool, package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        best = lab.callback(**TOP_2)
        steps = lab.callback(
            dirpath=lab.folder / "steps" if apart else lab.directory,
            filename="every-{step}", every_n_train_steps=2, save_top_k=-1,
        )  # fmt: skip
        lab.fit(lab.trainer(best, steps), lab.model(scores=SCORES))
        for name, callback in (("best", best), ("steps", steps)):
            lab.note_callback(callback, name)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


def test_ours_beside_lightnings(tmp_path: Path) -> None:
    """Both classes in one trainer: each has its own folder and its own state."""

    def scenario(lab: Lab) -> None:
        first = lab.callback(**TOP_2)
        second = lab.package.theirs(dirpath=lab.folder / "second", monitor="val_loss", mode="max", save_top_k=2)
        lab.fit(lab.trainer(first, second), lab.model(scores=SCORES))
        lab.note_callback(first, "first")
        lab.note_callback(second, "second")
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


def test_two_callbacks_with_one_state_key_are_refused(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        with pytest.raises(RuntimeError) as caught:
            lab.trainer(lab.callback(**TOP_2), lab.callback(dirpath=lab.folder / "second", **TOP_2))
        lab.note("error", str(caught.value))

    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize("where", ["beside the others", "in another folder"])
@both_packages
def test_a_save_by_hand(where: str, package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback)
        lab.fit(trainer, lab.model(scores=SCORES))
        folder = lab.directory if where == "beside the others" else lab.folder / "elsewhere"
        trainer.save_checkpoint(folder / "by-hand.ckpt")
        trainer.save_checkpoint(folder / "weights.ckpt", weights_only=True)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


@both_packages
def test_a_save_by_hand_in_training(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)

        class SaveByHand(lab.package.pl.Callback):  # type: ignore[name-defined]
            def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
                trainer.save_checkpoint(lab.directory / f"start-of-{trainer.current_epoch}.ckpt")

        lab.fit(lab.trainer(callback, SaveByHand()), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


@pytest.mark.parametrize("save_last", [None, True, "link"])
def test_loggers_hear_the_same(save_last: Any, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        heard: list[Any] = []

        class Listener(lab.package.pl.loggers.logger.DummyLogger):  # type: ignore[name-defined]
            save_dir = str(lab.folder)

            def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
                saved, last = checkpoint_callback._last_checkpoint_saved, checkpoint_callback.last_model_path
                told = (getattr(checkpoint_callback, name) for name in NAMES_FOR_LOGGERS)
                # Before `last` is there, ours already names it; Lightning names the one before.
                heard.append(lab.plain([os.path.exists(saved), last == saved, *told]))

        callback = lab.callback(**{**TOP_2, "save_last": save_last})
        lab.fit(lab.trainer(callback, logger=Listener()), lab.model(scores=SCORES))
        lab.note("heard", heard)

    assert_alike(scenario, tmp_path)


def test_the_folder_of_a_logger(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(dirpath=None, **TOP_2)
        logger = lab.package.pl.loggers.CSVLogger(lab.folder, name="run")
        lab.fit(lab.trainer(callback, logger=logger), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path)


def test_no_folder_given(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(dirpath=None, **TOP_2)
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path)


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scenario(lab: Lab) -> None:
        monkeypatch.chdir(lab.folder)
        callback = lab.callback(dirpath="runs/../checkpoints", **TOP_2)
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path)


def test_early_stopping(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        stopping = lab.package.pl.callbacks.EarlyStopping("val_loss", patience=1)
        trainer = lab.trainer(stopping, callback, max_epochs=9)
        lab.fit(trainer, lab.model(scores=SCORES))
        lab.note("reached", [trainer.current_epoch, trainer.global_step])
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


def test_to_yaml(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        callback.to_yaml()
        lab.note("yaml", (lab.directory / "best_k_models.yaml").read_text())

    assert_alike(scenario, tmp_path)


def test_a_checkpoint_io_of_the_user(tmp_path: Path) -> None:
    """Another CheckpointIO stays in charge: it sees the same saves and removals as with Lightning's class."""

    def scenario(lab: Lab) -> None:
        seen: list[Any] = []

        class Recording(lab.package.pl.plugins.io.TorchCheckpointIO):  # type: ignore[name-defined]
            def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
                seen.append(["save", lab.plain(path)])
                super().save_checkpoint(checkpoint, path, storage_options)

            def remove_checkpoint(self, path: Any) -> None:
                seen.append(["remove", lab.plain(path)])
                super().remove_checkpoint(path)

        callback = lab.callback(**TOP_2)
        lab.fit(lab.trainer(callback, plugins=[Recording()]), lab.model(scores=SCORES))
        lab.note("seen", seen)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


def test_an_asynchronous_checkpoint_io(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(save_top_k=-1, monitor="val_loss")
        plugin = lab.package.pl.plugins.io.AsyncCheckpointIO()
        lab.fit(lab.trainer(callback, plugins=[plugin]), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()
        # Older versions hand over tensors that training goes on changing: only what is copied is compared.
        for path in sorted(lab.directory.iterdir()):
            lab.note(path.name, load(path)["global_step"])

    assert_alike(scenario, tmp_path)


def test_weight_averaging(tmp_path: Path) -> None:
    if not hasattr(package("lightning").pl.callbacks, "EMAWeightAveraging"):
        pytest.skip("this Lightning has no EMAWeightAveraging")

    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        averaging = lab.package.pl.callbacks.EMAWeightAveraging()
        lab.fit(lab.trainer(averaging, callback), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


def test_a_callback_copies_and_pickles(tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback)
        lab.fit(trainer, lab.model(scores=SCORES))
        for name, twin in (("copy", copy.deepcopy(callback)), ("pickle", pickle.loads(pickle.dumps(callback)))):
            lab.note_callback(twin, name)
            lab.fit(lab.trainer(twin, max_epochs=6), lab.model(scores=SCORES))
            lab.note_callback(twin, f"{name}, fitted")
        lab.note_files()

    assert_alike(scenario, tmp_path)


def test_isinstance_and_the_default_callback(tmp_path: Path) -> None:
    """A Trainer finds ours where it looks for Lightning's, and adds none of its own beside it."""

    def scenario(lab: Lab) -> None:
        callback = lab.callback(**TOP_2)
        trainer = lab.trainer(callback, enable_checkpointing=True)
        assert isinstance(callback, lab.package.theirs)
        assert trainer.checkpoint_callback is callback
        lab.note("callbacks", [type(entry).__name__ for entry in trainer.callbacks])

    assert_alike(scenario, tmp_path)
