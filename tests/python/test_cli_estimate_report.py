"""The golden run: every figure of the disk estimate comes out of the forecast of the example's run file."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._estimate_report import EstimateReport, estimate, run_spec
from checkroom.cli._estimate_request import EstimateRequest, estimate_request
from checkroom.cli._policy import Policy
from checkroom.cli._render_data import as_data

ROOT = Path(__file__).parents[2]
GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/data/golden/disk_estimate.json").read_text())
RUN_FILE = ROOT / "examples/vla_finetune.toml"

GB, MB = 10**9, 10**6


def exact(figure: float, unit: int) -> int:
    """A printed figure in bytes: 34.5 GB are 34,500,000,000 bytes, without a float in between."""
    return int(Decimal(str(figure)) * unit)


def span(pair: list[float], unit: int = 1) -> dict[str, int]:
    return {"least": exact(pair[0], unit), "most": exact(pair[1], unit)}


@pytest.fixture(scope="module")
def report() -> EstimateReport:
    return estimate(estimate_request({}, run=str(RUN_FILE)))


@pytest.fixture(scope="module")
def data(report: EstimateReport) -> dict[str, Any]:
    # Through text, as a reader of the JSON sees it.
    result: dict[str, Any] = json.loads(json.dumps(as_data(report)))
    return result


def test_the_run_is_the_golden_run(data: dict[str, Any]) -> None:
    run, golden = data["run"], GOLDEN["run"]
    assert run["checkpoint_bytes"]["estimate"] == golden["checkpoint_bytes"]
    assert run["max_epochs"] == golden["max_epochs"]
    assert run["steps_per_epoch"] == golden["steps_per_epoch"]
    assert run["batch_size"] * run["accumulate_grad_batches"] == golden["effective_batch_size"]
    assert run["dataset"]["bytes"] == golden["dataset_bytes"]
    assert run["dataset"]["files"] == golden["episodes"]
    assert run["dataset"]["train_files"] == golden["train_episodes"]
    assert run["dataset"]["val_files"] == golden["val_episodes"]


@pytest.mark.parametrize("name", list(GOLDEN["policies"]))
def test_every_row_of_every_policy(data: dict[str, Any], name: str) -> None:
    golden = GOLDEN["policies"][name]
    policy = next(item for item in data["policies"] if item["name"] == name)
    assert [row["epochs"] for row in policy["rows"]] == [row["epochs"] for row in golden["rows"]]
    for row, expected in zip(policy["rows"], golden["rows"]):
        assert row["files"] == span(expected["files"])
        assert row["checkpoint_bytes"] == span(expected["checkpoint_gb"], GB)
        assert row["tensorboard_bytes"] == exact(expected["tensorboard_mb"], MB)
        assert row["csv_bytes"] == exact(expected["csv_mb"], MB)
        assert row["total_bytes"] == span(expected["total_bytes"])


def agrees_as_printed(size: int, printed: float) -> bool:
    """Does the size round to the printed figure, at its precision?"""
    unit = Decimal(1).scaleb(Decimal(str(printed)).as_tuple().exponent)  # type: ignore[arg-type]
    return (Decimal(size) / GB).quantize(unit) == Decimal(str(printed))


def test_the_printed_totals_agree_but_for_the_errata(data: dict[str, Any]) -> None:
    misprints = set()
    for policy in data["policies"]:
        for row, golden in zip(policy["rows"], GOLDEN["policies"][policy["name"]]["rows"]):
            sums = row["total_bytes"]["least"], row["total_bytes"]["most"]
            if not all(map(agrees_as_printed, sums, golden["total_gb_as_printed"])):
                misprints.add((policy["name"], row["epochs"]))
    assert misprints == {("recommended", 100), ("minimum", 100)}


@pytest.mark.parametrize("name", list(GOLDEN["policies"]))
def test_the_arguments_to_paste(data: dict[str, Any], name: str) -> None:
    policy = next(item for item in data["policies"] if item["name"] == name)
    expected = dict(GOLDEN["policies"][name]["model_checkpoint"])
    if name == "recommended":  # its filename would hold the metrics' names twice
        expected["auto_insert_metric_name"] = False
    assert policy["model_checkpoint"] == expected


def test_the_peak_that_the_source_left_out(data: dict[str, Any]) -> None:
    peaks = {
        item["name"]: next(row["peak_bytes"] for row in item["rows"] if row["epochs"] == 20)
        for item in data["policies"]
    }
    size = GOLDEN["run"]["checkpoint_bytes"]
    assert peaks["recommended"] == {"lightning": 5 * size, "checkroom": 4 * size}
    assert peaks["minimum"] == {"lightning": 2 * size, "checkroom": 2 * size}
    assert peaks["current"] == {"lightning": 20 * size, "checkroom": 20 * size}


def test_dataset_scaling(data: dict[str, Any]) -> None:
    assert len(data["dataset_scaling"]) == len(GOLDEN["dataset_scaling"])
    for row, golden in zip(data["dataset_scaling"], GOLDEN["dataset_scaling"]):
        assert row["factor"] == golden["factor"]
        assert row["dataset_bytes"] == exact(golden["dataset_gb"], GB)
        assert row["dataset_files"] == golden["episodes"]
        assert row["steps_per_epoch"] == golden["steps_per_epoch"]
        assert row["seconds"] == pytest.approx(golden["hours_20_epochs"] * 3600)
        assert row["epochs"] == 20
        assert row["tensorboard_bytes"] == exact(golden["tensorboard_mb"], MB)
        assert row["checkpoint_bytes"] == span([golden["checkpoint_gb"]] * 2, GB)


def test_scenarios(data: dict[str, Any]) -> None:
    assert len(data["scenarios"]) == len(GOLDEN["scenarios_20_epochs"])
    for row, golden in zip(data["scenarios"], GOLDEN["scenarios_20_epochs"]):
        assert (row["policy"], row["epochs"]) == (golden["policy"], 20)
        assert row["model_files_bytes"] == exact(golden["model_gb"], GB)
        assert row["dataset_bytes"] == exact(golden["dataset_gb"], GB)
        assert row["checkpoint_bytes"] == span(golden["checkpoints_gb"], GB)
        assert row["tensorboard_bytes"] == exact(golden["tensorboard_gb"], GB)
        assert row["csv_bytes"] == exact(golden["csv_gb"], GB)
        assert row["misc_bytes"] == exact(golden["misc_gb"], GB)
        assert row["total_bytes"] == span(golden["total_bytes"])


def test_strategies(data: dict[str, Any]) -> None:
    assert len(data["strategies"]) == len(GOLDEN["strategies"])
    for row, golden in zip(data["strategies"], GOLDEN["strategies"]):
        assert row["name"] == golden["name"]
        assert row["epochs"] == golden["epochs"]
        assert row["model_checkpoint"] == golden["model_checkpoint"]
        assert row["files"] == span(golden["checkpoints"])
        assert row["checkpoint_bytes"] == span(golden["gb"], GB)


def test_verdicts(data: dict[str, Any]) -> None:
    verdict = data["verdict"]
    assert verdict["free_bytes"] == GOLDEN["run"]["free_bytes"]
    assert verdict["epochs"] == 20
    for item in verdict["policies"]:
        # "recommended; enough space", "not recommended; short of space for 20 epochs"
        assert item["verdict"] in GOLDEN["policies"][item["name"]]["verdict"]
        for fit in (item["checkroom"], item["lightning"]):
            assert fit["have_bytes"] == verdict["free_bytes"] - verdict["floor_bytes"]
            assert fit["short_by_bytes"] == max(0, fit["need_bytes"] - fit["have_bytes"])
            assert fit["enough"] is (fit["short_by_bytes"] == 0)
    current = verdict["policies"][0]
    assert current["checkroom"]["need_bytes"] == 138_204_000_000
    assert current["checkroom"]["short_by_bytes"] == 89_204_000_000
    assert current["checkroom"]["stops_at_epoch"] == 8  # 7 files of 6.9 GB fit into 49 GB


def request_of(**flags: str) -> EstimateRequest:
    return estimate_request({"checkpoint_size": "1GB", "epochs": "10", **flags})


def test_a_size_that_is_a_range_widens_every_figure() -> None:
    exactly = request_of(save_top_k="2", monitor="val_loss")
    size = replace(exactly.checkpoint, least=900 * MB, most=1100 * MB)
    row = estimate(replace(exactly, checkpoint=size)).policies[0].rows[0]
    assert (row.checkpoint_bytes.least, row.checkpoint_bytes.most) == (1800 * MB, 2200 * MB)
    assert row.peak_bytes.lightning == 3300 * MB
    assert (row.files.least, row.files.most) == (2, 2)


def test_weights_only_counts_the_weights() -> None:
    request = request_of(save_weights_only="true", weights_only_size="300MB")
    assert estimate(request).policies[0].rows[0].checkpoint_bytes.most == 300 * MB


def test_a_floor_as_large_as_the_space_leaves_nothing() -> None:
    (verdict,) = estimate(request_of(free="3GB", min_free="5GB")).verdicts
    assert (verdict.checkroom.have, verdict.checkroom.enough) == (0, False)
    assert verdict.checkroom.short_by == verdict.checkroom.need


def test_lightning_alone_may_be_short_where_checkroom_is_not() -> None:
    request = request_of(save_top_k="3", monitor="val_loss", save_last="true", free="4.5GB", min_free="0")
    (verdict,) = estimate(request).verdicts
    assert verdict.checkroom.enough is True
    assert verdict.lightning.enough is False
    assert verdict.lightning.short_by == 500 * MB


def test_logs_count_in_the_need_and_in_where_it_stops() -> None:
    # One file of 1 GB and, while it is replaced, a second; the logs take the rest of 5 GB in the 7th epoch.
    request = request_of(csv_per_epoch="500MB", free="5GB", min_free="0")
    (verdict,) = estimate(request).verdicts
    assert verdict.checkroom.need == 7 * GB
    assert verdict.checkroom.stops_at_epoch == 7
    assert estimate(request_of(free="1GB", min_free="0")).verdicts[0].checkroom.stops_at_epoch == 2


def test_policies_that_act_in_one_run_save_in_turn() -> None:
    config = {"checkpoint_size": "1GB", "epochs": "10", "free": "5.5GB", "min_free": "0", "csv_per_epoch": "10MB"}
    request = estimate_request(config, policies=("a:save_top_k=2,monitor=loss", "b:save_top_k=1"))
    together = estimate(replace(request, together=True)).verdicts[-1]
    assert together.policy == "all together"
    # 2 and 1 files at rest, one more while one of them saves; the logs are those of one run.
    assert together.checkroom.need == 4 * GB + 100 * MB
    assert together.checkroom.enough is True


def test_space_that_is_unknown_has_no_verdict() -> None:
    request = request_of(free="3GB")
    assert request.free is not None
    (verdict,) = estimate(replace(request, free=replace(request.free, bytes=None))).verdicts
    assert verdict.checkroom.enough is None
    assert verdict.checkroom.short_by == 0


def test_without_fixed_parts_there_is_no_scenario() -> None:
    assert estimate(request_of()).scenarios == ()
    assert len(estimate(request_of(misc="1GB")).scenarios) == 1


@pytest.mark.parametrize("steps", ["20", "1000"])
def test_too_many_saves_are_refused(steps: str) -> None:
    request = request_of(epochs="1000000", steps_per_epoch=steps, every_n_train_steps="1")
    with pytest.raises(CommandError, match=r"policy flags: .*too many to play ahead \(save less often"):
        estimate(request)


def test_the_core_refuses_what_it_cannot_count() -> None:
    for flags, largest in (
        ({"checkpoint_size": "9 EB", "save_top_k": "-1"}, "the checkpoint is the largest, '9.0 EB'"),
        ({"misc": "9.2 EB", "model_files": "1 EB"}, "the misc is the largest, '9.2 EB'"),
        ({"dataset": "9.22 EB", "free": "1GB", "checkpoint_size": "1 EB"}, "the dataset is the largest, '9.2 EB'"),
        ({"csv_per_epoch": "1 EB"}, "the CSV log of an epoch is the largest, '1.0 EB'"),
    ):
        with pytest.raises(CommandError, match="^the run's bytes add up to more than 9.2 EB: ") as caught:
            estimate(request_of(epochs="1000", **flags))
        assert largest in str(caught.value)


def test_steps_that_cannot_be_counted() -> None:
    request = request_of(steps_per_epoch="9223372036854775807")
    with pytest.raises(CommandError, match=r"'9223372036854775807' steps in each of \d+ epochs are too many"):
        estimate(request)


def test_the_run_spec_holds_what_was_asked() -> None:
    request = request_of(steps_per_epoch="100", every_n_train_steps="50", seconds_per_step="2", misc="5MB")
    spec = run_spec(request, request.policies[0], 7, writer="lightning", factor=3)
    assert (spec.max_epochs, spec.steps_per_epoch, spec.every_n_train_steps) == (7, 300, 50)
    assert (spec.writer, spec.seconds_per_step, spec.misc_bytes) == ("lightning", 2.0, 5 * MB)
    assert run_spec(request, Policy("plain"), 7).every_n_train_steps is None
