"""A user's subclass: what it overrides is called as with Lightning's class, and what it does on its own counts."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from _harness import MOVES, Lab, assert_alike, assert_moves_alike, both_packages

SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)


def _listening(lab: Lab, calls: list[Any]) -> type:
    """A subclass of the current class that notes each save and each removal."""

    class Mine(lab.current_class):  # type: ignore[name-defined]
        CHECKPOINT_EQUALS_CHAR = ":"

        def _save_checkpoint(self, trainer: Any, filepath: str) -> None:
            calls.append(["save", trainer.global_step, lab.plain(filepath)])
            super()._save_checkpoint(trainer, filepath)

        def _remove_checkpoint(self, trainer: Any, filepath: str) -> None:
            calls.append(["remove", trainer.global_step, lab.plain(filepath)])
            super()._remove_checkpoint(trainer, filepath)

    return Mine


@both_packages
def test_a_subclass(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        calls: list[Any] = []

        callback = _listening(lab, calls)(dirpath=lab.directory, monitor="val_loss", save_top_k=2)
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        lab.note("calls", calls)
        lab.note("state key", callback.state_key)
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


def test_a_subclass_that_writes_on_its_own(tmp_path: Path) -> None:
    """As in NeMo: the override neither calls super nor leaves the bookkeeping to it."""

    def scenario(lab: Lab) -> None:
        class Mine(lab.current_class):  # type: ignore[name-defined]
            def _save_checkpoint(self, trainer: Any, filepath: str) -> None:
                trainer.save_checkpoint(filepath, self.save_weights_only)
                Path(filepath).with_suffix(".done").touch()
                self._last_global_step_saved = trainer.global_step
                self._last_checkpoint_saved = filepath

            def _remove_checkpoint(self, trainer: Any, filepath: str) -> None:
                Path(filepath).with_suffix(".done").unlink()
                super()._remove_checkpoint(trainer, filepath)

        callback = Mine(dirpath=lab.directory, monitor="val_loss", save_top_k=2)
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path)


@both_packages
def test_a_subclass_that_is_resumed(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        start = None
        for epochs in (2, 3, 4):
            calls: list[Any] = []
            callback = _listening(lab, calls)(dirpath=lab.directory, monitor="val_loss", save_top_k=2, save_last=True)
            lab.fit(lab.trainer(callback, max_epochs=epochs), lab.model(scores=SCORES), ckpt_path=start)
            # `last` is a save of its own with Lightning's class only; see docs/compatibility.md.
            lab.note("calls", [call for call in calls if not Path(call[2]).name.startswith("last")])
            lab.note_callback(callback)
            lab.note_files()
            lab.note_contents()
            start = "last"

    assert_moves_alike(scenario, tmp_path, MOVES, package_name=package_name)


@both_packages
def test_a_subclass_that_makes_its_own_link(package_name: str, tmp_path: Path) -> None:
    """Lightning's `_link_checkpoint` is static: it can be called on the class, and replaced."""

    def scenario(lab: Lab) -> None:
        calls: list[Any] = []

        class Mine(lab.current_class):  # type: ignore[name-defined]
            @staticmethod
            def _link_checkpoint(trainer: Any, filepath: str, linkpath: str) -> None:
                calls.append([trainer.global_step, lab.plain(filepath), lab.plain(linkpath)])
                lab.current_class._link_checkpoint(trainer, filepath, linkpath)

        callback = Mine(dirpath=lab.directory, monitor="val_loss", save_top_k=2, save_last="link")
        lab.fit(lab.trainer(callback), lab.model(scores=SCORES))
        assert calls
        lab.note("calls", calls)
        lab.note_callback(callback)
        lab.note_files()

    assert_alike(scenario, tmp_path, package_name=package_name)


@both_packages
def test_a_checkpoint_that_names_the_callback_by_its_class(package_name: str, tmp_path: Path) -> None:
    """As those from before Lightning 1.5 do, and only Lightning's class can be meant."""

    def scenario(lab: Lab) -> None:
        callback = lab.callback(monitor="val_loss", save_top_k=2)
        trainer = lab.trainer(callback)
        state = lab.package.theirs(dirpath=lab.directory, monitor="val_loss", save_top_k=2).state_dict()
        state["best_model_path"] = str(lab.directory / "an-old-one.ckpt")
        call = importlib.import_module(f"{lab.package.pl.__name__}.trainer.call")
        call._call_callbacks_load_state_dict(trainer, {"callbacks": {lab.package.theirs: state}})
        assert callback.best_model_path.endswith("an-old-one.ckpt")
        lab.note_callback(callback)

    assert_alike(scenario, tmp_path, package_name=package_name)
