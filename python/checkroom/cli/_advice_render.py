"""Advice for people, as a table of text or markdown, and for programs, as JSON with bytes as integers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from checkroom._core import Configuration, Range, format_size
from checkroom.cli._advice_report import AdviceReport, Option, Own
from checkroom.cli._console import (
    Section,
    Table,
    call_lines,
    escaped,
    markdown_table,
    print_hanging,
    print_line,
    print_pairs,
    print_table,
)
from checkroom.cli._estimate_report import Span
from checkroom.cli._policy import argument_texts, plain
from checkroom.cli._text import count_span, size_span

__all__ = ["as_json", "as_markdown", "print_advice"]

FORMAT = 1

_KINDS = {
    "strategy": "the strategy for a {strategy} run",
    "last": "most best files, and last",
    "newest": "likewise, and the newest epoch",
    "no_last": "most best files, no last",
    "cap": "your arguments, under a cap",
}


def print_advice(report: AdviceReport, console: Console) -> None:
    """Prints the table of what fits, the calls to paste, and the rule; or what would fit."""
    print_pairs(console, tuple(_headline(report)))
    if report.options:
        table = _table(report)
        console.print()
        console.print(Text(table.title, style="bold"))
        print_table(console, table)
    calls = tuple(_calls(report))
    if calls:
        console.print()
        console.print(Text("To paste", style="bold"))
        for line in _imports(report):
            print_line(console, Text("  " + line))
        for label, configuration in calls:
            print_line(console, Text(f"  # {label}", style="dim"))
            for line in call_lines(argument_texts(configuration.model_checkpoint), console.width - 2):
                print_line(console, Text("  " + line))
    console.print()
    print_hanging(console, "Rule: ", report.advice.rule + ".")


def as_markdown(report: AdviceReport) -> str:
    """The same as markdown."""
    return "\n".join(_markdown(report)) + "\n"


def as_json(report: AdviceReport) -> str:
    """One JSON object, indented, that ends in a newline. The keys are public: add, never rename."""
    advice, free = report.advice, report.request.free
    assert free is not None
    data = {
        "format": FORMAT,
        "free_bytes": free.bytes,
        "floor_bytes": free.floor,
        "path": free.path,
        "have_bytes": advice.have_bytes,
        "epochs": report.request.max_epochs,
        "strategy": advice.strategy,
        "rule": advice.rule,
        "own": [{"name": own.policy.name, **_configuration(own.configuration)} for own in report.own],
        "options": [
            {
                "kind": option.configuration.kind,
                **_configuration(option.configuration),
                "files": _span(option.played.files),
                "checkpoint_bytes": _span(option.played.at_rest_bytes),
                "peak_bytes": {"lightning": option.lightning_peak_bytes, "checkroom": option.played.peak_bytes.most},
            }
            for option in report.options
        ],
        "short_by_bytes": advice.short_by,
        "smallest": _configuration(advice.smallest),
        "weights_only": None if advice.weights_only is None else _configuration(advice.weights_only),
        "fitting_checkpoint_bytes": advice.fitting_checkpoint_bytes if advice.short_by else None,
    }
    return json.dumps(data, indent=2, default=plain) + "\n"


def _headline(report: AdviceReport) -> Iterator[tuple[str, str]]:
    request, advice = report.request, report.advice
    free = request.free
    assert free is not None and free.bytes is not None
    size = request.checkpoint
    yield "One checkpoint", f"{size_span(Span(size.least, size.most))} ({size.source})"
    where = "" if free.path is None else f" in {free.path}"
    room = f"{format_size(free.bytes)} free{where}, floor {format_size(free.floor)}"
    yield "Room", f"{format_size(advice.have_bytes)}: {room}"
    for own in report.own:
        if len(report.own) == 1:
            yield "Your arguments", _verdict(own)
        else:
            yield own.policy.title, _verdict(own, do="does", fit="fits", need="needs")
    if not report.fits:
        yield "Nothing fits", "; ".join(_ways(report))


def _verdict(own: Own, *, do: str = "do", fit: str = "fit", need: str = "need") -> str:
    most, margin = own.configuration.need_bytes, own.configuration.margin_bytes
    if most is None or margin is None:
        return f"{do} not fit: without an end, more than any disk has"
    if margin < 0:
        return f"{do} not fit: {need} {format_size(most)}, short by {format_size(-margin)}"
    return f"{fit}: {need} {format_size(most)}, {format_size(margin)} to spare"


def _ways(report: AdviceReport) -> Iterator[str]:
    advice = report.advice
    least = advice.smallest.need_bytes or 0
    yield f"the least that a run of this length needs is {format_size(least)}, short by {format_size(advice.short_by)}"
    yield f"free {format_size(advice.short_by)} more"
    if advice.weights_only is not None:
        yield f"or save_weights_only=True, which needs {format_size(advice.weights_only.need_bytes or 0)}"
    if advice.fitting_checkpoint_bytes:
        yield f"or make checkpoints of {format_size(advice.fitting_checkpoint_bytes)} or less"


def _calls(report: AdviceReport) -> Iterator[tuple[str, Configuration]]:
    for number, option in enumerate(report.options, 1):
        yield f"{number}: {_what(report, option)}", option.configuration
    if not report.fits:
        yield "needs the least", report.advice.smallest
        if report.advice.weights_only is not None:
            yield "fits", report.advice.weights_only


def _imports(report: AdviceReport) -> Iterator[str]:
    yield "from checkroom.lightning import ModelCheckpoint"
    calls = [configuration.call for _, configuration in _calls(report)]
    rules = [rule for rule in ("KeepBest", "KeepEvery", "KeepLast") if any(f"{rule}(" in call for call in calls)]
    if rules:
        yield f"from checkroom import {', '.join(rules)}"


def _what(report: AdviceReport, option: Option) -> str:
    kind = option.configuration.kind
    assert kind is not None
    return _KINDS[kind].format(strategy=report.advice.strategy)


def _table(report: AdviceReport) -> Table:
    rows = tuple(
        (
            str(number),
            _what(report, option),
            count_span(_as_span(option.played.files)),
            size_span(_as_span(option.played.at_rest_bytes)),
            # With rules or a cap of checkroom's own, Lightning's class has nothing to compare with.
            "-" if option.lightning_peak_bytes is None else format_size(option.lightning_peak_bytes),
            format_size(option.played.peak_bytes.most),
            format_size(option.configuration.margin_bytes or 0),
        )
        for number, option in enumerate(report.options, 1)
    )
    columns = ("#", "What", "Files", "At rest", "Peak, Lightning alone", "Peak, checkroom", "To spare")
    return Table("What fits, best first", columns, (Section("", rows),), names=2)


def _markdown(report: AdviceReport) -> Iterator[str]:
    for name, text in _headline(report):
        yield f"- {name}: {escaped(text)}"
    if report.options:
        table = _table(report)
        yield ""
        yield f"## {table.title}"
        yield from markdown_table(table)
    calls = tuple(_calls(report))
    if calls:
        yield ""
        yield "## To paste"
        yield ""
        yield "```python"
        yield from _imports(report)
        yield from (f"{configuration.call}  # {label}" for label, configuration in calls)
        yield "```"
    yield ""
    yield f"Rule: {escaped(report.advice.rule)}."


def _as_span(range_: Range) -> Span:
    return Span(range_.least, range_.most)


def _span(range_: Range) -> dict[str, int]:
    return {"least": range_.least, "most": range_.most}


def _configuration(configuration: Configuration) -> dict[str, Any]:
    return {
        "model_checkpoint": configuration.model_checkpoint,
        "call": configuration.call,
        "need_bytes": configuration.need_bytes,
        "margin_bytes": configuration.margin_bytes,
    }
