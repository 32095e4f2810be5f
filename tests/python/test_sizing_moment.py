"""The places in a run that an epoch, a step and a hook tell of."""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_sizing_run import a_trainer

from checkroom.sizing._findings import Span
from checkroom.sizing._moment import any_moment, moment_of, moment_that_fits
from checkroom.sizing._run import BEYOND, Position, Run


def run(**arguments: Any) -> Run:
    return Run(a_trainer(**{"batches": 5, "accumulate": 2, **arguments}))  # steps after batches 2, 4 and 5


def test_without_a_step_it_is_the_end_of_the_epoch() -> None:
    moment = moment_of(run(), 2, None, None)
    assert set(moment.positions) == {Position(2, 5, "validation_end"), Position(2, 5, "train_epoch_end")}
    assert (moment.epoch, moment.step) == (Span(2, 2), Span(9, 9))


def test_an_epoch_that_validates_in_its_middle_only_ends_without_a_validation() -> None:
    assert moment_of(run(every_batches=3), 0, None, None).hooks == ("train_epoch_end",)


def test_the_batches_of_one_step_are_all_meant() -> None:
    moment = moment_of(run(every_batches=1), None, 4, None)
    assert moment.epoch == Span(1, 1)
    assert set(moment.positions) == {Position(1, batch, hook) for batch in (2, 3)
                                     for hook in ("train_batch_end", "validation_end")}


def test_a_hook_tells_them_apart() -> None:
    assert moment_of(run(), 0, 3, "train_batch_end").positions == (Position(0, 5, "train_batch_end"),)
    assert moment_of(run(every_batches=4), 0, 2, "validation_end").positions == (Position(0, 4, "validation_end"),)


@pytest.mark.parametrize("step", range(1, 40))
def test_a_step_tells_its_epoch(step: int) -> None:
    assert moment_of(run(), None, step, None).epoch.least == (step - 1) // 3


@pytest.mark.parametrize(
    ("epoch", "step", "at", "message"),
    [
        (0, 4, None, "step=4 is not in epoch 0, which has the steps 1 to 3"),
        (1, 2, None, "step=2 is not in epoch 1, which has the steps 4 to 6"),
        (0, 1, "train_epoch_end", "no train_epoch_end lies in epoch 0 at step 1"),
        (0, None, "on_save", "at='on_save' is none of"),
    ],
)
def test_there_is_no_such_moment(epoch: int, step: int | None, at: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        moment_of(run(), epoch, step, at)


def test_what_is_over_or_beyond_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch=1 is over: the trainer is in epoch 3"):
        moment_of(run(epoch=3), 1, None, None)
    with pytest.raises(ValueError, match="epoch=2 is not reached: the run ends at max_steps=4"):
        moment_of(run(max_steps=4), 2, None, None)


def test_a_hook_that_does_not_fit_is_left_out_of_account() -> None:
    assert moment_that_fits(run(), 0, 1, "train_epoch_end").hooks == ("train_batch_end",)


def test_an_epoch_without_a_length_has_no_places() -> None:
    endless = run(batches=math.inf, every_batches=math.inf)
    moment = moment_of(endless, None, 7, None)
    assert moment.positions == () and moment.step == Span(7, 7) and moment.epoch == Span(0, BEYOND)
    assert any_moment(endless).step == Span(1, BEYOND)


def test_two_places_are_one_moment() -> None:
    first = moment_of(run(), 0, 1, "train_batch_end")
    both = first.or_at(run(), Position(0, 5, "validation_end"))
    assert (both.step, both.hooks) == (Span(1, 3), ("train_batch_end", "validation_end"))
