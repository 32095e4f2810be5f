"""A training run on a disk that is too small: what the preflight says, and what happens when somebody fills the disk.

Fills the filesystem of the directory for a moment, so give it a small one of its own:

    sudo mkdir -p /mnt/small && sudo mount -t tmpfs -o size=30M,mode=1777 tmpfs /mnt/small
    python examples/tight_disk.py /mnt/small
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import checkroom
from checkroom.lightning import ModelCheckpoint

# What val_loss is after each epoch: written down, so that every machine prints the same.
SCORES = (0.91, 0.74, 0.78, 0.63, 0.55, 0.47)
MOST_BYTES = 100_000_000  # a larger filesystem is not one to fill


class Model(LightningModule):
    """A checkpoint of 3.6 MB with its AdamW states."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))
        self.others = os.path.join(directory, "somebody-elses.bin")

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch: list[torch.Tensor], _index: int) -> None:
        self.log("val_loss", SCORES[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 3:
            fill(self.others)
            print("(somebody fills the disk)", file=sys.stderr)
        if self.current_epoch == 5:
            os.remove(self.others)
            print("(somebody makes room again)", file=sys.stderr)


def fill(path: str) -> None:
    """Writes until 1 MB is left."""
    with open(path, "wb") as file:
        while (left := checkroom.free_space(path).available or 0) > 1_000_000:
            file.write(b"x" * min(left - 900_000, 1_000_000))
            file.flush()


def train(directory: str, **arguments: object) -> None:
    """One run of six epochs."""
    data = DataLoader(TensorDataset(torch.ones(8, 64)), batch_size=4)
    checkpoint = ModelCheckpoint(dirpath=os.path.join(directory, "vla"), filename="{epoch}", monitor="val_loss",
                                 save_last=True, **arguments)
    trainer = Trainer(max_epochs=len(SCORES), callbacks=[checkpoint], logger=False, accelerator="cpu",
                      enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0)
    trainer.fit(Model(directory), data, data)
    print(f"best is {os.path.basename(checkpoint.best_model_path)}, last is epoch "
          f"{torch.load(checkpoint.last_model_path, weights_only=True)['epoch']}", file=sys.stderr)


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Python's own would put a file and a line number in front."""
    if str(message).startswith("checkroom: "):
        print(message, file=sys.stderr)


def main() -> int:
    """Both runs."""
    if len(sys.argv) != 2:
        print("usage: tight_disk.py DIRECTORY (on a small filesystem of its own)", file=sys.stderr)
        return 2
    directory = sys.argv[1]
    status = os.statvfs(directory)
    if status.f_blocks * status.f_frsize > MOST_BYTES:
        print(f"tight_disk.py: {directory!r} is on a filesystem of more than 100 MB, which this would fill "
              "(give it a small one: mount -t tmpfs -o size=30M tmpfs DIRECTORY)", file=sys.stderr)
        return 2
    warnings.showwarning = show_warning  # type: ignore[assignment]
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    # What Lightning says of devices and of other products is not what this is about.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not re.search(r"Tip:|PU available", record.getMessage())
    )
    try:
        train(directory, save_top_k=5, min_free="20 MB")
    except checkroom.PreflightError as error:
        print(f"PreflightError: {error}", file=sys.stderr)
    train(directory, save_top_k=2, min_free="1 MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
