"""The run spec of a trainer, with either class of ModelCheckpoint."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import Hooks, Tiny, fit, loader, trainer  # noqa: E402

from checkroom import KeepLast, RunSpec, forecast  # noqa: E402
from checkroom._run_spec import run_spec  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402

Theirs = pl.callbacks.ModelCheckpoint


def spec_of(checkpoint: Any, batches: int = 5, **settings: Any) -> RunSpec:
    found: list[RunSpec] = []

    class Ask(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                found.append(run_spec(checkpoint, trainer, 7))
                trainer.should_stop = True

    settings = {"max_epochs": 4, "num_sanity_val_steps": 0, "enable_checkpointing": True, **settings}
    fit(trainer(Ask(), checkpoint, **settings), Tiny(), loader(batches), loader(2))
    return found[0]


def test_it_says_how_long_and_how_often(tmp_path: Any) -> None:
    spec = spec_of(Theirs(tmp_path, monitor="val_loss", save_top_k=3, save_last="link", every_n_epochs=2, mode="max"),
                   accumulate_grad_batches=2, val_check_interval=0.4, max_steps=11)
    assert (spec.max_epochs, spec.max_steps, spec.steps_per_epoch, spec.batches_per_epoch) == (4, 11, 3, 5)
    assert (spec.accumulate_grad_batches, spec.validates, spec.val_check_interval) == (2, True, 0.4)
    assert (spec.every_n_epochs, spec.every_n_train_steps, spec.train_time_interval_seconds) == (2, None, None)
    assert (spec.save_top_k, spec.monitor, spec.mode, spec.save_last) == (3, "val_loss", "max", "link")
    assert (spec.checkpoint_bytes, spec.writer, spec.lightning_version) == (7, "lightning", pl.__version__)


def test_other_triggers(tmp_path: Any) -> None:
    assert spec_of(Theirs(tmp_path)).every_n_epochs == 1
    assert spec_of(Theirs(tmp_path, every_n_train_steps=3)).every_n_train_steps == 3
    assert spec_of(Theirs(tmp_path, train_time_interval=timedelta(minutes=2))).train_time_interval_seconds == 120


def test_ours_adds_what_is_its_own(tmp_path: Any) -> None:
    rule = KeepLast(2)
    spec = spec_of(ModelCheckpoint(tmp_path, keep=[rule], max_size="1 GB", last_as="copy", min_free=0))
    assert (spec.writer, list(spec.keep), spec.max_size, spec.last_as) == ("checkroom", [rule], 10**9, "copy")


def test_an_epoch_without_a_length_is_not_known(tmp_path: Any) -> None:
    import torch

    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(torch.zeros(2, 1))

    found: list[RunSpec] = []

    class Ask(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                found.append(run_spec(trainer.checkpoint_callback, trainer, 7))

    run = trainer(Ask(), Theirs(tmp_path), max_epochs=1, enable_checkpointing=True)
    fit(run, Tiny(), torch.utils.data.DataLoader(Endless()), loader(1))
    assert (found[0].steps_per_epoch, found[0].batches_per_epoch) == (None, None)


def test_loaders_that_the_first_epoch_does_not_need_are_counted_on(tmp_path: Any) -> None:
    spec = spec_of(Theirs(tmp_path), check_val_every_n_epoch=2)
    assert spec.validates
    assert [point.epoch for point in forecast(spec).timeline] == [1, 3]  # after a validation
    assert not spec_of(Theirs(tmp_path), limit_val_batches=0).validates
