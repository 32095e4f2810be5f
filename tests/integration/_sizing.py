"""A small model, its fit, and a callback that predicts before the first batch and saves afterwards."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from checkroom import sizing  # noqa: E402

FULL = bool(os.environ.get("CHECKROOM_FULL"))
BATCHES = 3 if FULL else 2
EPOCHS = (0, 1, 9)  # the first, the second and the tenth


class Model(pl.LightningModule):
    """Two linear layers and a BatchNorm.

    Args:
        configure: ``configure_optimizers``, given the model.
    """

    def __init__(self, configure: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.configure = configure or (lambda model: torch.optim.AdamW(model.parameters()))
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.net(batch[0].to(self.dtype)).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", 1.0 / (2 + self.current_epoch))

    def configure_optimizers(self) -> Any:
        return self.configure(self)


def loader(batches: int = BATCHES) -> Any:
    return DataLoader(TensorDataset(torch.randn(2 * batches, 4)), batch_size=2)


class Watch(pl.Callback):
    """Predicts before the first batch, saves when the epochs end, and keeps both figures by epoch.

    Args:
        folder: Where it saves; ``None``: it does not predict.
        epochs: In which epochs.
        weights_only: As in ``save_checkpoint``.
    """

    def __init__(self, folder: Path | None, epochs: Iterable[int] = EPOCHS, weights_only: bool = False) -> None:
        self.folder, self.epochs, self.weights_only = folder, tuple(epochs), weights_only
        self.predicted: dict[int, sizing.CheckpointSize] = {}
        self.written: dict[int, int] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for epoch in self.epochs if self.folder is not None else ():
            if epoch >= trainer.current_epoch:
                size = sizing.predict_checkpoint(trainer, weights_only=self.weights_only, epoch=epoch)
                self.predicted[epoch] = size

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self.folder is not None and trainer.current_epoch in self.epochs:
            path = self.folder / f"{trainer.current_epoch}.ckpt"
            trainer.save_checkpoint(path, self.weights_only)
            self.written[trainer.current_epoch] = path.stat().st_size

    @property
    def totals(self) -> dict[int, int]:
        return {epoch: size.total for epoch, size in self.predicted.items()}


def trainer(*callbacks: Any, **arguments: Any) -> Any:
    defaults: dict[str, Any] = {"max_epochs": 10, "num_sanity_val_steps": 0, "enable_checkpointing": False}
    return pl.Trainer(
        **{"logger": False, **defaults, **arguments}, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks),
    )


def fit(
    folder: Path | None, *callbacks: Any, model: Any = None, configure: Callable[[Any], Any] | None = None,
    weights_only: bool = False, data: Any = None, epochs: Iterable[int] = EPOCHS, ckpt_path: Any = None,
    **arguments: Any,
) -> Watch:  # fmt: skip
    """Fits, watched; returns the watch."""
    torch.manual_seed(3)
    watch = Watch(folder, epochs, weights_only)
    fitting = {"datamodule": data} if isinstance(data, pl.LightningDataModule) else {
        "train_dataloaders": loader() if data is None else data, "val_dataloaders": loader(1)
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(*callbacks, watch, **arguments).fit(model or Model(configure), ckpt_path=ckpt_path, **fitting)
    return watch


def assert_promise_kept(size: sizing.CheckpointSize, written: int) -> None:
    """A prediction that says what it is keeps it: exact to the byte, and bounds from the side that they name."""
    if size.exact:
        assert size.total == written
    assert size.least <= written and (size.most is None or written <= size.most)
    if size.bound == "at least":
        assert size.total <= written
    if size.bound == "at most":
        assert size.total >= written
    assert size.weights + size.optimizer + size.other == size.total
