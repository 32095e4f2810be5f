"""An estimate as tables of text, for whatever prints them: rich or markdown."""

from __future__ import annotations

from checkroom import format_size
from checkroom.cli._console import Section, Table
from checkroom.cli._errors import one_line
from checkroom.cli._estimate_report import EstimateReport, Fit, Peak, Row, Verdict
from checkroom.cli._split import split_tables
from checkroom.cli._text import count_span, counted, duration, epochs_range, precise_size, size_span

__all__ = ["narrow_tables", "tables"]


def tables(report: EstimateReport) -> tuple[Table, ...]:
    """All tables of a report, with the logs of each kind in a column of its own."""
    return _tables(report, narrow=False)


def narrow_tables(report: EstimateReport) -> tuple[Table, ...]:
    """The same for a narrow terminal: the logs are one column, and the time is left to the headline."""
    return _tables(report, narrow=True)


def _tables(report: EstimateReport, *, narrow: bool) -> tuple[Table, ...]:
    result = [_policies(report, narrow)]
    if report.request.compare:
        result.append(_side_by_side(report))
    if report.scaling:
        result.append(_scaling(report, narrow))
    if report.scenarios:
        result.append(_scenarios(report, narrow))
    if report.strategies:
        result.append(_strategies(report))
    if report.verdicts:
        result.append(_verdicts(report))
    result += split_tables(report.request.checkpoint)
    return tuple(result)


def _logs(tensorboard: int, csv: int, narrow: bool) -> tuple[str, ...]:
    return (_unless_none(tensorboard + csv),) if narrow else (_unless_none(tensorboard), _unless_none(csv))


def _unless_none(size: int) -> str:
    """The size; nothing where there is none, so that a column of what a run does not have goes."""
    return format_size(size) if size else ""


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _logs_columns(narrow: bool) -> tuple[str, ...]:
    return ("Logs",) if narrow else ("TensorBoard", "CSV")


def _peaks(peak: Peak) -> tuple[str, str]:
    return format_size(peak.lightning), format_size(peak.checkroom)


_PEAK_COLUMNS = ("Peak, Lightning alone", "Peak, checkroom")


def _policies(report: EstimateReport, narrow: bool) -> Table:
    def cells(row: Row) -> tuple[str, ...]:
        return (
            str(row.epochs),
            *(() if narrow else (_time(row.seconds),)),
            count_span(row.files),
            size_span(row.checkpoint_bytes),
            *_peaks(row.peak_bytes),
            *_logs(row.tensorboard_bytes, row.csv_bytes, narrow),
            size_span(row.total_bytes),
        )

    return _without_empty_columns(Table(
        "Checkpoints and logs",
        (
            "Epochs", *(() if narrow else ("Time",)), "Files", "Checkpoints", *_PEAK_COLUMNS, *_logs_columns(narrow),
            "Total at rest",
        ),
        tuple(Section(item.policy.title, tuple(map(cells, item.rows))) for item in report.policies),
    ))


def _side_by_side(report: EstimateReport) -> Table:
    lengths = report.request.epochs
    totals = tuple(
        (str(epochs), *(size_span(item.rows[index].total_bytes) for item in report.policies))
        for index, epochs in enumerate(lengths)
    )
    peaks = tuple(
        (str(epochs), *(format_size(item.rows[index].peak_bytes.checkroom) for item in report.policies))
        for index, epochs in enumerate(lengths)
    )
    return Table(
        "The policies side by side",
        ("Epochs", *(item.policy.title for item in report.policies)),
        (Section("Total at rest", totals), Section("Peak of the checkpoints, checkroom", peaks)),
    )


