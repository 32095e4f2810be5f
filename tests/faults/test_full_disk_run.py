"""Real fits on a disk that is really full: refused before the first batch, or in the middle of the run."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import checkroom  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402

MB = 1_000_000
EPOCHS = 8
FILLER = "somebody-elses.bin"


class Model(pl.LightningModule):
    """About 3 MB with its AdamW states; val_loss falls at every epoch.

    Args:
        at_epoch: Called as each epoch begins.
        in_save: Called in the middle of each save, before a byte of the file is written.
    """

    def __init__(
        self,
        at_epoch: Callable[[int], None] = lambda epoch: None,
        in_save: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(500, 500)
        self.at_epoch = at_epoch
        self.in_save = in_save

    def on_train_epoch_start(self) -> None:
        self.at_epoch(self.current_epoch)

    def on_save_checkpoint(self, checkpoint: Any) -> None:
        self.in_save(self.current_epoch)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", 1.0 / (1 + self.current_epoch))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters())


def fit(
    model: Model, checkpoint: ModelCheckpoint, epochs: int = EPOCHS, start: Path | None = None
) -> list[str]:
    """Trains; returns what was warned of."""
    data = DataLoader(TensorDataset(torch.ones(2, 500)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, data, data, ckpt_path=start)
    assert trainer.current_epoch == epochs
    return [str(entry.message) for entry in caught]


def available(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def fill(folder: Path, leave: int) -> Path:
    """Somebody else fills the disk."""
    path = folder / FILLER
    with open(path, "wb") as file:
        while available(folder) > leave + 2**16:
            file.write(b"x" * min(2**20, available(folder) - leave - 2**15))
            file.flush()
            os.fsync(file.fileno())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt"))


def taken(folder: Path) -> tuple[int, list[str]]:
    """What is on the disk: free bytes, and every file of the run, staged and removed ones included."""
    files = [path for path in (folder / "checkpoints").rglob("*") if path.is_file()]
    return available(folder), sorted(str(path.relative_to(folder)) for path in files)


def epoch_in(path: str | Path) -> int:
    """The epoch of a checkpoint, loaded as strictly as PyTorch can."""
    return int(torch.load(path, weights_only=True)["epoch"])


def callback(folder: Path, **arguments: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="{epoch}", monitor="val_loss",
        **{"save_last": True, "min_free": 0, "save_top_k": 2, **arguments},
    )


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_the_preflight_refuses_a_run_that_cannot_fit(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    fill(folder, 2 * MB)
    before = available(folder)
    begun: list[int] = []
    with pytest.raises(checkroom.PreflightError) as caught:
        fit(Model(begun.append), callback(folder))
    assert begun == []
    error = caught.value
    assert error.need is not None and error.have is not None
    # At least two files of 3 MB, the figure that is short, and what is really there.
    assert 6 * MB <= error.need < 7 * MB
    assert abs(error.have - before) <= 8192
    assert error.short_by == error.need - error.have
    assert error.limit == "filesystem"
    assert error.path == str(folder / "checkpoints")
    figures = (error.need, error.have, error.short_by)
    need, have, short_by = map(checkroom.format_size, figures)
    assert f"needs {need}, has {have}, short by {short_by}, limited by the filesystem" in str(error)
    assert abs(available(folder) - before) <= 8192  # the directory entry of the run
    assert not (folder / "checkpoints").exists() or list((folder / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_run_whose_most_does_not_fit_is_warned_of(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    fill(folder, 8 * MB)  # two files fit, the third that the peak needs does not
    lines = fit(Model(), callback(folder))
    (warning,) = [line for line in lines if "a save may not fit" in line]
    # What it advises in its place fits, and runs without a warning.
    advised = re.search(r"what would fit:\n    ModelCheckpoint\((.*?)\)  # needs ", warning)
    assert advised is not None, warning
    for path in (folder / "checkpoints").glob("*.ckpt"):
        path.unlink()
    arguments = eval(f"dict({advised[1]})", {"dict": dict})
    lines = fit(Model(), ModelCheckpoint(dirpath=folder / "checkpoints", filename="{epoch}", min_free=0, **arguments))
    assert not [line for line in lines if "may not fit" in line or "was not saved" in line]


@pytest.mark.parametrize(("save_top_k", "fits"), [(-1, False), (3, True)])
def test_a_run_that_goes_on_counts_what_it_keeps(small_filesystem: Any, save_top_k: int, fits: bool) -> None:
    folder = small_filesystem("tmpfs", 22 * MB)  # four files and three more
    arguments = {"save_top_k": save_top_k, "save_last": None}
    fit(Model(), callback(folder, **arguments), 4)
    lines = fit(Model(), callback(folder, **arguments), 8, folder / "checkpoints" / "epoch=3.ckpt")
    assert bool([line for line in lines if "the run may not fit" in line and "short by" in line]) != fits
    refused = [line for line in lines if "was not saved" in line]
    assert (not refused) == fits, refused


def test_an_advised_cap_has_room_for_what_others_have_there(small_filesystem: Any) -> None:
    folder = small_filesystem("tmpfs", 16 * MB)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / FILLER).write_bytes(b"x" * 4 * MB)
    with pytest.raises(checkroom.PreflightError, match="limited by the filesystem") as caught:
        fit(Model(), callback(folder, save_top_k=-1, save_last=None))
    advised = re.search(r'max_size="([^"]*)"', str(caught.value))
    assert advised is not None, caught.value
    assert 15 * MB < checkroom.parse_size(advised[1]) < 16.1 * MB
    lines = fit(Model(), callback(folder, save_top_k=-1, save_last=None, max_size=advised[1]))
    assert not [line for line in lines if "may not fit" in line or "was not saved" in line]
    assert len(names(folder)) == 2  # and a third while one is saved


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_that_somebody_else_fills_in_mid_run(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 48 * MB)
    full: list[tuple[int, list[str]]] = []
    best: list[int] = []

    def at_epoch(epoch: int) -> None:
        if epoch == 3:
            fill(folder, 1 * MB)
        if epoch in (3, 4, 5):  # before a save was refused, after one, after two
            full.append(taken(folder))
            best.append(epoch_in(checkpoint.best_model_path))
            assert epoch_in(checkpoint.last_model_path) == 2
        if epoch == 5:
            (folder / FILLER).unlink()
        if epoch == 6:  # the next save after space returned
            assert names(folder) == ["epoch=2.ckpt", "epoch=5.ckpt", "last.ckpt"]
            assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 5

    checkpoint = callback(folder, prune_first=False)
    lines = fit(Model(at_epoch), checkpoint)
    assert [files for _, files in full] == [full[0][1]] * 3
    assert len({free for free, _ in full}) == 1, "a refused save left something"
    assert best == [2, 2, 2]
    refused = [line for line in lines if "was not saved" in line]
    assert [line.split()[1] for line in refused] == ["epoch=3.ckpt", "epoch=4.ckpt"]
    assert all("short by" in line and "limited by the filesystem" in line for line in refused)
    assert names(folder) == ["epoch=6.ckpt", "epoch=7.ckpt", "last.ckpt"]
    assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 7


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_that_fills_after_the_save_was_admitted(small_filesystem: Any, kind: str) -> None:
    """The save had been let in: it is the reservation of its blocks that fails."""
    folder = small_filesystem(kind, 48 * MB)
    full: list[tuple[int, list[str]]] = []

    def in_save(epoch: int) -> None:
        if epoch == 3 and not (folder / FILLER).exists():
            fill(folder, 1 * MB)
            full.append(taken(folder))

    def at_epoch(epoch: int) -> None:
        if epoch == 4:
            full.append(taken(folder))
            assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 2
            (folder / FILLER).unlink()
        if epoch == 5:
            assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 4

    checkpoint = callback(folder, prune_first=False)
    lines = fit(Model(at_epoch, in_save), checkpoint)
    assert len(full) == 2
    assert full[0] == full[1], "a save that failed left something"
    (refused,) = [line for line in lines if "was not saved" in line]
    assert refused.split()[1] == "epoch=3.ckpt" and "short by" in refused
    assert names(folder) == ["epoch=6.ckpt", "epoch=7.ckpt", "last.ckpt"]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_prune_first_lets_the_displaced_file_go(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 48 * MB)

    def at_epoch(epoch: int) -> None:
        if epoch == 3:
            fill(folder, 1 * MB)

    checkpoint = callback(folder)
    lines = fit(Model(at_epoch), checkpoint)
    assert not [line for line in lines if "was not saved" in line]
    assert epoch_in(checkpoint.best_model_path) == epoch_in(checkpoint.last_model_path) == 7
