"""The forecast for given scores, event by event, against Lightning's own ModelCheckpoint on real files.

``CHECKROOM_EXAMPLES`` says how many random runs each test plays.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from reference import LIGHTNING_VERSION
from reference.disk_watch import Usage
from reference.replay import MONITOR, Event, Run, file_bytes, replay

import checkroom

EXAMPLES = int(os.environ.get("CHECKROOM_EXAMPLES", "100"))
MOST_SAVES = 12
PAYLOAD_BYTES = 64
NAN, INF = float("nan"), float("inf")

many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Few values make ties; the odd ones are what a diverging run logs.
score = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([NAN, INF, -INF]), st.floats(-10, 10, width=32)
)  # fmt: skip


@lru_cache
def checkpoint_bytes() -> int:
    return file_bytes(PAYLOAD_BYTES)


def spec_of(run: Run, **more: Any) -> checkroom.RunSpec:
    arguments = {**run.spec_arguments(), "checkpoint_bytes": checkpoint_bytes(), **more}
    return checkroom.RunSpec(writer="lightning", lightning_version=LIGHTNING_VERSION, **arguments)


def forecast_of(run: Run, **more: Any) -> checkroom.Forecast:
    """The forecast for the scores that the run has at its opportunities to save."""
    spec = spec_of(run, **more)
    if run.monitor is None:
        return checkroom.forecast(spec)
    opportunities = checkroom.forecast(spec).timeline
    return checkroom.forecast(spec, scores=[run.score(point.step) for point in opportunities])


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    monitor = draw(st.sampled_from([MONITOR, MONITOR, None]))
    return {
        "monitor": monitor,
        "save_top_k": draw(st.sampled_from([-1, 0, 1, 2, 3, 5] if monitor else [-1, 0, 1])),
        "save_last": draw(st.sampled_from([None, True, "link"])),
        "mode": draw(st.sampled_from(["min", "max"])),
    }


def _with_scores(draw: st.DrawFn, epochs: int, steps_per_epoch: int, **arguments: Any) -> Run:
    count = epochs * steps_per_epoch
    scores = tuple(draw(st.lists(score, min_size=count, max_size=count)))
    return Run(epochs, steps_per_epoch, scores, **draw(policies()), **arguments)


@st.composite
def runs_by_epochs(draw: st.DrawFn) -> Run:
    every = draw(st.integers(1, 4))
    epochs = draw(st.integers(1, MOST_SAVES * min(every, 2)))
    return _with_scores(draw, epochs, draw(st.integers(1, 2)), every_n_epochs=every)


@st.composite
def runs_by_steps(draw: st.DrawFn) -> Run:
    every = draw(st.integers(1, 4))
    steps_per_epoch = draw(st.integers(1, 5))
    epochs = draw(st.integers(1, max(1, MOST_SAVES * min(every, 2) // steps_per_epoch)))
    return _with_scores(draw, epochs, steps_per_epoch, every_n_train_steps=every)


@st.composite
def runs_that_validate_otherwise(draw: st.DrawFn) -> Run:
    """When it validates decides when it saves."""
    steps_per_epoch = draw(st.integers(1, 4))
    epochs = draw(st.integers(1, MOST_SAVES // steps_per_epoch + 1))
    check_every = draw(st.sampled_from([1, 2, 3, None]))
    if check_every is None:
        interval: int | float = draw(st.integers(1, 2 * steps_per_epoch))
    else:
        interval = draw(st.one_of(st.sampled_from([1.0, 0.5, 0.34]), st.integers(1, steps_per_epoch)))
    trigger = draw(st.sampled_from(["every_n_epochs", "every_n_train_steps"]))
    return _with_scores(
        draw, epochs, steps_per_epoch,
        check_val_every_n_epoch=check_every, val_check_interval=interval,
        save_on_train_epoch_end=draw(st.sampled_from([None, None, True, False])),
        validates=draw(st.sampled_from([True, True, False])),
        max_steps=draw(st.sampled_from([-1, -1, epochs * steps_per_epoch // 2 + 1])),
        **{trigger: draw(st.integers(1, 3))},
    )  # fmt: skip


def played(run: Run, staging: Path | None = None) -> list[Event]:
    with tempfile.TemporaryDirectory() as folder:
        return replay(run, Path(folder), staging=staging, payload_bytes=PAYLOAD_BYTES)


def _loses_its_last(run: Run) -> bool:
    """Before 2.6 an epoch without a save replaces a ``last.ckpt`` that is no link by a link to itself.

    The forecast counts the file that should be there.
    """
    old = tuple(map(int, LIGHTNING_VERSION.split(".")[:2])) < (2, 6)
    return old and run.save_last == "link" and run.save_top_k != 0 and not run.every_n_train_steps


def assert_forecast(run: Run) -> None:
    """Compares after each optimizer step, with and without a save, and at the end."""
    assume(not _loses_its_last(run))
    events = played(run)
    steps, end = events[:-1], events[-1]
    forecast = forecast_of(run)
    points = list(forecast.timeline)
    step_of = [point.step for point in points]
    at_step = {step: index for index, step in enumerate(step_of)}
    assert len(at_step) == len(points), "two opportunities at one step"
    assert at_step.keys() <= {event.step for event in steps}

    written = 0
    for event in steps:
        if event.step == end.step:  # what is written at the end of the training belongs to the last step
            event = _joined(event, end)
        index = at_step.get(event.step)
        if index is None:
            assert event.written == written, f"Lightning saves at step {event.step}, the forecast does not"
            continue
        written = event.written
        assert _plain(points[index]) == _measured(event), f"at step {event.step}"
        kept = forecast.kept_after(index)
        assert kept is not None
        assert [step_of[saved] for saved in kept] == list(event.kept), f"at step {event.step}"

    assert _only(forecast.files) == end.at_rest.files
    assert _only(forecast.at_rest_bytes) == end.at_rest.bytes
    assert _only(forecast.written_bytes) == end.written
    peak = max((event.peak.bytes for event in events), default=0)
    assert _only(forecast.peak_bytes) == peak
    assert _only(forecast.peak_files) * checkpoint_bytes() == peak
    assert forecast.kept is not None
    assert [step_of[saved] for saved in forecast.kept] == list(end.kept)


def _joined(event: Event, end: Event) -> Event:
    peak = Usage(max(event.peak.files, end.peak.files), max(event.peak.bytes, end.peak.bytes))
    return Event(event.epoch, event.step, end.kept, end.last, end.at_rest, peak, peak, end.written, end.best)


def _plain(point: Any) -> dict[str, int]:
    return {
        "epoch": point.epoch,
        "files": _only(point.files),
        "at_rest_bytes": _only(point.at_rest_bytes),
        "peak_files": _only(point.peak_files),
        "peak_bytes": _only(point.peak_bytes),
        "written_bytes": _only(point.written_bytes),
    }


def _measured(event: Event) -> dict[str, int]:
    return {
        "epoch": event.epoch,
        "files": event.at_rest.files,
        "at_rest_bytes": event.at_rest.bytes,
        "peak_files": event.peak.files,
        "peak_bytes": event.peak.bytes,
        "written_bytes": event.written,
    }


def _only(bounds: Any) -> int:
    """For given scores nothing is open."""
    assert bounds.least == bounds.most, bounds
    return int(bounds.least)


@many
@given(runs_by_epochs())
@example(Run(8, 1, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), save_top_k=1, save_last=True))
@example(Run(4, 1, (4.0, 3.0, 2.0, 1.0), save_top_k=0, save_last=True))
@example(Run(3, 1, (NAN, NAN, NAN), save_top_k=2, save_last="link"))
@example(Run(3, 2, (1.0,) * 6, save_top_k=3, every_n_epochs=4, save_last=True))
@example(Run(6, 1, (INF, NAN, -INF, INF, NAN, 1.0), save_top_k=2, mode="max", save_last=True))
def test_epochs(run: Run) -> None:
    assert_forecast(run)


@many
@given(runs_by_steps())
@example(Run(2, 3, (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), save_top_k=0, save_last=True, every_n_train_steps=1))
@example(Run(2, 3, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), save_top_k=1, save_last=True, every_n_train_steps=2))
@example(Run(2, 3, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), save_top_k=0, save_last="link", every_n_train_steps=2))
def test_steps(run: Run) -> None:
    assert_forecast(run)


@many
@given(runs_that_validate_otherwise())
def test_validation(run: Run) -> None:
    assert_forecast(run)


@settings(max_examples=max(1, EXAMPLES // 4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(runs_by_epochs(), runs_by_steps()))
def test_staging_on_another_filesystem(run: Run) -> None:
    """The move into place is then a second write, and the staged file lies on the other filesystem until it is done."""
    other = Path("/dev/shm")
    if not other.is_dir() or os.stat(other).st_dev == os.stat(tempfile.gettempdir()).st_dev:
        pytest.skip("no second filesystem to stage on")
    with tempfile.TemporaryDirectory(dir=other) as staging:
        events = played(run, Path(staging))
    destination = forecast_of(run, staging="other").filesystems["destination"]
    assert _only(destination.at_rest_bytes) == events[-1].at_rest.bytes
    assert _only(destination.peak_bytes) == max(event.peak_destination.bytes for event in events)
    assert _only(destination.written_bytes) == events[-1].written // 2


def test_the_replay_sees_the_peaks_that_lightning_has() -> None:
    """The peaks of improving runs, file by file: what everything above is measured against."""
    improving = tuple(float(-step) for step in range(6))
    peaks = {
        (k, last): max(event.peak.files for event in played(Run(6, 1, improving, save_top_k=k, save_last=last)))
        for k in (1, 3, -1)
        for last in (None, True, "link")
    }
    assert peaks == {
        (1, None): 2, (1, True): 3, (1, "link"): 2,
        (3, None): 4, (3, True): 5, (3, "link"): 4,
        (-1, None): 6, (-1, True): 8, (-1, "link"): 6,
    }  # fmt: skip
