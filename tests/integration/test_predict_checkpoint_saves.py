"""What a ModelCheckpoint is going to write, for every trigger: what is called exact is, and every bound holds.

Storages are aligned to one byte here, so that no padding hides a byte too many or too few.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from _sizing import FULL, Model, assert_promise_kept, loader, trainer  # noqa: E402

from checkroom import KeepEvery, KeepLast, sizing  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402
from checkroom.sizing._run import Run  # noqa: E402
from checkroom.sizing._saves import next_save  # noqa: E402

CLASSES = {"ours": ModelCheckpoint, "Lightning's": pl.callbacks.ModelCheckpoint}
SCORES = (0.5, 0.25, 0.125, 0.75, 0.625)


@pytest.fixture(autouse=True)
def without_padding() -> Iterator[None]:
    config = pytest.importorskip("torch.utils.serialization.config")
    with config.patch("save.storage_alignment", 1):
        yield


class Scored(Model):
    """A model whose score is drawn by step, so that what enters the top k is not the newest each time."""

    def __init__(self, log_in: str = "validation", seed: int = 0) -> None:
        super().__init__(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        self.log_in, chance = log_in, random.Random(seed)
        self.scores = [chance.choice(SCORES) for _ in range(100)]

    def training_step(self, batch: Any, index: int) -> Any:
        if self.log_in == "training":
            self.log("val_loss", self.scores[self.trainer.global_step])
        return super().training_step(batch, index)

    def validation_step(self, batch: Any, _index: int) -> None:
        if self.log_in == "validation":
            self.log("val_loss", self.scores[self.trainer.global_step])


class Foretells(pl.Callback):
    """Foretells a callback's file for every epoch and step, and its next one; keeps what it then writes."""

    def __init__(self, checkpoint: Any, epochs: int) -> None:
        self.checkpoint, self.epochs = checkpoint, epochs
        self.foretold: dict[tuple[int, int], sizing.CheckpointSize] = {}
        self.next: sizing.CheckpointSize | None = None
        self.written: list[tuple[tuple[int, int], int]] = []
        self.first: int | None = None  # its first file, where that is the one that was named: a `last` only if so

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.next = sizing.predict_checkpoint(trainer, callback=self.checkpoint)
        self.wrote, self.names_last = False, next_save(self.checkpoint, trainer, Run(trainer)).only_last
        for epoch in range(trainer.current_epoch, self.epochs):
            for step in range(trainer.global_step, self.epochs * trainer.num_training_batches + 1):
                try:
                    size = sizing.predict_checkpoint(trainer, callback=self.checkpoint, epoch=epoch, step=step)
                except ValueError:  # no step of that epoch
                    continue
                self.foretold[epoch, step] = size
        original = trainer.save_checkpoint

        def save(path: Any, *rest: Any, **more: Any) -> None:
            original(path, *rest, **more)
            folder, name = os.path.split(path)
            if not os.path.exists(path) or folder != str(self.checkpoint.dirpath):
                return
            is_last = name.startswith("last")
            if not self.wrote and is_last == self.names_last:
                self.first = os.path.getsize(path)
            self.wrote = True
            if not is_last:
                self.written.append(((trainer.current_epoch, trainer.global_step), os.path.getsize(path)))

        trainer.save_checkpoint = save

    def compare(self) -> int:
        """Holds what was foretold against what was written; returns how many files were called exact."""
        for place, size in self.written:
            assert_promise_kept(self.foretold[place], size)
        if self.first is not None:
            assert self.next is not None
            assert_promise_kept(self.next, self.first)
        return sum(self.foretold[place].exact for place, _ in self.written)


def fit(
    watch: Foretells, *callbacks: Any, model: Any = None, batches: int = 3, resume: Any = None, **settings: Any
) -> None:
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = trainer(watch, watch.checkpoint, *callbacks, enable_checkpointing=True,
                      **{"max_epochs": watch.epochs, **settings})
        run.fit(model or Scored(), loader(batches), loader(2), ckpt_path=resume)


