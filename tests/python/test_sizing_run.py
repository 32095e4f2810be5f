"""How a run goes on, in closed form, beside a loop over its batches."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

from checkroom.sizing._run import Position, Run

SEEDS = range(200)


def tracker(value: int = 0) -> Any:
    stages = ("ready", "started", "processed", "completed")
    return SimpleNamespace(**{scope: SimpleNamespace(**dict.fromkeys(stages, value)) for scope in ("total", "current")})


def a_trainer(
    *, batches: float, accumulate: int = 1, every_epochs: int | None = 1, every_batches: float | None = None,
    max_steps: int = -1, validation: Any = (2,), scheduling: dict[int, int] | None = None, epoch: int = 0,
) -> Any:  # fmt: skip
    """A trainer that has not begun, as far as a Run looks at it."""
    optimizer = SimpleNamespace(step=tracker(), zero_grad=tracker())
    automatic = SimpleNamespace(optim_progress=SimpleNamespace(optimizer=optimizer))
    loop = SimpleNamespace(
        batch_progress=tracker(), automatic_optimization=automatic, val_loop=SimpleNamespace(batch_progress=tracker())
    )
    callbacks = []
    if scheduling is not None:
        kind = type("GradientAccumulationScheduler", (), {"__module__": "lightning.pytorch.callbacks"})
        callbacks.append(kind())
        callbacks[0].scheduling = scheduling
    return SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_progress=tracker(), epoch_loop=loop), current_epoch=epoch,
        lightning_module=SimpleNamespace(automatic_optimization=True), num_training_batches=batches,
        max_steps=max_steps, accumulate_grad_batches=accumulate, callbacks=callbacks, optimizers=[object()],
        num_val_batches=list(validation), enable_validation=bool(validation), check_val_every_n_epoch=every_epochs,
        val_check_batch=batches if every_batches is None else every_batches,
    )  # fmt: skip


def played(run: Run, epochs: int, factors: dict[int, int], every_epochs: int | None, every_batches: int) -> Any:
    """(epoch, batch) -> steps, zero_grads, validations in that epoch; and what was done before each epoch."""
    places, before, totals = {}, {}, [0, 0, 0]
    factor = factors[0]
    assert run.length is not None
    for epoch in range(epochs):
        factor = factors.get(epoch, factor)
        before[epoch] = tuple(totals)
        steps = zeroed = validations = 0
        for batch in range(1, run.length + 1):
            totals[0] += 1
            if (batch - 1) % factor == 0:
                zeroed += 1
                totals[2] += 1
            if batch % factor == 0 or batch == run.length:
                steps += 1
                totals[1] += 1
            if every_epochs is None:
                validations += totals[0] % every_batches == 0
            elif (epoch + 1) % every_epochs == 0:
                validations += batch % every_batches == 0
            places[epoch, batch] = (steps, zeroed, validations)
    return places, before


@pytest.mark.parametrize("seed", SEEDS)
def test_it_counts_as_a_loop_over_the_batches_does(seed: int) -> None:
    chance = random.Random(seed)
    batches, epochs = chance.randint(1, 9), 6
    factors = {0: chance.randint(1, 4)}
    if chance.random() < 0.4:
        factors.update({chance.randint(1, 4): chance.randint(1, 4), 5: chance.randint(1, 3)})
    every_epochs, every_batches = chance.choice([1, 2, 3, None]), chance.randint(1, batches)
    run = Run(a_trainer(
        batches=batches, accumulate=factors[0], every_epochs=every_epochs, every_batches=every_batches,
        scheduling=factors if len(factors) > 1 else None,
    ))  # fmt: skip
    places, before = played(run, epochs, factors, every_epochs, every_batches)
    for epoch in range(epochs):
        done = run.before(epoch)
        assert (done.batches, done.steps, done.zero_grads) == before[epoch]
        assert run.last_batch(epoch) == batches
        earlier = 0
        for batch in range(1, batches + 1):
            steps, zeroed, validations = places[epoch, batch]
            assert run.steps(epoch, batch) == run.stepped(epoch, batch) == steps
            assert run.zero_grads(epoch, batch) == zeroed
            assert run.validations(epoch, batch) == validations
            assert run.validates_at(epoch, batch) == (validations > earlier)
            earlier = validations
        some = any(places[one, batches][2] for one in range(epoch))
        assert run.validates_in(0, epoch) == some


@pytest.mark.parametrize("max_steps", range(1, 12))
def test_max_steps_ends_an_epoch_where_its_last_step_is_taken(max_steps: int) -> None:
    run = Run(a_trainer(batches=5, accumulate=2, max_steps=max_steps))  # three steps an epoch, of 2, 2 and 1 batches
    epoch, inside = divmod(max_steps - 1, 3)
    assert run.last_batch(epoch) == (2, 4, 5)[inside]
    assert run.last_batch(epoch + 1) == 0


def test_an_epoch_without_a_length_is_not_known() -> None:
    run = Run(a_trainer(batches=math.inf, every_batches=math.inf))
    assert run.length is None


def test_loaders_that_are_not_there_yet_are_not_known() -> None:
    run = Run(a_trainer(batches=4, validation=()))
    assert not run.validates  # no loop is defined
    trainer = a_trainer(batches=4, validation=())
    trainer.enable_validation = True
    run = Run(trainer)
    assert run.validates and run.validation_batches.least == 1 < run.validation_batches.most


def test_the_next_validation_is_found_in_this_epoch_or_the_next() -> None:
    run = Run(a_trainer(batches=6, every_batches=4))
    assert run.next_validation(Position(0, 2, "train_batch_end")) == Position(0, 4, "validation_end")
    assert run.next_validation(Position(0, 5, "train_batch_end")) == Position(1, 4, "validation_end")
    assert Run(a_trainer(batches=6, validation=(0,))).next_validation(Position(0, 1, "train_batch_end")) is None


def test_the_millionth_epoch_costs_what_the_first_does() -> None:
    run = Run(a_trainer(batches=1000, accumulate=3))
    assert run.before(10**12).steps == 334 * 10**12
