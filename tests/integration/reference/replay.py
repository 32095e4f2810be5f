"""A replay of Lightning's own ModelCheckpoint: the real class, a stub trainer, real small files.

The stub calls the hooks in the order of Lightning's fit loop and writes each checkpoint with Lightning's own
``_atomic_save``: serialised in memory, staged in the temporary directory, moved to its name.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from lightning.fabric.utilities.cloud_io import _atomic_save
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from .disk_watch import DiskWatch, Usage, usage

MONITOR = "val_loss"


@dataclass(frozen=True)
class Run:
    """One run: how long it is, when it validates and saves, what it keeps, and which score each step has.

    Args:
        scores: The monitored value by global step; ``scores[step - 1]``.
    """

    max_epochs: int
    steps_per_epoch: int
    scores: tuple[float, ...]
    save_top_k: int = 1
    save_last: Any = None
    monitor: str | None = MONITOR
    mode: str = "min"
    every_n_epochs: int | None = None
    every_n_train_steps: int | None = None
    validates: bool = True
    check_val_every_n_epoch: int | None = 1
    val_check_interval: int | float = 1.0
    save_on_train_epoch_end: bool | None = None
    max_steps: int = -1

    def score(self, step: int) -> float:
        return self.scores[step - 1]

    def callback_arguments(self) -> dict[str, Any]:
        names = ("save_top_k", "save_last", "monitor", "mode", "every_n_epochs", "every_n_train_steps")
        arguments = {name: getattr(self, name) for name in names}
        return {**arguments, "save_on_train_epoch_end": self.save_on_train_epoch_end}

    def spec_arguments(self) -> dict[str, Any]:
        """The same run as keyword arguments of ``checkroom.RunSpec``."""
        names = ("max_epochs", "max_steps", "steps_per_epoch", "validates")
        when = ("check_val_every_n_epoch", "val_check_interval")
        return {**self.callback_arguments(), **{name: getattr(self, name) for name in (*names, *when)}}


@dataclass(frozen=True)
class Event:
    """What a global step left, after all of its hooks."""

    epoch: int
    step: int
    kept: tuple[int, ...]  # steps whose checkpoints are there under a name other than last's
    last: int | None  # the step whose state `last` holds
    at_rest: Usage
    peak: Usage  # destination and staging together
    peak_destination: Usage
    written: int  # since the start
    best: int | None  # the step of best_model_path


class StubTrainer:
    """As much of a Trainer as ModelCheckpoint looks at, on one device."""

    def __init__(self, run: Run, folder: Path, payload_bytes: int) -> None:
        self.global_step = 0
        self.current_epoch = 0
        self.callback_metrics: dict[str, torch.Tensor] = {}
        self.default_root_dir = str(folder)
        self.ckpt_path = None
        self.loggers: list[Any] = []
        self.fast_dev_run = False
        self.sanity_checking = False
        self.is_global_zero = True
        self.state = SimpleNamespace(fn=TrainerFn.FITTING)
        self.enable_validation = run.validates
        self.num_val_batches = [1] if run.validates else [0]
        self.check_val_every_n_epoch = run.check_val_every_n_epoch
        self.val_check_interval = run.val_check_interval
        self.strategy = SimpleNamespace(
            broadcast=lambda value, src=0: value,
            reduce_boolean_decision=lambda decision, all=True: decision,
            barrier=lambda name=None: None,
            remove_checkpoint=os.remove,
        )
        progress = SimpleNamespace(is_last_batch=False)
        self.fit_loop = SimpleNamespace(
            epoch_loop=SimpleNamespace(batch_progress=progress, val_loop=SimpleNamespace(_has_run=False))
        )
        self._payload = torch.zeros(payload_bytes, dtype=torch.uint8)
        self.saved: dict[str, int] = {}  # file name -> the step that its content is of

    def save_checkpoint(self, filepath: str, weights_only: bool | None = None, storage_options: Any = None) -> None:
        # Every file has the same size, whatever its content: what differs between runs is which and how many.
        _atomic_save({"payload": self._payload}, filepath)
        self.saved[os.path.basename(filepath)] = self.global_step


def file_bytes(payload_bytes: int) -> int:
    """The size of each checkpoint of a replay."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "one.ckpt")
        _atomic_save({"payload": torch.zeros(payload_bytes, dtype=torch.uint8)}, path)
        return os.path.getsize(path)