def _plan(chance: random.Random) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Arguments of a ModelCheckpoint, of a trainer and of a model."""
    batches = chance.randint(1, 6)
    log_in = chance.choice(["training", "validation"])
    monitor = chance.choice([None, "val_loss", "val_loss"])
    saves: dict[str, Any] = {
        "monitor": monitor,
        "save_top_k": chance.choice([1, 2, 3, -1]) if monitor else chance.choice([1, -1]),
        "save_last": chance.choice([None, True, "link"]),
        "filename": chance.choice([None, "{epoch}", "{epoch}-{step}", "{epoch}-{val_loss:.3f}" if monitor else None]),
    }
    trigger = chance.choice(["epoch", "other epoch", "steps", "steps"])
    if trigger == "other epoch":
        saves["every_n_epochs"] = 2
    if trigger == "steps":
        saves["every_n_train_steps"] = chance.randint(1, 4)
    elif chance.random() < 0.2:
        saves["save_on_train_epoch_end"] = chance.choice([True, False])
    runs = {
        "batches": batches,
        "accumulate_grad_batches": chance.choice([1, 1, 2]),
        "val_check_interval": chance.choice([1.0, 1.0, 0.5, chance.randint(1, batches)]),
        "limit_val_batches": chance.choice([0, 1, 2]) if log_in == "training" else 1,
        "max_steps": chance.choice([-1, -1, -1, chance.randint(1, 8)]),
    }
    return saves, runs, {"log_in": log_in, "seed": chance.randint(0, 9)}


@pytest.mark.parametrize("seed", range(400 if FULL else 16))
def test_what_is_called_exact_is_and_every_bound_holds(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    saves, settings, scores = _plan(chance)
    kind, epochs = chance.choice(list(CLASSES)), chance.randint(1, 3)
    ours = {"min_free": 0} if kind == "ours" else {}
    often = chance.choice([{}, {}, {"every_n_train_steps": 2}, {"every_n_epochs": 1}])

    def play(more: int, resume: Path | None = None) -> None:
        watch = Foretells(CLASSES[kind](dirpath=tmp_path, **saves, **ours), epochs + more)
        others = [pl.callbacks.ModelCheckpoint(tmp_path / "other", mode="max", save_top_k=-1, **often)] if often else []
        fit(watch, *others, model=Scored(**scores), resume=resume, **settings)
        watch.compare()

    play(0)
    there = [path for path in tmp_path.glob("*.ckpt") if path.exists()]
    files = sorted(there, key=lambda path: (path.stat().st_mtime, path.name))
    if files and chance.random() < 0.4:
        play(2, chance.choice(files))


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("trigger", [
    {}, {"every_n_epochs": 2}, {"every_n_train_steps": 2}, {"save_on_train_epoch_end": False},
], ids=["epoch", "other epoch", "steps", "after validation"])  # fmt: skip
def test_plain_triggers_are_exact(kind: str, trigger: dict[str, Any], tmp_path: Path) -> None:
    monitor = None if "every_n_train_steps" in trigger else "val_loss"
    watch = Foretells(CLASSES[kind](dirpath=tmp_path, monitor=monitor, **trigger), 3)
    fit(watch, batches=4)
    assert watch.compare() == len(watch.written) > 0
    assert watch.next is not None and watch.next.exact and watch.next.total == watch.first


def test_a_save_before_the_first_step_has_no_states(tmp_path: Path) -> None:
    class Early(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.sizes = [
                sizing.predict_checkpoint(trainer, epoch=0, step=step, at="train_batch_end") for step in (0, 1)
            ]

        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            if index in (0, 1):
                trainer.save_checkpoint(tmp_path / f"{index}.ckpt")

    early = Early()
    trainer(early, max_epochs=1, accumulate_grad_batches=2).fit(Model(), loader(4), loader(1))
    written = [(tmp_path / f"{index}.ckpt").stat().st_size for index in (0, 1)]
    assert [size.total for size in early.sizes] == written and all(size.exact for size in early.sizes)
    assert early.sizes[0].optimizer == 0 < early.sizes[1].optimizer


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("top_k", [2, 3, -1])
def test_a_metric_in_the_name_is_exact_where_it_is_known(kind: str, top_k: int, tmp_path: Path) -> None:
    sizes: dict[int, sizing.CheckpointSize] = {}
    ours = {"min_free": 0} if kind == "ours" else {}
    checkpoint = CLASSES[kind](
        dirpath=tmp_path, filename="{epoch:02d}-{val_loss:.3f}", monitor="val_loss", save_top_k=top_k, **ours
    )

    class Ask(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            for epoch in (0, 1, 9):
                sizes[epoch] = sizing.predict_checkpoint(trainer, epoch=epoch, metrics={"val_loss": 0.5})
            self.unknown = sizing.predict_checkpoint(trainer, epoch=9)

        def on_train_end(self, trainer: Any, module: Any) -> None:
            self.written = dict(watch.written)

    class Better(Model):
        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("val_loss", 0.9 - self.current_epoch / 100)

    watch = Foretells(checkpoint, 0)
    ask = Ask()
    fit(watch, ask, model=Better(), max_epochs=10)
    written = {epoch: size for (epoch, _), size in watch.written}
    assert {epoch: size.total for epoch, size in sizes.items()} == {epoch: written[epoch] for epoch in sizes}
    assert all(size.exact for size in sizes.values())
    assert_promise_kept(ask.unknown, written[9])
    assert ask.unknown.bound == "at most" and any("between -10,000 and 10,000" in text for text in ask.unknown.assumes)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("watched", [0, 1])
def test_each_of_two_callbacks_is_foretold(turned: bool, watched: int, tmp_path: Path) -> None:
    both = [
        ModelCheckpoint(dirpath=tmp_path / "a", monitor="val_loss", save_top_k=2, min_free=0),
        pl.callbacks.ModelCheckpoint(dirpath=tmp_path / "b", every_n_train_steps=2, save_top_k=-1),
    ]
    watch = Foretells(both[watched], 3)
    torch.manual_seed(1)
    run = trainer(watch, *(reversed(both) if turned else both), enable_checkpointing=True, max_epochs=3)
    run.fit(Scored(), loader(3), loader(2))
    watch.compare()
    assert len(watch.written) >= 3


def test_rules_and_a_cap_make_it_a_bound(tmp_path: Path) -> None:
    for more in ({"keep": [KeepLast(2), KeepEvery(epochs=2)]}, {"max_size": "60 kB"}):
        folder = tmp_path / next(iter(more))
        watch = Foretells(ModelCheckpoint(dirpath=folder, monitor="val_loss", save_top_k=3, min_free=0, **more), 6)
        fit(watch)
        watch.compare()
        assert len(watch.written) > 3


def test_a_run_that_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    def callback() -> Any:
        return ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=3, save_top_k=-1, min_free=0)

    watch = Foretells(callback(), 2)
    fit(watch, batches=5)
    assert [place for place, _ in watch.written] == [(0, 3), (1, 6), (1, 9)]
    assert watch.compare() == 3
    again = Foretells(callback(), 4)
    fit(again, batches=5, resume=tmp_path / "epoch=1-step=6.ckpt")
    assert [step for (_, step), _ in again.written][:2] == [9, 12]
    again.compare()


def test_a_time_interval_is_an_estimate(tmp_path: Path) -> None:
    import datetime

    checkpoint = ModelCheckpoint(dirpath=tmp_path, train_time_interval=datetime.timedelta(0), save_top_k=-1, min_free=0)
    watch = Foretells(checkpoint, 2)
    fit(watch)
    assert watch.next is not None and watch.next.bound == "estimate"
    assert watch.compare() == 0 and len(watch.written) == 6
