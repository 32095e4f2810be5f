"""Which save of a ModelCheckpoint comes next, and what is open about it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import Hooks, Tiny, asked, fit, loader, trainer  # noqa: E402

from checkroom.lightning import ModelCheckpoint  # noqa: E402
from checkroom.sizing._findings import Span  # noqa: E402
from checkroom.sizing._moment import moment_of  # noqa: E402
from checkroom.sizing._run import Run  # noqa: E402
from checkroom.sizing._saves import Points, hook_of, is_model_checkpoint, next_save  # noqa: E402

Theirs = pl.callbacks.ModelCheckpoint
# Where nothing but `last` is kept, Lightning writes it when the training ends, before 2.6 at every epoch's end.
AT_THE_END = tuple(map(int, pl.__version__.split(".")[:2])) >= (2, 6)
LAST = (11, 48, ("train_epoch_end", "train_end")) if AT_THE_END else (0, 4, ("train_epoch_end",))


@pytest.mark.parametrize(
    ("arguments", "settings", "epoch", "step", "hooks"),
    [
        ({}, {}, 0, 4, ("train_epoch_end",)),
        ({"every_n_epochs": 3}, {}, 2, 12, ("train_epoch_end",)),
        ({"save_on_train_epoch_end": False}, {}, 0, 4, ("validation_end",)),
        ({}, {"val_check_interval": 2}, 0, 2, ("validation_end",)),
        ({"every_n_train_steps": 3}, {}, 0, 3, ("train_batch_end",)),
        ({"every_n_train_steps": 3}, {"accumulate_grad_batches": 2}, 1, 3, ("train_batch_end",)),
        ({"save_top_k": 0, "save_last": True}, {}, *LAST),
    ],
)
def test_the_next_save(arguments: Any, settings: Any, epoch: int, step: int, hooks: Any, tmp_path: Path) -> None:
    checkpoint = Theirs(tmp_path, **arguments)
    moment = asked(checkpoint, lambda trainer, run: next_save(checkpoint, trainer, run), **settings)
    assert (moment.epoch, moment.step, moment.hooks) == (Span(epoch, epoch), Span(step, step), hooks)


def test_a_save_may_wait_for_its_metric(tmp_path: Path) -> None:
    checkpoint = Theirs(tmp_path, every_n_train_steps=3, monitor="val_loss")
    moment = asked(checkpoint, lambda trainer, run: next_save(checkpoint, trainer, run))
    assert moment.step == Span(3, 4) and moment.hooks == ("train_batch_end", "validation_end")


def test_a_time_interval_may_end_anywhere(tmp_path: Path) -> None:
    checkpoint = Theirs(tmp_path, train_time_interval=timedelta(minutes=1))
    moment = asked(checkpoint, lambda trainer, run: (next_save(checkpoint, trainer, run), hook_of(checkpoint, trainer)))
    assert moment[0].step.least == 1 < moment[0].step.most and moment[1] == "train_batch_end"


def test_only_model_checkpoints_are_ones(tmp_path: Path) -> None:
    assert is_model_checkpoint(Theirs(tmp_path)) and is_model_checkpoint(ModelCheckpoint(tmp_path))
    assert not is_model_checkpoint(pl.callbacks.Timer())


def test_what_is_saved_at_this_very_step_may_be_over_or_not(tmp_path: Path) -> None:
    checkpoint = Theirs(tmp_path, save_top_k=-1, monitor="val_loss", save_on_train_epoch_end=False)
    moments = {}

    class Ask(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            moments[hook, trainer.current_epoch, trainer.global_step] = next_save(checkpoint, trainer, Run(trainer))

    run = trainer(Ask(), checkpoint, max_epochs=2, num_sanity_val_steps=0, enable_checkpointing=True)
    fit(run, Tiny(), loader(4), loader(2))
    assert moments["train_start", 0, 0].step == Span(4, 4)
    assert moments["train_batch_start", 0, 3].step == Span(4, 4)
    assert moments["train_batch_end", 0, 4].step == Span(4, 8)  # its validation comes yet
    assert moments["train_epoch_end", 0, 4].step == Span(8, 8)  # it has saved


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ({"train_time_interval": timedelta(minutes=1)}, {}),
        ({"every_n_train_steps": 2}, {"callbacks": {0: 1, 1: 2}}),
    ],
    ids=["the clock", "steps of uneven epochs"],
)
def test_saves_that_a_forecast_cannot_count_are_not_guessed(arguments: Any, settings: Any, tmp_path: Path) -> None:
    checkpoint = Theirs(tmp_path, **arguments)
    more = [pl.callbacks.GradientAccumulationScheduler(scheduling) for scheduling in settings.values()]
    answers = []

    class Ask(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                run = Run(trainer)
                answers.append((Points(checkpoint, trainer, run, moment_of(run, 1, None, None), False), run))

    fit(trainer(Ask(), checkpoint, *more, max_epochs=2, num_sanity_val_steps=0, enable_checkpointing=True),
        Tiny(), loader(4), loader(2))  # fmt: skip
    (points, run), = answers
    assert points.unknown and not points.most and run.regular == (not more)
