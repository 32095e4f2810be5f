"""The forecast against the figures of a real disk estimate, and what it answers and refuses."""

from __future__ import annotations

import array
import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from checkroom import KeepBest, KeepEvery, KeepLast, RunSpec, forecast

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "golden" / "disk_estimate.json").read_text())
RUN = GOLDEN["run"]
FILE = RUN["checkpoint_bytes"]
GB, MB = 10**9, 10**6

# The rows whose printed totals leave out the source's own logs, as its errata say.
PRINTED_WITHOUT_LOGS = {("recommended", 100), ("minimum", 100)}


def golden_spec(model_checkpoint: dict[str, Any], epochs: int, **more: Any) -> RunSpec:
    arguments = {name: value for name, value in model_checkpoint.items() if name != "filename"}
    return RunSpec(
        max_epochs=epochs,
        checkpoint_bytes=FILE,
        tensorboard_bytes_per_epoch=RUN["tensorboard_bytes_per_epoch"],
        csv_bytes_per_epoch=RUN["csv_bytes_per_epoch"],
        log_steps_per_epoch=RUN["log_rates_hold_at_steps_per_epoch"],
        **{"steps_per_epoch": RUN["steps_per_epoch"], **arguments, **more},
    )


def pair(figure: Any) -> list[int]:
    return [figure.least, figure.most]


ROWS = [(name, row) for name, policy in GOLDEN["policies"].items() for row in policy["rows"]]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}-{row['epochs']}" for name, row in ROWS])
def test_golden_policies(name: str, row: dict[str, Any]) -> None:
    played = forecast(golden_spec(GOLDEN["policies"][name]["model_checkpoint"], row["epochs"]))
    assert pair(played.files) == row["files"]
    assert [bytes / GB for bytes in pair(played.at_rest_bytes)] == pytest.approx(row["checkpoint_gb"], abs=1e-9)
    assert played.tensorboard_bytes == round(row["tensorboard_mb"] * MB)
    assert played.csv_bytes == round(row["csv_mb"] * MB)
    assert pair(played.total_bytes) == row["total_bytes"]
    for bytes, printed in zip(pair(played.total_bytes), row["total_gb_as_printed"], strict=True):
        precision = 0.1 if isinstance(printed, float) else 1
        agrees = abs(bytes / GB - printed) <= precision / 2 + 1e-9
        assert agrees != ((name, row["epochs"]) in PRINTED_WITHOUT_LOGS)


@pytest.mark.parametrize("row", GOLDEN["dataset_scaling"], ids=lambda row: f"x{row['factor']}")
def test_golden_dataset_scaling(row: dict[str, Any]) -> None:
    seconds_per_step = RUN["hours_for_20_epochs"] * 3600 / (20 * RUN["steps_per_epoch"])
    spec = golden_spec({}, 20, steps_per_epoch=row["steps_per_epoch"], seconds_per_step=seconds_per_step)
    played = forecast(spec)
    assert played.tensorboard_bytes == row["tensorboard_mb"] * MB
    assert played.seconds is not None
    assert played.seconds / 3600 == pytest.approx(row["hours_20_epochs"])
    assert pair(played.at_rest_bytes) == [FILE, FILE]  # the size does not depend on the data


@pytest.mark.parametrize("row", GOLDEN["scenarios_20_epochs"], ids=lambda row: row["policy"])
def test_golden_scenarios(row: dict[str, Any]) -> None:
    parts = {name: RUN[name] for name in ("dataset_bytes", "model_files_bytes", "misc_bytes")}
    played = forecast(golden_spec(GOLDEN["policies"][row["policy"]]["model_checkpoint"], 20, **parts))
    assert [bytes + played.fixed_bytes for bytes in pair(played.total_bytes)] == row["total_bytes"]


@pytest.mark.parametrize("row", GOLDEN["strategies"], ids=lambda row: row["name"])
def test_golden_strategies(row: dict[str, Any]) -> None:
    runs = [forecast(golden_spec(row["model_checkpoint"], epochs or -1)) for epochs in row["epochs"]]
    # The short strategies' first run is too short to fill its slots; what counts is where they end.
    assert pair(runs[-1].files) == row["checkpoints"]
    assert [bytes / GB for bytes in pair(runs[-1].at_rest_bytes)] == pytest.approx(row["gb"], abs=1e-9)


def test_the_peak_that_the_estimate_left_out() -> None:
    recommended = GOLDEN["policies"]["recommended"]["model_checkpoint"]
    minimum = GOLDEN["policies"]["minimum"]["model_checkpoint"]
    assert forecast(golden_spec(recommended, 20, writer="lightning")).peak_bytes.most == 5 * FILE
    assert forecast(golden_spec(recommended, 20)).peak_bytes.most == 4 * FILE
    assert forecast(golden_spec(minimum, 20, writer="lightning")).peak_bytes.most == 2 * FILE


