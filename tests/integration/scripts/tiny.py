"""What the scripts share: a model whose first training batch leaves a mark, and its data."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

PACKAGE = os.environ.get("TINY_PACKAGE", "lightning")
pl = importlib.import_module({"lightning": "lightning.pytorch"}.get(PACKAGE, PACKAGE))
ours = importlib.import_module(f"checkroom.{PACKAGE}")

MARK = Path("a-batch-was-trained")
VALIDATED = Path("validated")
TRAINER: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "max_epochs": 4}


class TinyModel(pl.LightningModule):  # type: ignore[name-defined, misc]
    """A linear layer.

    Args:
        width: Its width: a checkpoint has about 8 bytes for each of its square.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, width)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        MARK.touch()
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        VALIDATED.touch()
        self.log("val_loss", self.layer(batch[0]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(torch.ones(8, self.layer.in_features)), batch_size=2)

    val_dataloader = train_dataloader