def replay(run: Run, folder: Path, *, staging: Path | None = None, payload_bytes: int = 64) -> list[Event]:
    """Plays the run with Lightning's class.

    Args:
        run: What to play.
        folder: An empty directory for the checkpoints.
        staging: Stands for ``$TMPDIR``; by default beside the checkpoints, on the same filesystem.

    Returns:
        One event for each optimizer step, and one more for the end of the training.
    """
    destination = folder / "checkpoints"
    destination.mkdir()
    staging = folder / "tmp" if staging is None else staging
    staging.mkdir(exist_ok=True)
    with _temporary_directory(staging), warnings.catch_warnings(), DiskWatch(destination, staging) as watch:
        warnings.simplefilter("ignore")
        return list(_play(run, destination, watch, payload_bytes))


def _play(run: Run, destination: Path, watch: DiskWatch, payload_bytes: int) -> Iterator[Event]:
    callback = ModelCheckpoint(dirpath=destination, **run.callback_arguments())
    trainer = StubTrainer(run, destination, payload_bytes)
    module = SimpleNamespace(automatic_optimization=True)
    callback.setup(trainer, module, "fit")
    callback.on_train_start(trainer, module)
    validate_after = _validation_batches(run)
    while not _is_done(run, trainer):
        for batch in range(run.steps_per_epoch):
            watch.start_event()
            trainer.global_step += 1
            is_last = batch == run.steps_per_epoch - 1
            trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = is_last
            trainer.callback_metrics = {MONITOR: torch.tensor(run.score(trainer.global_step))}
            callback.on_train_batch_end(trainer, module, None, None, batch)
            if validate_after(trainer.current_epoch, batch, trainer.global_step):
                callback.on_validation_end(trainer, module)
            stopped = trainer.global_step == run.max_steps
            if is_last or stopped:
                callback.on_train_epoch_end(trainer, module)
            yield _event(callback, trainer, watch)
            if stopped:
                break
        trainer.current_epoch += 1
    watch.start_event()
    callback.on_train_end(trainer, module)
    yield _event(callback, trainer, watch)


def _is_done(run: Run, trainer: StubTrainer) -> bool:
    return trainer.current_epoch >= run.max_epochs or 0 <= run.max_steps <= trainer.global_step


def _validation_batches(run: Run) -> Any:
    """Lightning's rule of when it validates, as a predicate of (epoch, batch in the epoch, global step)."""
    if isinstance(run.val_check_interval, float):
        interval = max(1, int(run.steps_per_epoch * run.val_check_interval))
    else:
        interval = run.val_check_interval

    def is_due(epoch: int, batch: int, step: int) -> bool:
        if not run.validates:
            return False
        if run.check_val_every_n_epoch is None:
            return step % interval == 0
        if (epoch + 1) % run.check_val_every_n_epoch:
            return False
        return (batch + 1) % interval == 0 or (interval == run.steps_per_epoch and batch + 1 == run.steps_per_epoch)

    return is_due


def _event(callback: ModelCheckpoint, trainer: StubTrainer, watch: DiskWatch) -> Event:
    watch.measure()
    destination = watch.destination
    # A link may lead nowhere, or to itself: then there is no file.
    names = [name for name in os.listdir(destination) if (destination / name).exists()]
    kept = sorted(trainer.saved[name] for name in names if not _is_last(name))
    last = [trainer.saved[os.path.basename(os.path.realpath(destination / name))] for name in names if _is_last(name)]
    assert len(last) <= 1, names
    best = trainer.saved[os.path.basename(callback.best_model_path)] if callback.best_model_path else None
    return Event(
        epoch=trainer.current_epoch,
        step=trainer.global_step,
        kept=tuple(kept),
        last=last[0] if last else None,
        at_rest=usage(destination),
        peak=watch.peak_total,
        peak_destination=watch.peak_destination,
        written=watch.written,
        best=best,
    )


def _is_last(name: str) -> bool:
    return re.match(r"last(-v\d+)?\.ckpt$", name) is not None


@contextmanager
def _temporary_directory(folder: Path) -> Iterator[None]:
    """Makes ``folder`` the directory that ``tempfile``, and through it fsspec, stages in."""
    with mock.patch.object(tempfile, "tempdir", str(folder)):
        yield