def test_free_space_of_the_verdicts() -> None:
    current = forecast(golden_spec(GOLDEN["policies"]["current"]["model_checkpoint"], 20))
    point = current.first_save_that_cannot_fit(RUN["free_bytes"])
    assert point is not None and point.epoch + 1 == 8  # 8 * 6.9 GB > 50 GB
    for name in ("recommended", "minimum"):
        played = forecast(golden_spec(GOLDEN["policies"][name]["model_checkpoint"], 20, writer="lightning"))
        assert played.first_save_that_may_not_fit(RUN["free_bytes"]) is None


def test_scores_as_list_array_and_mapping_are_one() -> None:
    spec = RunSpec(max_epochs=4, save_top_k=2, monitor="loss", checkpoint_bytes=10)
    values = [3.0, 1.0, math.nan, 2.0]
    plays = [forecast(spec, scores) for scores in (values, array.array("d", values), {"loss": values})]
    assert [played.kept for played in plays] == [[1, 3]] * 3
    played = plays[0]
    assert [played.kept_after(i) for i in range(4)] == [[0], [0, 1], [0, 1], [1, 3]]
    assert [point.saved for point in played.timeline] == [True, True, False, True]
    assert [pair(point.files) for point in played.timeline] == [[1, 1], [2, 2], [2, 2], [2, 2]]
    assert pair(played.written_bytes) == [30, 30] and played.written_bytes.expected == 30


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([1.0], "1 values for 3 opportunities"),
        ([1.0] * 4, "4 values for 3 opportunities"),
        ({"accuracy": [1.0] * 3}, "'loss'"),
        ({"loss": [1.0] * 3, "other": [1.0] * 2}, "2"),
        ({"loss": [1.0] * 2}, "2 values for 3"),
    ],
)
def test_scores_that_do_not_fit(scores: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        forecast(RunSpec(max_epochs=3, monitor="loss"), scores)


def test_scores_for_every_rule() -> None:
    spec = RunSpec(max_epochs=3, monitor="loss", keep=[KeepBest(1, "accuracy", "max")], checkpoint_bytes=1)
    with pytest.raises(ValueError, match="'accuracy'"):
        forecast(spec, [1.0, 2.0, 3.0])
    assert forecast(spec, {"loss": [1.0, 2.0, 3.0], "accuracy": [0.1, 0.3, 0.2]}).kept == [0, 1]


def test_a_run_without_an_end_has_a_steady_state_and_no_sum() -> None:
    played = forecast(golden_spec(GOLDEN["policies"]["recommended"]["model_checkpoint"], -1))
    assert pair(played.files) == [3, 4] and played.peak_files.most == 4
    assert played.epochs is None and played.steps is None and played.spec.save_count is None
    assert played.bytes_per_epoch == pytest.approx(10_200_000)
    for figure in ("written_bytes", "total_bytes", "tensorboard_bytes"):
        with pytest.raises(ValueError, match="epochs_until_full"):
            getattr(played, figure)
    assert played.epochs_until_full(4 * FILE + 1020 * MB) == 100
    # The third save, at the end of epoch 15, may make four files: three and a `last` of its own.
    assert played.epochs_until_full(4 * FILE - 1) == 14
    grows = forecast(golden_spec(GOLDEN["policies"]["current"]["model_checkpoint"], -1))
    assert grows.bytes_per_epoch == pytest.approx(FILE + 10_200_000)
    with pytest.raises(ValueError, match="bytes_per_epoch"):
        grows.at_rest_bytes
    assert grows.epochs_until_full(50 * GB) == 7
    late = grows.first_save_that_may_not_fit(5000 * FILE)
    assert late is not None and late.index == 5000 and late.epoch == 5000


@pytest.mark.parametrize(
    ("arguments", "rate"),
    [
        ({"every_n_epochs": 3}, 1 / 3),
        ({"every_n_train_steps": 50, "steps_per_epoch": 171}, 3.42),
        ({"val_check_interval": 0.25, "steps_per_epoch": 100}, 4),
        ({"save_top_k": 1, "keep": [KeepEvery(epochs=7)]}, 1 / 7),
        ({"save_top_k": 1, "keep": [KeepLast(9)]}, 0),
        ({"max_size": 100}, 0),
    ],
)
def test_growth_of_a_run_without_an_end(arguments: dict[str, Any], rate: float) -> None:
    spec = RunSpec(**{"max_epochs": -1, "save_top_k": -1, "checkpoint_bytes": 1, "monitor": "loss", **arguments})
    assert forecast(spec).bytes_per_epoch == pytest.approx(rate, rel=1e-3)


def test_a_run_of_unknown_lengths() -> None:
    by_epoch = forecast(RunSpec(max_epochs=5, save_top_k=-1, checkpoint_bytes=2, csv_bytes_per_epoch=3))
    assert pair(by_epoch.total_bytes) == [25, 25] and by_epoch.timeline[4].step == -1
    by_steps = RunSpec(max_steps=1000, every_n_train_steps=300, save_top_k=-1, checkpoint_bytes=2)
    assert [point.step for point in forecast(by_steps).timeline] == [300, 600, 900]
    assert forecast(by_steps).timeline[0].epoch == -1
    # Which of the two limits ends it is not known: nothing is certain, and the most holds for both.
    either = forecast(by_steps.replace(max_epochs=3))
    assert pair(either.files) == [0, 3] and pair(either.at_rest_bytes) == [0, 6]
    assert RunSpec(max_epochs=3, every_n_train_steps=300).save_count is None


def test_what_lies_there_counts() -> None:
    spec = RunSpec(max_epochs=2, checkpoint_bytes=10, existing_files=3, existing_bytes=70)
    played = forecast(spec)
    assert pair(played.files) == [4, 4] and pair(played.at_rest_bytes) == [80, 80]
    assert pair(played.peak_bytes) == [90, 90] and pair(played.written_bytes) == [20, 20]
    assert forecast(spec.replace(max_epochs=0)).at_rest_bytes.most == 70


def test_filesystems() -> None:
    spec = RunSpec(
        max_epochs=4, steps_per_epoch=10, save_top_k=-1, save_last=True, writer="lightning", staging="other",
        checkpoint_bytes=10, tensorboard_bytes_per_epoch=5,
    )  # fmt: skip
    filesystems = forecast(spec).filesystems
    assert set(filesystems) == {"destination", "staging", "logs"}
    assert pair(filesystems["destination"].peak_bytes) == [50, 50]
    assert pair(filesystems["staging"].peak_bytes) == [10, 10]
    assert pair(filesystems["staging"].at_rest_bytes) == [0, 0]
    assert pair(filesystems["destination"].written_bytes) == pair(filesystems["staging"].written_bytes) == [80, 80]
    assert pair(filesystems["logs"].at_rest_bytes) == [20, 20]
    assert set(forecast(spec.replace(staging="same")).filesystems) == {"destination", "logs"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"max_epochs": -2}, "max_epochs=-2"),
        ({"checkpoint_bytes": -5}, "checkpoint_bytes=-5"),
        ({"save_top_k": -2}, "save_top_k=-2"),
        ({"save_top_k": 3}, "save_top_k=3"),
        ({"every_n_epochs": 2, "every_n_train_steps": 5}, "every_n_train_steps=5, every_n_epochs=2"),
        ({"mode": "least"}, "mode='least'"),
        ({"save_last": "links"}, "save_last='links'"),
        ({"lightning_version": "two"}, "lightning_version='two'"),
        ({"val_check_interval": 1.5}, "val_check_interval=1.5"),
        ({"val_check_interval": 11, "steps_per_epoch": 10}, "val_check_interval=11"),
        ({"val_check_interval": 0.5}, "val_check_interval=0.5"),
        ({"check_val_every_n_epoch": None}, "val_check_interval=1"),
        ({"seconds_per_step": math.inf}, "seconds_per_step=inf"),
        ({"batches_per_epoch": 10, "steps_per_epoch": 3}, "batches_per_epoch=10"),
        ({"keep": [KeepEvery(hours=1)]}, "hours=1"),
        ({"monitor": "loss", "keep": [KeepBest(2, "loss")]}, "loss"),
    ],
)
def test_a_wrong_spec_is_refused_and_quoted(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as raised:
        RunSpec(**arguments)
    assert says in str(raised.value)


def test_an_unknown_or_mistyped_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="max_epoch"):
        RunSpec(max_epoch=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="max_steps='many'"):
        RunSpec(max_steps="many")  # type: ignore[arg-type]


def test_too_many_saves_are_refused() -> None:
    with pytest.raises(ValueError, match="too many to play ahead"):
        forecast(RunSpec(max_steps=10**12, every_n_train_steps=1))


def test_a_spec_is_a_value() -> None:
    spec = RunSpec(max_epochs=20, val_check_interval=5, steps_per_epoch=9, save_last="link", keep=[KeepLast(2)])
    assert pickle.loads(pickle.dumps(spec)) == spec == spec.replace()
    assert spec.replace(max_epochs=3) != spec and spec.replace(max_epochs=3).max_epochs == 3
    assert repr(spec) == (
        "RunSpec(max_epochs=20, steps_per_epoch=9, val_check_interval=5, save_last='link', keep=[KeepLast(n=2)])"
    )


def test_sums_beyond_64_bits_are_an_overflow() -> None:
    with pytest.raises(OverflowError):
        _ = forecast(RunSpec(max_epochs=3, save_top_k=-1, checkpoint_bytes=2**62)).at_rest_bytes
