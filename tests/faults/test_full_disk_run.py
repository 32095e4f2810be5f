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


class Model(pl.LightningModule):
    """About 3 MB with its AdamW states; val_loss falls at every epoch."""

    def __init__(self, at_epoch: Callable[[int], None] = lambda epoch: None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(500, 500)
        self.at_epoch = at_epoch

    def on_train_epoch_start(self) -> None:
        self.at_epoch(self.current_epoch)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", 1.0 / (1 + self.current_epoch))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters())


def fit(model: Model, checkpoint: ModelCheckpoint) -> list[str]:
    """Trains; returns what was warned of."""
    data = DataLoader(TensorDataset(torch.ones(2, 500)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", callbacks=[checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, data, data)
    assert trainer.current_epoch == EPOCHS
    return [str(entry.message) for entry in caught]


def available(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def fill(folder: Path, leave: int) -> Path:
    """Somebody else fills the disk."""
    path = folder / "somebody-elses.bin"
    with open(path, "wb") as file:
        while available(folder) > leave + 2**16:
            file.write(b"x" * min(2**20, available(folder) - leave - 2**15))
            file.flush()
            os.fsync(file.fileno())
    return path


def callback(folder: Path, **arguments: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="{epoch}", monitor="val_loss", save_last=True,
        **{"min_free": 0, "save_top_k": 2, **arguments},
    )


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_the_preflight_refuses_a_run_that_cannot_fit(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    fill(folder, 2 * MB)
    before = available(folder)
    with pytest.raises(checkroom.PreflightError) as caught:
        fit(Model(), callback(folder))
    error = caught.value
    assert error.need is not None and error.have is not None
    assert error.need >= 3 * MB > error.have
    assert error.short_by == error.need - error.have
    assert error.limit == "filesystem"
    assert abs(available(folder) - before) <= 8192  # the directory entry of the run
    assert not (folder / "checkpoints").exists() or not list((folder / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_run_whose_most_does_not_fit_is_warned_of(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    fill(folder, 8 * MB)  # two files fit, the third that the peak needs does not
    lines = fit(Model(), callback(folder))
    (warning,) = [line for line in lines if "a save may not fit" in line]
    # What it advises in its place fits, and runs without a warning.
    advised = re.search(r"ModelCheckpoint\((.*?)\) \(needs .*would fit", warning)
    assert advised is not None, warning
    for path in (folder / "checkpoints").glob("*.ckpt"):
        path.unlink()
    arguments = eval(f"dict({advised[1]})", {"dict": dict})
    lines = fit(Model(), ModelCheckpoint(dirpath=folder / "checkpoints", filename="{epoch}", min_free=0, **arguments))
    assert not [line for line in lines if "may not fit" in line or "was not saved" in line]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_disk_that_somebody_else_fills_in_mid_run(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 48 * MB)
    filler: list[Path] = []
    taken: list[tuple[int, int]] = []

    def at_epoch(epoch: int) -> None:
        if epoch == 3:
            filler.append(fill(folder, 1 * MB))
            taken.append((available(folder), len(list((folder / "checkpoints").glob("*.ckpt")))))
        if epoch == 5:
            # Two saves were refused: not a byte of them stayed, what was there still is.
            taken.append((available(folder), len(list((folder / "checkpoints").glob("*.ckpt")))))
            for name in ("epoch=1", "epoch=2", "last"):
                loaded = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
                assert loaded["epoch"] == {"epoch=1": 1, "epoch=2": 2, "last": 2}[name]
            filler[0].unlink()

    checkpoint = callback(folder, prune_first=False)
    lines = fit(Model(at_epoch), checkpoint)
    assert taken[0] == taken[1]
    refused = [line for line in lines if "was not saved" in line]
    assert [line.split()[1] for line in refused] == ["epoch=3.ckpt", "epoch=4.ckpt"]
    assert all("short by" in line for line in refused)
    # The next save after space returned succeeded.
    assert sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt")) == [
        "epoch=6.ckpt", "epoch=7.ckpt", "last.ckpt"
    ]
    assert torch.load(checkpoint.best_model_path, weights_only=True)["epoch"] == 7


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_prune_first_lets_the_displaced_file_go(small_filesystem: Any, kind: str) -> None:
    folder = small_filesystem(kind, 48 * MB)

    def at_epoch(epoch: int) -> None:
        if epoch == 3:
            fill(folder, 1 * MB)

    checkpoint = callback(folder)
    lines = fit(Model(at_epoch), checkpoint)
    assert not [line for line in lines if "was not saved" in line]
    assert torch.load(checkpoint.best_model_path, weights_only=True)["epoch"] == 7
    assert torch.load(checkpoint.last_model_path, weights_only=True)["epoch"] == 7
