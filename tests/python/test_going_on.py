"""The figures of a run that goes on: what it kept so far counts, as long as the rules keep it."""

from __future__ import annotations

from typing import Any

import pytest

from checkroom import Item, KeepEvery, KeepLast, RunSpec, forecast
from checkroom._figures import figure
from checkroom._going_on import Ahead

FILE = 100


def going_on(kept: int, pinned: str | None = None, **arguments: Any) -> Ahead:
    """Two more epochs after eight."""
    spec = RunSpec(**{"max_epochs": 10, "start_epoch": 8, "monitor": "loss", "checkpoint_bytes": FILE, **arguments})
    return Ahead(spec, [Item(f"{epoch}.ckpt", FILE) for epoch in range(kept)], pinned)


def test_a_run_that_begins_is_its_forecast() -> None:
    spec = RunSpec(max_epochs=5, save_top_k=2, monitor="loss", save_last=True, checkpoint_bytes=FILE)
    ahead, played = Ahead(spec), forecast(spec)
    for name in ("files", "at_rest_bytes", "peak_bytes", "written_bytes"):
        assert (figure(ahead, name).least, figure(ahead, name).most) == (
            getattr(played, name).least, getattr(played, name).most
        )
    assert ahead.spec == spec and ahead.has_end


def test_where_nothing_goes_everything_counts() -> None:
    ahead = going_on(8, save_top_k=-1)
    assert (ahead.files.least, ahead.files.most) == (10, 10)
    assert (ahead.at_rest_bytes.least, ahead.at_rest_bytes.most, ahead.peak_bytes.most) == (1000, 1000, 1000)
    assert ahead.written_bytes.most == 200  # only the rest is still written
    assert ahead.spec.existing_bytes == 800  # who plays it again sees the same
    assert ahead.first_save_that_may_not_fit(950).epoch == 9


@pytest.mark.parametrize(("kept", "rest", "peak"), [(3, 300, 400), (1, 300, 300), (2, 300, 400)])
def test_a_full_top_k_makes_room_for_what_comes(kept: int, rest: int, peak: int) -> None:
    ahead = going_on(kept, save_top_k=3)
    assert (ahead.at_rest_bytes.most, ahead.files.most, ahead.peak_bytes.most) == (rest, 3, peak)
    assert ahead.peak_bytes.least >= kept * FILE
    assert ahead.spec.existing_bytes == 0


def test_the_file_resumed_from_stays_beside_the_top_k() -> None:
    ahead = going_on(3, "1.ckpt", save_top_k=3)
    assert (ahead.files.most, ahead.at_rest_bytes.most, ahead.peak_bytes.most) == (4, 400, 500)


def test_more_than_the_rules_keep_is_there_until_it_goes() -> None:
    ahead = going_on(6, save_top_k=1, keep=[KeepLast(1)])
    assert (ahead.at_rest_bytes.most, ahead.peak_bytes.most) == (600, 700)


def test_of_rules_of_both_kinds_the_most_is_that_nothing_goes() -> None:
    ahead = going_on(5, save_top_k=1, keep=[KeepEvery(epochs=2)])
    assert ahead.at_rest_bytes.least < ahead.at_rest_bytes.most == 700


def test_a_run_without_an_end_that_grows_has_no_such_figures() -> None:
    ahead = going_on(8, max_epochs=-1, save_top_k=-1)
    assert figure(ahead, "files") is figure(ahead, "at_rest_bytes") is figure(ahead, "peak_bytes") is None
    assert ahead.epochs_until_full(1000) == 2  # beside the eight that are there


def test_a_cap_is_the_most_at_any_moment() -> None:
    ahead = going_on(3, "1.ckpt", save_top_k=3, max_size=450)
    assert ahead.peak_bytes.most == 450
    assert going_on(3, "1.ckpt", save_top_k=3, max_size=1000).peak_bytes.most == 500


def test_what_a_cap_cannot_make_room_for_is_shown() -> None:
    spec = RunSpec(max_epochs=5, save_top_k=2, monitor="loss", checkpoint_bytes=FILE, max_size=250)
    assert Ahead(spec).peak_bytes.most == forecast(spec).peak_bytes.most > 250
