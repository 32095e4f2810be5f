"""Two processes train together; rank 0 alone predicts its checkpoints, and writes down what they were.

    python predict_ranks_script.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from _sizing import EPOCHS, Model, loader, trainer
from lightning.pytorch import Callback

from checkroom import sizing
from checkroom.lightning import ModelCheckpoint


class Rank0(Callback):
    """Asks on rank 0 only: a collective in there would hang."""

    def __init__(self) -> None:
        self.predicted: dict[int, Any] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if trainer.is_global_zero:
            for epoch in EPOCHS:
                size = sizing.predict_checkpoint(trainer, epoch=epoch)
                self.predicted[epoch] = [size.exact, size.total]

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.is_global_zero:
            sizing.predict_checkpoint(trainer)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.manual_seed(1)
    saves = ModelCheckpoint(dirpath=folder, filename="{epoch}", monitor="val_loss", save_top_k=-1, min_free=0)
    watch = Rank0()
    run = trainer(watch, saves, devices=2, strategy="ddp", enable_checkpointing=True)
    run.fit(Model(), loader(4), loader(2))
    if run.is_global_zero:
        (folder / "predicted.json").write_text(json.dumps(watch.predicted))


if __name__ == "__main__":
    main()
