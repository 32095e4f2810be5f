"""What runs need together that save in turn, beside such runs played out."""

from __future__ import annotations

import itertools
import random

import pytest

from checkroom import RunSpec, forecast
from checkroom.cli._together import need_together


def test_one_alone_needs_what_it_needs() -> None:
    assert need_together([3], [5]) == 5


def test_the_worst_of_them_is_at_its_peak() -> None:
    assert need_together([20, 30, 1], [30, 35, 9]) == 61
    assert need_together([20, 30, 1], [30, 35, 15]) == 65


@pytest.mark.parametrize("seed", range(50))
def test_no_order_of_the_saves_needs_more(seed: int) -> None:
    draw = random.Random(seed)
    specs = [
        RunSpec(max_epochs=6, save_top_k=draw.choice([-1, 1]), checkpoint_bytes=draw.randint(1, 9),
                every_n_epochs=draw.randint(1, 3), save_last=draw.random() < 0.5)
        for _ in range(2)
    ]  # fmt: skip
    assert worst_moment(specs) <= together(specs)


def test_runs_that_replace_their_one_file_need_as_much() -> None:
    specs = [RunSpec(max_epochs=6, save_top_k=1, checkpoint_bytes=size) for size in (4, 7)]
    assert worst_moment(specs) == together(specs) == 18


def together(specs: list[RunSpec]) -> int:
    runs = [forecast(spec) for spec in specs]
    return need_together([run.at_rest_bytes.most for run in runs], [run.peak_bytes.most for run in runs])


def worst_moment(specs: list[RunSpec]) -> int:
    """Of two runs played out side by side: at each epoch they save one after the other, in either order."""
    saves = [{point.epoch: point for point in forecast(spec).timeline} for spec in specs]
    worst = 0
    for order in itertools.permutations(range(2)):
        rest = [0, 0]
        for epoch, index in itertools.product(range(6), order):
            point = saves[index].get(epoch)
            if point is not None:
                worst = max(worst, point.peak_bytes.most + rest[1 - index])
                rest[index] = point.at_rest_bytes.most
    return worst
