"""Where ours differs from Lightning's class on purpose; docs/compatibility.md has the reasons.

Each test shows both sides: should Lightning change its mind, the test fails and the page has to follow.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from _harness import OUR_FOLDER, OUR_KEY, Lab, Package, load, package
from reference import LIGHTNING_VERSION

SCORES = (3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0)
TOP_2: dict[str, Any] = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}


@pytest.fixture
def labs(tmp_path: Path) -> tuple[Lab, Lab]:
    """One lab with Lightning's class, one with ours."""
    which: Package = package("lightning")
    both = []
    for name, cls in (("theirs", which.theirs), ("ours", which.ours)):
        (tmp_path / name).mkdir()
        both.append(Lab(which, (cls,), tmp_path / name))
    return both[0], both[1]


def _fit(lab: Lab, *, epochs: int, start: str | None = None, **arguments: Any) -> Any:
    callback = lab.callback(**arguments)
    trainer = lab.trainer(callback, max_epochs=epochs, limit_train_batches=1)
    lab.fit(trainer, lab.model(scores=SCORES), ckpt_path=start)
    return callback


def _names(lab: Lab) -> list[str]:
    return sorted(path.name for path in lab.directory.glob("*.ckpt"))


def test_a_file_knows_the_last_that_is_made_of_it(labs: tuple[Lab, Lab]) -> None:
    written = []
    for lab in labs:
        callback = _fit(lab, epochs=1, **TOP_2)
        (state,) = load(callback.best_model_path)["callbacks"].values()
        written.append(os.path.basename(state["last_model_path"]))
    assert written == ["", "last.ckpt"]


def test_resuming_from_the_first_file_goes_on_with_one_last(labs: tuple[Lab, Lab]) -> None:
    left = []
    for lab in labs:
        first = _fit(lab, epochs=1, **TOP_2).best_model_path
        _fit(lab, epochs=3, start=first, **TOP_2)
        left.append([name for name in _names(lab) if name.startswith("last")])
    assert left == [["last-v1.ckpt", "last.ckpt"], ["last.ckpt"]]


def test_last_is_another_name_of_the_newest_save(labs: tuple[Lab, Lab]) -> None:
    shared = []
    for lab, more in zip(labs, ({}, {"last_as": "link"})):
        callback = _fit(lab, epochs=2, **more, **TOP_2)
        newest = list(callback.best_k_models)[-1]
        shared.append(os.path.samefile(callback.last_model_path, newest))
    assert shared == [False, True]


def test_last_as_copy_shares_nothing(labs: tuple[Lab, Lab]) -> None:
    callback = _fit(labs[1], epochs=2, last_as="copy", **TOP_2)
    newest = list(callback.best_k_models)[-1]
    assert not os.path.samefile(callback.last_model_path, newest)
    assert Path(callback.last_model_path).read_bytes() == Path(newest).read_bytes()


def test_a_smaller_k_prunes_on_resume(labs: tuple[Lab, Lab]) -> None:
    left = []
    for lab in labs:
        _fit(lab, epochs=5, **{**TOP_2, "save_top_k": 5})
        start = str(lab.directory / "last.ckpt")
        callback = _fit(lab, epochs=7, start=start, **TOP_2)
        left.append((len(_names(lab)), len(callback.best_k_models)))
    # Lightning never prunes again: the 5 files stay, and the one of the two new ones that beats the worst joins them.
    assert left == [(7, 6), (3, 2)]


def test_vanished_files_hold_no_slots(labs: tuple[Lab, Lab]) -> None:
    kept = []
    for lab in labs:
        callback = _fit(lab, epochs=2, **TOP_2)
        os.remove(callback.best_model_path)
        callback = _fit(lab, epochs=3, start=str(lab.directory / "last.ckpt"), **TOP_2)
        kept.append([os.path.exists(path) for path in callback.best_k_models])
    # The third score is the worst so far: with Lightning the vanished best keeps it out.
    assert kept == [[True, False], [True, True]]


def test_a_stored_file_that_became_a_link_holds_no_slot(labs: tuple[Lab, Lab]) -> None:
    stored = []
    for lab in labs:
        best = Path(_fit(lab, epochs=2, **TOP_2).best_model_path)
        best.rename(lab.folder / "elsewhere.ckpt")
        best.symlink_to(lab.folder / "elsewhere.ckpt")
        callback = _fit(lab, epochs=4, start=str(lab.directory / "last.ckpt"), **TOP_2)
        stored.append(sorted(os.path.basename(path) for path in callback.best_k_models))
        assert best.is_symlink() and load(lab.folder / "elsewhere.ckpt")["epoch"] == 1
    # The scores are 3, 1 (now a link), 4 and 1.5: Lightning ranks the link, ours the files.
    assert stored == [["epoch=1-step=2.ckpt", "epoch=3-step=4.ckpt"], ["epoch=0-step=1.ckpt", "epoch=3-step=4.ckpt"]]


