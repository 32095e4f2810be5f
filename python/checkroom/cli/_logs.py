"""Log rates: given, or measured from the files of an earlier run instead of guessed.

A rate is bytes over optimizer steps: what TensorBoard and CSV loggers write grows with the steps that they log.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from checkroom.cli import _values
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._steps import Steps
from checkroom.cli._values import Given

__all__ = ["LOG_KEYS", "RATE_KEYS", "LogRates", "MeasuredLogs", "Rate", "log_rates", "measure_logs"]

RATE_KEYS = ("tensorboard_per_epoch", "csv_per_epoch", "log_steps_per_epoch")
LOG_KEYS = (*RATE_KEYS, "logs")

_EVENTS, _CSV = "events.out.tfevents", "metrics.csv"


@dataclass(frozen=True)
class LogRates:
    """Bytes that loggers write in an epoch of ``steps`` steps; they grow with the steps.

    Attributes:
        source: For the reader: where they were measured; ``None``: they were given.
    """

    tensorboard_per_epoch: int = 0
    csv_per_epoch: int = 0
    steps: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class Rate:
    """Bytes that a logger wrote over some steps; of nothing, ``Rate(0, 1)``."""

    bytes: int = 0
    steps: int = 1

    def over(self, steps: int) -> int:
        """The bytes over so many steps, rounded up."""
        return -(-self.bytes * steps // self.steps)


@dataclass(frozen=True)
class MeasuredLogs:
    """The rates of the logs below a folder, and from how many files they come."""

    tensorboard: Rate
    csv: Rate
    files: int


def log_rates(values: Mapping[str, Given], steps: Steps) -> LogRates:
    """The rates of a request.

    Raises:
        CommandError: A value makes no sense, two contradict each other, or the steps to scale with are not known.
    """
    if "logs" not in values:
        return LogRates(
            _size(values, "tensorboard_per_epoch"), _size(values, "csv_per_epoch"), _rate_steps(values, steps)
        )
    given = values["logs"]
    for key in RATE_KEYS:
        if key in values:
            raise CommandError(
                f"{given.where} {quoted(given.value)} and {values[key].where} {quoted(values[key].value)} exclude each "
                f"other (keep one of them)"
            )
    if steps.per_epoch is None:
        raise CommandError(
            f"{given.where}: {quoted(given.value)} gives bytes a step, but the steps of an epoch are not known "
            f"(give --steps-per-epoch or --samples as well)"
        )
    logs = measure_logs(given)
    # Both at the steps over which one of them was measured, so that its bytes stay exact.
    measured = max(logs.tensorboard.steps, logs.csv.steps)
    files = "1 file" if logs.files == 1 else f"{logs.files} files"
    return LogRates(
        logs.tensorboard.over(measured), logs.csv.over(measured), measured, f"measured from {files} in {given.value}"
    )


def _rate_steps(values: Mapping[str, Given], steps: Steps) -> int | None:
    if "log_steps_per_epoch" not in values:
        return steps.per_epoch
    given = values["log_steps_per_epoch"]
    rate_steps = _values.integer(given, least=1, hint="write at how many steps the log rates hold")
    if steps.per_epoch is None:
        raise CommandError(
            f"{given.where}: {quoted(given.value)} steps compare with nothing, as the steps of an epoch are not known "
            f"(give --steps-per-epoch or --samples as well)"
        )
    return rate_steps


def _size(values: Mapping[str, Given], key: str) -> int:
    return _values.size(values[key]) if key in values else 0


def measure_logs(given: Given) -> MeasuredLogs:
    """Measures every TensorBoard and CSV log of Lightning's loggers below a folder.

    Files of one folder belong to one run; several runs are added up, bytes and steps.

    Raises:
        CommandError: The folder is missing or holds no log, a log cannot be read or holds no step.
    """
    folder = _values.path_of(given)
    if not folder.is_dir():
        raise CommandError(f"{given.where}: not a folder: {quoted(folder)} (give the folder of an earlier run's logs)")
    events = list(_files(folder, given, lambda name: name.startswith(_EVENTS)))
    tables = list(_files(folder, given, lambda name: name == _CSV))
    if not events and not tables:
        raise CommandError(
            f"{given.where}: no log below {quoted(folder)}: neither {_EVENTS}.* nor {_CSV} "
            f"(give the folder of an earlier run, for example lightning_logs/version_0)"
        )
    return MeasuredLogs(
        _rate(events, _steps_of_events, given), _rate(tables, _steps_of_csv, given), len(events) + len(tables)
    )


def _files(folder: Path, given: Given, wanted: Callable[[str], bool]) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise CommandError(f"{given.where}: cannot read {quoted(error.filename)}: {(error.strerror or '').lower()}")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names) if wanted(name))


def _rate(files: list[Path], steps_of: Callable[[Path], int], given: Given) -> Rate:
    if not files:
        return Rate()
    runs: dict[Path, tuple[int, int]] = {}
    for file in files:
        try:
            size, steps = file.stat().st_size, steps_of(file)
        except OSError as error:
            raise CommandError(
                f"{given.where}: cannot read {quoted(file)}: {(error.strerror or str(error)).lower()}"
            ) from None
        before = runs.get(file.parent, (0, 0))
        runs[file.parent] = (before[0] + size, max(before[1], steps))
    total, steps = (sum(run[index] for run in runs.values() if run[1] > 0) for index in (0, 1))
    if steps == 0:
        raise CommandError(
            f"{given.where}: {quoted(files[0])} holds no step to measure by (give the logs of a run that trained)"
        )
    return Rate(total, steps)


def _steps_of_events(path: Path) -> int:
    """Lightning counts steps from 0."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError:
        raise CommandError(
            f"--logs: {quoted(path)} is read with tensorboard, which is not installed (pip install tensorboard)"
        ) from None
    # A file whose end is damaged is read up to there.
    return max((event.step + 1 for event in EventFileLoader(str(path)).Load() if event.summary.value), default=0)


def _steps_of_csv(path: Path) -> int:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if "step" not in (reader.fieldnames or ()):
            raise CommandError(
                f"--logs: {quoted(path)} has no column 'step' (give the folder of a CSV that Lightning's logger wrote)"
            )
        steps = [row["step"] for row in reader]
    return max((int(step) + 1 for step in steps if step is not None and step.isdigit()), default=0)
