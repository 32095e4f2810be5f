"""What the same run costs on disk: with Lightning's class, and with ours."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from _harness import Lab, Package, package
from reference.disk_watch import DiskWatch, handed_to_the_kernel
from reference.watched_store import watched_stores

IMPROVING = (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
BALLAST_BYTES = 2_000_000
SAVES = 6


@dataclass(frozen=True)
class Measured:
    """One fit on a real directory.

    Args:
        callback: Its callback, after the fit.
        peak: The most files that owned blocks at one moment, staged and removed ones included.
        complete: Full files that were written, as far as what publishes them tells.
        handed_over: Full files' worth of bytes that the process gave to the kernel.
    """

    callback: Any
    peak: int
    complete: float
    handed_over: float


def _measured_fit(which: Package, cls: type, folder: Path, **arguments: Any) -> Measured:
    lab = Lab(which, (cls,), folder)
    staging = folder / "tmp"
    staging.mkdir(parents=True)
    lab.directory.mkdir()
    watch = DiskWatch(lab.directory, staging)
    model = lab.model(scores=IMPROVING)
    model.register_buffer("ballast", torch.zeros(BALLAST_BYTES, dtype=torch.uint8))
    if cls is which.ours:
        # A reflink shares blocks too, but only a hard link can be told by its inode.
        arguments.setdefault("last_as", "link")
    callback = lab.callback(**arguments)
    trainer = lab.trainer(callback, max_epochs=SAVES, limit_train_batches=1)
    before = handed_to_the_kernel()
    with watch, mock.patch.object(tempfile, "tempdir", str(staging)), watched_stores(watch):
        lab.fit(trainer, model)
    written = handed_to_the_kernel() - before
    return Measured(callback, watch.peak_total.files, watch.written / BALLAST_BYTES, written / BALLAST_BYTES)


@pytest.fixture
def which() -> Package:
    return package("lightning")


def test_top_3_and_last_peak_at_four_files_instead_of_five_and_write_half(which: Package, tmp_path: Path) -> None:
    policy: dict[str, Any] = {"monitor": "val_loss", "save_top_k": 3, "save_last": True}
    theirs = _measured_fit(which, which.theirs, tmp_path / "theirs", **policy)
    ours = _measured_fit(which, which.ours, tmp_path / "ours", **policy)

    assert (theirs.peak, ours.peak) == (5, 4)
    # A file is the ballast and less than a hundredth of everything else.
    assert [theirs.complete, ours.complete] == pytest.approx([2 * SAVES, SAVES], rel=0.01)
    assert [theirs.handed_over, ours.handed_over] == pytest.approx([2 * SAVES, SAVES], rel=0.02)
    # `last` is the newest file under another name, and the four names that are left hold three files.
    last = Path(ours.callback.last_model_path)
    assert last.stat().st_ino in {Path(path).stat().st_ino for path in ours.callback.best_k_models}
    left = list(last.parent.glob("*.ckpt"))
    assert (len(left), len({path.stat().st_ino for path in left})) == (4, 3)


def test_a_last_of_its_own_costs_what_lightnings_does(which: Package, tmp_path: Path) -> None:
    """The measure sees a second file where there is one."""
    policy: dict[str, Any] = {"monitor": "val_loss", "save_top_k": 3, "save_last": True, "last_as": "copy"}
    ours = _measured_fit(which, which.ours, tmp_path / "ours", **policy)
    assert ours.peak == 5
    assert ours.handed_over == pytest.approx(2 * SAVES, rel=0.02)


@pytest.mark.parametrize(
    ("policy", "theirs", "ours"),
    [
        ({"save_top_k": 1}, 2, 2),
        ({"save_top_k": 2}, 3, 3),
        ({"save_top_k": 1, "save_last": True}, 3, 2),
        ({"save_top_k": 2, "save_last": "link"}, 3, 3),
        ({"save_top_k": -1}, SAVES, SAVES),
        ({"save_top_k": -1, "save_last": True}, SAVES + 2, SAVES),
        ({"save_top_k": 0, "save_last": True, "every_n_train_steps": 1}, 2, 2),
    ],
    ids=str,
)
def test_peak_files(policy: dict[str, Any], theirs: int, ours: int, which: Package, tmp_path: Path) -> None:
    policy = {"monitor": "val_loss", **policy}
    measured = [
        _measured_fit(which, cls, tmp_path / name, **policy).peak
        for name, cls in (("theirs", which.theirs), ("ours", which.ours))
    ]
    assert measured == [theirs, ours]
