"""What an estimate is about, in a few lines above its tables."""

from __future__ import annotations

from checkroom import format_size
from checkroom.cli._checkpoint_size import CheckpointSize
from checkroom.cli._estimate_report import EstimateReport, Span
from checkroom.cli._text import counted, duration, precise_size, size_span

__all__ = ["checkpoint_line", "headline"]


def checkpoint_line(size: CheckpointSize) -> tuple[str, str]:
    """How large one checkpoint is, and how that is known."""
    return "One checkpoint", f"{size_span(Span(size.least, size.most))} ({size.source})"


def headline(report: EstimateReport) -> tuple[tuple[str, str], ...]:
    """Pairs of what and how much, for example ``("One checkpoint", "6.9 GB (given)")``."""
    request = report.request
    lines = [checkpoint_line(request.checkpoint)]
    steps = request.steps
    run = counted(request.max_epochs, "epoch")
    if steps.per_epoch is not None:
        run += f" of {counted(steps.per_epoch, 'step')}"
        if steps.samples is not None:
            run += (
                f" ({counted(steps.samples, 'sample')}, batch {steps.batch_size}, accumulated {steps.accumulate}, "
                f"devices {steps.devices})"
            )
        if steps.seconds is not None:
            run += f", {duration(request.max_epochs * steps.per_epoch * steps.seconds)}"
    lines.append(("Run", run))
    dataset = request.dataset
    if dataset is not None:
        text = precise_size(dataset.bytes)
        if dataset.files is not None and dataset.mean_bytes is not None:
            text += (
                f" in {counted(dataset.files, 'file')}, {format_size(dataset.mean_bytes)} each on average: "
                f"{dataset.train} to train, {dataset.validation} to validate"
            )
        lines.append(("Dataset", text))
    logs = request.logs
    if logs.source is not None and logs.steps:
        rates = [
            f"{name} {format_size(round(size / logs.steps))} a step"
            for name, size in (("TensorBoard", logs.tensorboard_per_epoch), ("CSV", logs.csv_per_epoch)) if size
        ]
        lines.append(("Logs", f"{', '.join(rates)} ({logs.source})"))
    return tuple(lines)
