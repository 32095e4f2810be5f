"""What the same run costs on disk: with Lightning's class, and with ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from _harness import Lab, Package, package
from reference.disk_watch import DiskWatch
from reference.watched_store import watched_stores

IMPROVING = (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0)
BALLAST_BYTES = 2_000_000
SAVES = 6


def _measured_fit(which: Package, cls: type, folder: Path, **arguments: Any) -> tuple[DiskWatch, Any]:
    lab = Lab(which, (cls,), folder)
    staging = folder / "tmp"
    staging.mkdir(parents=True)
    lab.directory.mkdir()
    watch = DiskWatch(lab.directory, staging)
    model = lab.model(scores=IMPROVING)
    model.register_buffer("ballast", torch.zeros(BALLAST_BYTES, dtype=torch.uint8))
    if cls is which.ours:
        arguments["last_as"] = "link"  # a reflink shares blocks too, but only a hard link can be told by its inode
    callback = lab.callback(**arguments)
    with watch, mock.patch.object(tempfile, "tempdir", str(staging)), watched_stores(watch):
        lab.fit(lab.trainer(callback, max_epochs=SAVES, limit_train_batches=1), model)
    return watch, callback


@pytest.fixture
def which() -> Package:
    return package("lightning")


def test_top_3_and_last_peak_at_four_files_instead_of_five_and_write_half(which: Package, tmp_path: Path) -> None:
    policy: dict[str, Any] = {"monitor": "val_loss", "save_top_k": 3, "save_last": True}
    theirs, _ = _measured_fit(which, which.theirs, tmp_path / "theirs", **policy)
    ours, callback = _measured_fit(which, which.ours, tmp_path / "ours", **policy)

    assert theirs.peak_total.files == 5
    assert ours.peak_total.files == 4
    full_writes = [watch.written / BALLAST_BYTES for watch in (theirs, ours)]
    # A file is the ballast and less than a hundredth of everything else.
    assert full_writes == pytest.approx([2 * SAVES, SAVES], rel=0.01)
    # `last` is the newest file under another name.
    last = Path(callback.last_model_path)
    assert last.stat().st_ino in {Path(path).stat().st_ino for path in callback.best_k_models}


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
        _measured_fit(which, cls, tmp_path / name, **policy)[0].peak_total.files
        for name, cls in (("theirs", which.theirs), ("ours", which.ours))
    ]
    assert measured == [theirs, ours]
