"""An estimate for programs: JSON and CSV, bytes as integers. The keys are public: add, never rename."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from checkroom.cli._checkpoint_size import CheckpointSize
from checkroom.cli._estimate_report import EstimateReport, Fit, Peak, Row, Scaling, Scenario, Span, StrategyReport
from checkroom.cli._policy import plain
from checkroom.cli._remarks import remarks
from checkroom.cli._split import split_data

__all__ = ["as_csv", "as_data", "as_json", "split_json"]

FORMAT = 1


def as_json(report: EstimateReport) -> str:
    """One JSON object, indented, that ends in a newline."""
    return json.dumps(as_data(report), indent=2, default=plain, allow_nan=False) + "\n"


def as_data(report: EstimateReport) -> dict[str, Any]:
    """The report as plain dictionaries, lists, texts and integers."""
    return {
        "format": FORMAT,
        "run": _run(report),
        "checkpoint_split": split_data(report.request.checkpoint),
        "policies": [
            {
                "name": item.policy.name,
                "model_checkpoint": item.policy.model_checkpoint,
                "rows": [_row(row) for row in item.rows],
            }
            for item in report.policies
        ],
        "dataset_scaling": [_scaling(row) for row in report.scaling],
        "scenarios": [_scenario(row) for row in report.scenarios],
        "strategies": [_strategy(row) for row in report.strategies],
        "verdict": _verdict(report),
        "remarks": list(remarks(report)),
    }


def split_json(size: CheckpointSize) -> str:
    """What is in one file, as a JSON object of its own."""
    return json.dumps({"format": FORMAT, "checkpoint_split": split_data(size)}, indent=2, allow_nan=False) + "\n"


def as_csv(report: EstimateReport) -> str:
    """One line for each policy and length, under a line of column names."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([
        "policy", "epochs", "files_least", "files_most", "checkpoint_bytes_least", "checkpoint_bytes_most",
        "peak_bytes_lightning", "peak_bytes_checkroom", "tensorboard_bytes", "csv_bytes", "total_bytes_least",
        "total_bytes_most",
    ])
    for item in report.policies:
        for row in item.rows:
            writer.writerow([
                item.policy.name, row.epochs, row.files.least, row.files.most, row.checkpoint_bytes.least,
                row.checkpoint_bytes.most, row.peak_bytes.lightning, row.peak_bytes.checkroom, row.tensorboard_bytes,
                row.csv_bytes, row.total_bytes.least, row.total_bytes.most,
            ])
    return out.getvalue()


def _span(span: Span) -> dict[str, int]:
    return {"least": span.least, "most": span.most}


def _peak(peak: Peak) -> dict[str, int]:
    return {"lightning": peak.lightning, "checkroom": peak.checkroom}


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _run(report: EstimateReport) -> dict[str, Any]:
    request = report.request
    size, steps, dataset = request.checkpoint, request.steps, request.dataset
    return {
        "checkpoint_bytes": {"least": size.least, "estimate": size.total, "most": size.most, "source": size.source},
        "max_epochs": request.max_epochs,
        "steps_per_epoch": steps.per_epoch,
        "samples": steps.samples,
        "batch_size": steps.batch_size,
        "accumulate_grad_batches": steps.accumulate,
        "devices": steps.devices,
        "seconds_per_step": steps.seconds,
        "lightning_version": request.lightning_version,
        "dataset": dataset and {
            "bytes": dataset.bytes,
            "files": dataset.files,
            "mean_file_bytes": dataset.mean_bytes,
            "train_files": dataset.train,
            "val_files": dataset.validation,
        },
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "epochs": row.epochs,
        "files": _span(row.files),
        "checkpoint_bytes": _span(row.checkpoint_bytes),
        "peak_bytes": _peak(row.peak_bytes),
        "tensorboard_bytes": row.tensorboard_bytes,
        "csv_bytes": row.csv_bytes,
        "total_bytes": _span(row.total_bytes),
    }


def _scaling(row: Scaling) -> dict[str, Any]:
    return {
        "factor": row.factor,
        "dataset_bytes": row.dataset_bytes,
        "dataset_files": row.dataset_files,
        "steps_per_epoch": row.steps_per_epoch,
        "epochs": row.epochs,
        "seconds": _seconds(row.seconds),
        "tensorboard_bytes": row.tensorboard_bytes,
        "csv_bytes": row.csv_bytes,
        "checkpoint_bytes": _span(row.checkpoint_bytes),
    }


def _scenario(row: Scenario) -> dict[str, Any]:
    return {
        "policy": row.policy,
        "epochs": row.epochs,
        "model_files_bytes": row.model_files_bytes,
        "dataset_bytes": row.dataset_bytes,
        "checkpoint_bytes": _span(row.checkpoint_bytes),
        "tensorboard_bytes": row.tensorboard_bytes,
        "csv_bytes": row.csv_bytes,
        "misc_bytes": row.misc_bytes,
        "total_bytes": _span(row.total_bytes),
    }


def _strategy(row: StrategyReport) -> dict[str, Any]:
    return {
        "name": row.strategy.policy.name,
        "epochs": [row.strategy.first, row.strategy.last],
        "model_checkpoint": row.strategy.policy.model_checkpoint,
        "files": _span(row.files),
        "checkpoint_bytes": _span(row.checkpoint_bytes),
        "peak_bytes": _peak(row.peak_bytes),
    }


def _verdict(report: EstimateReport) -> dict[str, Any] | None:
    free = report.request.free
    if free is None:
        return None
    return {
        "epochs": report.request.max_epochs,
        "free_bytes": free.bytes,
        "floor_bytes": free.floor,
        "path": free.path,
        "policies": [
            {
                "name": item.policy,
                "verdict": {True: "enough", False: "short", None: "unknown"}[item.checkroom.enough],
                "checkroom": _fit(item.checkroom),
                "lightning": _fit(item.lightning),
            }
            for item in report.verdicts
        ],
    }


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "enough": fit.enough,
        "need_bytes": fit.need,
        "have_bytes": fit.have,
        "short_by_bytes": None if fit.have is None else fit.short_by,
        "stops_at_epoch": fit.stops_at_epoch,
    }
