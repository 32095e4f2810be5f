"""A real training run under the guard, twice: a classifier of scikit-learn's digits, monitored by ``val_loss``.

Run A prunes to the top k; at the end, what lies on disk is put beside what the forecast says for the scores that
occurred. Run B has a cap that holds fewer files than the policy wants.

    python examples/demo.py [DIRECTORY]
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import warnings

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import checkroom
from checkroom._sizes import predict_save
from checkroom._run_spec import run_spec
from checkroom.lightning import ModelCheckpoint

EPOCHS = 15
console = Console(width=110, highlight=False)


class Digits(LightningModule):
    """A small classifier of 8 x 8 images of digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 512), nn.ReLU())
        self.head = nn.Linear(512, 10)

    def _loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self.head(self.net(images)), labels)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> torch.Tensor:
        return self._loss(batch)

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> None:
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # A large step on purpose: a val_loss that goes up and down shows what pruning decides.
        return torch.optim.AdamW(self.parameters(), lr=0.004)


class Recorder(Callback):
    """Notes the scores that occur and, before the first batch, what each save is going to weigh."""

    def __init__(self, checkpoint: ModelCheckpoint) -> None:
        self.checkpoint = checkpoint
        self.scores: list[float] = []
        self.sizes: list[int] = []
        self.spec: checkroom.RunSpec | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.spec = run_spec(self.checkpoint, trainer, checkpoint_bytes=1)
        for epoch in range(EPOCHS):
            step = (epoch + 1) * int(trainer.num_training_batches)
            size = predict_save(self.checkpoint, trainer, epoch=epoch, step=step)
            self.sizes.append(size.total)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.scores.append(float(trainer.callback_metrics["val_loss"]))


def loaders() -> tuple[DataLoader, DataLoader]:
    """Training and validation data: 1,797 images that ship with scikit-learn."""
    images, labels = load_digits(return_X_y=True)
    data = [torch.tensor(part) for part in train_test_split(images / 16, labels, test_size=0.25, random_state=0)]
    train_x, val_x, train_y, val_y = data[0].float(), data[1].float(), data[2], data[3]
    return (
        DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True),
        DataLoader(TensorDataset(val_x, val_y), batch_size=256),
    )


def train(directory: str, **arguments: object) -> tuple[ModelCheckpoint, Recorder]:
    """One run with a guarded ModelCheckpoint."""
    seed_everything(1, verbose=False)
    checkpoint = ModelCheckpoint(
        dirpath=directory,
        filename="epoch={epoch:02d}-val_loss={val_loss:.4f}",
        auto_insert_metric_name=False,
        monitor="val_loss",
        mode="min",
        save_last=True,
        min_free="100 MB",
        **arguments,
    )
    recorder = Recorder(checkpoint)
    trainer = Trainer(
        max_epochs=EPOCHS,
        callbacks=[recorder, checkpoint],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Digits(), *loaders())
    return checkpoint, recorder


def on_disk(directory: str) -> tuple[dict[str, int], int]:
    """The checkpoints of a directory and the bytes that they own; names that share an inode count once."""
    entries = {entry.name: entry.stat() for entry in os.scandir(directory) if entry.name.endswith(".ckpt")}
    owned = {stat.st_ino: stat.st_size for stat in entries.values()}
    return {name: stat.st_size for name, stat in sorted(entries.items())}, sum(owned.values())


def show(directory: str, checkpoint: ModelCheckpoint) -> None:
    """A table of what lies in the directory."""
    table = Table("file", "bytes", "what it is")
    files, owned = on_disk(directory)
    for name, size in files.items():
        roles = [role for role, path in (("best", checkpoint.best_model_path), ("last", checkpoint.last_model_path))
                 if os.path.basename(path) == name]
        if os.stat(os.path.join(directory, name)).st_nlink > 1:
            roles.append("shares its blocks")
        table.add_row(name, f"{size:,}", ", ".join(roles))
    console.print(table)
    console.print(f"bytes owned: {owned:,}")


def run_a(directory: str) -> bool:
    """Prunes to the top 3, then compares disk and forecast."""
    console.rule("Run A: save_top_k=3, save_last=True")
    checkpoint, recorder = train(directory, save_top_k=3)
    show(directory, checkpoint)
    assert recorder.spec is not None
    forecast = checkroom.forecast(recorder.spec, recorder.scores)
    assert forecast.kept is not None
    foretold = sum(recorder.sizes[index] for index in forecast.kept)
    _, owned = on_disk(directory)
    console.print(f"the forecast for the scores that occurred keeps epochs {list(forecast.kept)}: {foretold:,} bytes")
    equal = foretold == owned
    console.print("disk and forecast are equal to the byte" if equal else f"they DIFFER by {owned - foretold:,} bytes")
    return equal


def run_b(directory: str, checkpoint_bytes: int) -> bool:
    """The same with a cap that holds three files where the policy wants five."""
    cap = checkpoint_bytes * 4 + checkpoint_bytes // 10
    console.rule(f"Run B: save_top_k=5 under max_size={checkroom.format_size(cap)}")
    checkpoint, recorder = train(directory, save_top_k=5, max_size=cap)
    show(directory, checkpoint)
    _, owned = on_disk(directory)
    epochs = {path: torch.load(path, weights_only=True)["epoch"] for path in
              (checkpoint.best_model_path, checkpoint.last_model_path)}
    best = recorder.scores.index(min(recorder.scores))
    whole = epochs[checkpoint.best_model_path] == best and owned <= cap
    console.print(f"best loads (epoch {epochs[checkpoint.best_model_path]}), last loads "
                  f"(epoch {epochs[checkpoint.last_model_path]}), {owned:,} of {cap:,} bytes used")
    return whole


def main() -> int:
    """Both runs; 0 when what they promise holds."""
    parser = argparse.ArgumentParser(description="Trains a classifier twice under checkroom's guard.")
    parser.add_argument("directory", nargs="?", help="where the checkpoints go; default: a temporary folder")
    arguments = parser.parse_args()
    if arguments.directory and os.path.isdir(arguments.directory) and os.listdir(arguments.directory):
        # What lies there would count on the disk, but not in the forecast.
        parser.error(f"{arguments.directory!r} is not empty (give a folder that is empty or new)")
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    # What Lightning says of devices and of other products is not what this is about.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not re.search(r"Tip:|PU available", record.getMessage())
    )
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning and a newer PyTorch
    root = arguments.directory or tempfile.mkdtemp(prefix="checkroom-demo-")
    good = run_a(os.path.join(root, "a"))
    size = max(on_disk(os.path.join(root, "a"))[0].values())
    good &= run_b(os.path.join(root, "b"), size)
    console.print(f"the checkpoints are in {root}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