def _scaling(report: EstimateReport, narrow: bool) -> Table:
    rows = tuple(
        (
            f"x{row.factor}",
            "" if row.dataset_bytes is None else precise_size(row.dataset_bytes),
            "" if row.dataset_files is None else str(row.dataset_files),
            str(row.steps_per_epoch),
            _time(row.seconds),
            *_logs(row.tensorboard_bytes, row.csv_bytes, narrow),
            size_span(row.checkpoint_bytes),
        )
        for row in report.scaling
    )
    columns = (
        "Data", "Dataset", "Files", "Steps/epoch", "Time", *_logs_columns(narrow), "One checkpoint",
    )
    return _without_empty_columns(
        Table(f"With more data, {counted(report.request.max_epochs, 'epoch')}", columns, (Section("", rows),))
    )


def _titles(report: EstimateReport) -> dict[str, str]:
    return {policy.name: policy.title for policy in report.request.policies}


def _scenarios(report: EstimateReport, narrow: bool) -> Table:
    titles = _titles(report)
    rows = tuple(
        (
            titles[row.policy],
            _unless_none(row.model_files_bytes),
            precise_size(row.dataset_bytes) if row.dataset_bytes else "",
            size_span(row.checkpoint_bytes),
            *_logs(row.tensorboard_bytes, row.csv_bytes, narrow),
            _unless_none(row.misc_bytes),
            size_span(row.total_bytes),
        )
        for row in report.scenarios
    )
    columns = ("Policy", "Model files", "Dataset", "Checkpoints", *_logs_columns(narrow), "Misc", "Total")
    title = f"Everything on the disk after {counted(report.request.max_epochs, 'epoch')}"
    return _without_empty_columns(Table(title, columns, (Section("", rows),), 1))


def _strategies(report: EstimateReport) -> Table:
    rows = tuple(
        (
            row.strategy.policy.name,
            epochs_range(row.strategy.first, row.strategy.last),
            count_span(row.files),
            size_span(row.checkpoint_bytes),
            *_peaks(row.peak_bytes),
        )
        for row in report.strategies
    )
    columns = ("Strategy", "Epochs", "Files", "Checkpoints", *_PEAK_COLUMNS)
    return Table("Strategies by the length of the run", columns, (Section("", rows),), 1)


def _verdicts(report: EstimateReport) -> Table:
    def cells(policy: str, writer: str, fit: Fit) -> tuple[str, ...]:
        have = "unknown" if fit.have is None else format_size(fit.have)
        short_by = format_size(fit.short_by) if fit.short_by else "-"
        return policy, writer, verdict_text(fit), format_size(fit.need), have, short_by

    titles = _titles(report)
    rows = tuple(
        row
        for verdict in report.verdicts
        for row in (
            cells(titles.get(verdict.policy, verdict.policy), "checkroom", verdict.checkroom),
            cells("", "Lightning alone", verdict.lightning),
        )
    )
    columns = ("Policy", "Written by", "Verdict", "Need", "Have", "Short by")
    return Table(_verdict_title(report, report.verdicts[0]), columns, (Section("", rows),), 3)


def _verdict_title(report: EstimateReport, verdict: Verdict) -> str:
    free = report.request.free
    if free is None or free.bytes is None:
        return f"Does it fit, {counted(verdict.epochs, 'epoch')}"
    where = f" at {one_line(free.path)}" if free.path else ""
    return (
        f"Does it fit, {counted(verdict.epochs, 'epoch')}: {format_size(free.bytes)} free{where}, "
        f"{format_size(free.floor)} to leave free"
    )


def verdict_text(fit: Fit) -> str:
    """``enough``, ``short``, or ``short from epoch 8``."""
    if fit.enough is None:
        return "unknown"
    if fit.enough:
        return "enough"
    return "short" if fit.stops_at_epoch is None else f"short from epoch {fit.stops_at_epoch}"


def _without_empty_columns(table: Table) -> Table:
    used = [
        index for index in range(len(table.columns))
        if any(row[index] for section in table.sections for row in section.rows)
    ]
    sections = tuple(
        Section(section.heading, tuple(tuple(row[index] for index in used) for row in section.rows))
        for section in table.sections
    )
    return Table(table.title, tuple(table.columns[index] for index in used), sections, table.names)