def test_fast_dev_run_writes_nothing(labs: tuple[Lab, Lab]) -> None:
    left = []
    for lab in labs:
        lab.fit(lab.trainer(lab.callback(**TOP_2), fast_dev_run=True), lab.model(scores=SCORES))
        left.append(_names(lab))
    # Lightning's on_train_end came with 2.5.3, and does not ask whether this is a fast_dev_run.
    theirs = ["last.ckpt"] if "on_train_end" in vars(labs[0].package.theirs) else []
    assert left == [theirs, []]


def test_our_folder_is_there_while_training_and_gone_after_it(labs: tuple[Lab, Lab]) -> None:
    met, left = [], []
    for lab in labs:

        class Look(lab.package.pl.Callback):  # type: ignore[name-defined]
            def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
                if trainer.current_epoch == 1:
                    met.append({name for name in os.listdir(lab.directory) if not name.endswith(".ckpt")})

        lab.fit(lab.trainer(Look(), lab.callback(**TOP_2), max_epochs=2), lab.model(scores=SCORES))
        left.append({name for name in os.listdir(lab.directory) if not name.endswith(".ckpt")})
    assert met == [set(), {OUR_FOLDER}]
    assert left == [set(), set()]


@pytest.fixture
def staged_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """``$TMPDIR`` is on another filesystem than the checkpoints."""
    other = Path("/dev/shm")
    if not other.is_dir() or os.stat(other).st_dev == os.stat(tempfile.gettempdir()).st_dev:
        pytest.skip("no second filesystem to stage on")
    monkeypatch.setattr(tempfile, "tempdir", str(other))


@pytest.mark.usefixtures("staged_elsewhere")
def test_nothing_is_written_through_a_last_symlink(labs: tuple[Lab, Lab]) -> None:
    """A run with ``save_last="link"`` goes on with ``save_last=True`` from a copy, so that the link is not its own."""
    holds = []
    for lab in labs:
        callback = _fit(lab, epochs=2, **{**TOP_2, "save_last": "link"})
        target = Path(os.path.realpath(callback.last_model_path))
        start = shutil.copy(target, lab.folder / "start.ckpt")
        _fit(lab, epochs=3, start=str(start), **{**TOP_2, "save_top_k": 3})
        holds.append((target.name, load(target)["global_step"], os.path.islink(callback.last_model_path)))
    # Lightning's move copies through the link: a file named after step 2 holds step 3.
    assert holds == [("epoch=1-step=2.ckpt", 3, True), ("epoch=1-step=2.ckpt", 2, False)]


@pytest.mark.usefixtures("staged_elsewhere")
@pytest.mark.parametrize(("last_as", "step"), [("link", 3), ("copy", 2)])
def test_going_back_to_lightnings_class(last_as: str, step: int, labs: tuple[Lab, Lab]) -> None:
    """The danger that the page warns of: Lightning's move copies into the blocks that ``last`` shares."""
    theirs, ours = labs
    best = _fit(ours, epochs=2, last_as=last_as, **TOP_2).best_model_path
    back = Lab(theirs.package, theirs.classes, ours.folder)
    _fit(back, epochs=3, start=str(ours.directory / "last.ckpt"), **{**TOP_2, "save_top_k": 3})
    assert load(best)["global_step"] == step


def test_last_never_becomes_a_link_to_itself(labs: tuple[Lab, Lab]) -> None:
    loads = []
    for lab in labs:
        callback = _fit(lab, epochs=2, **{**TOP_2, "save_last": "link", "every_n_epochs": 3})
        loads.append(os.path.exists(callback.last_model_path))  # False for a link to itself
    # Before 2.6 Lightning made `last` of an epoch without a save, and the next epoch's link named its own place.
    assert loads == [tuple(map(int, LIGHTNING_VERSION.split(".")[:2])) >= (2, 6), True]


def test_after_a_name_was_used_again_kth_names_no_removed_file(labs: tuple[Lab, Lab]) -> None:
    kept, kth = [], []
    for lab in labs:
        callback = lab.callback(filename="{epoch}", enable_version_counter=False, every_n_train_steps=1, **TOP_2)
        lab.fit(lab.trainer(callback, max_epochs=4), lab.model(scores=SCORES))
        kept.append(_names(lab))
        kth.append(os.path.basename(callback.kth_best_model_path))
    # A full top k drops its kth for a save even if that overwrites another of its files: one file is left.
    assert kept == [["epoch=3.ckpt", "last.ckpt"]] * 2
    assert kth == ["epoch=1.ckpt", ""]


def test_our_part_of_the_state_is_plain_values(labs: tuple[Lab, Lab]) -> None:
    states = []
    for lab in labs:
        callback = _fit(lab, epochs=3, **TOP_2)
        # load() refuses anything but plain values and tensors.
        states.extend(load(callback.last_model_path)["callbacks"].values())
    theirs, ours = states
    assert ours.keys() - theirs.keys() == {OUR_KEY}
    assert theirs.keys() <= ours.keys()
