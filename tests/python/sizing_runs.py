"""Small runs of Lightning's trainer with every combination of what decides when it steps, validates and ends."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from torch.optim import lr_scheduler as lr  # noqa: E402

from checkroom.sizing._run import Run  # noqa: E402

HOOKS = ("train_batch_end", "validation_end", "train_epoch_end", "train_end")
SCHEDULERS = {
    "StepLR": lambda optimizer: lr.StepLR(optimizer, 1),
    "Sequential": lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.StepLR(o, 1)], [2]),
    "Plateau": lambda optimizer: lr.ReduceLROnPlateau(optimizer),
    "WarmRestarts": lambda optimizer: lr.CosineAnnealingWarmRestarts(optimizer, 3, 2),
    "Chained": lambda optimizer: lr.ChainedScheduler([lr.ConstantLR(optimizer), lr.ExponentialLR(optimizer, 0.9)]),
}


def count(reduced: int, full: int) -> range:
    """So many runs; all of them with CHECKROOM_FULL."""
    return range(full if os.environ.get("CHECKROOM_FULL") else reduced)


class Tiny(pl.LightningModule):
    """One weight, with a scheduler or without."""

    def __init__(self, scheduler: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch).sum()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", 0.5)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        if self.scheduler is None:
            return optimizer
        made = SCHEDULERS[self.scheduler["kind"]](optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {**self.scheduler, "scheduler": made}}


def loader(batches: int) -> Any:
    return torch.utils.data.DataLoader(torch.zeros(batches, 1))


def arguments(chance: random.Random, batches: int) -> dict[str, Any]:
    """Random arguments of a trainer whose epochs have so many batches."""
    every = chance.choice([1, 1, 1, 2, None])
    interval = chance.randint(1, batches)
    return {
        "max_epochs": chance.randint(1, 3),
        "max_steps": chance.choice([-1, -1, chance.randint(1, 8)]),
        "accumulate_grad_batches": chance.choice([1, 1, 2, 3]),
        "check_val_every_n_epoch": every,
        "val_check_interval": interval if every is None else chance.choice([1.0, 1.0, 0.5, 0.34, interval]),
        "limit_val_batches": chance.choice([0, 1, 2]),
        "num_sanity_val_steps": chance.choice([0, 1]),
    }


def scheduler(chance: random.Random) -> dict[str, Any] | None:
    kind = chance.choice([None, *SCHEDULERS])
    if kind is None:
        return None
    interval, frequency = chance.choice(["step", "epoch"]), chance.choice([1, 1, 2, 3])
    return {"kind": kind, "interval": interval, "frequency": frequency, "monitor": "val_loss", "strict": False}


def trainer(*callbacks: Any, **settings: Any) -> Any:
    return pl.Trainer(
        **{"enable_checkpointing": False, **settings}, callbacks=list(callbacks), accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False,
    )


def fit(trainer: Any, module: Any, *loaders: Any, **more: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, *loaders, **more)


class Hooks(pl.Callback):
    """Calls ``at(trainer, hook)`` in each hook that may save, and where a run, an epoch and a batch start."""

    def at(self, trainer: Any, hook: str) -> None:
        raise NotImplementedError

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.at(trainer, "train_start")

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.at(trainer, "train_epoch_start")

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.at(trainer, "train_batch_start")

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.at(trainer, "train_batch_end")

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if not trainer.sanity_checking:
            self.at(trainer, "validation_end")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.at(trainer, "train_epoch_end")

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.at(trainer, "train_end")


def asked(checkpoint: Any, ask: Any, **settings: Any) -> Any:
    """What ``ask(trainer, run)`` answers before the first of four batches an epoch."""
    answers = []

    class Ask(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                answers.append(ask(trainer, Run(trainer)))
                trainer.should_stop = True

    settings = {"max_epochs": 12, "num_sanity_val_steps": 0, "enable_checkpointing": True, **settings}
    fit(trainer(Ask(), checkpoint, **settings), Tiny(), loader(4), loader(2))
    return answers[0]
