"""An estimate for people: tables with rich, or the same as markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from checkroom.cli._checkpoint_size import CheckpointSize
from checkroom.cli._console import (
    Table,
    call_lines,
    escaped,
    fits,
    markdown_table,
    print_hanging,
    print_line,
    print_pairs,
    print_table,
)
from checkroom.cli._estimate_report import EstimateReport
from checkroom.cli._headline import checkpoint_line, headline
from checkroom.cli._policy import Policy
from checkroom.cli._remarks import remarks
from checkroom.cli._split import split_tables
from checkroom.cli._tables import narrow_tables, tables

__all__ = ["as_markdown", "print_split", "print_tables", "split_markdown"]


def print_tables(report: EstimateReport, console: Console) -> None:
    """Prints the whole report. Where a table is too wide for the console, its narrow form is printed."""
    print_pairs(console, headline(report))
    for wide, narrow in zip(tables(report), narrow_tables(report)):
        _print_table(console, wide if fits(wide, console.width) else narrow)
    console.print()
    console.print(Text("To paste", style="bold"))
    for policy in _named_policies(report):
        print_line(console, Text(f"  # {policy.title}", style="dim"))
        for line in call_lines(policy.call_arguments, console.width - 2):
            print_line(console, Text("  " + line))
    notes = remarks(report)
    if notes:
        console.print()
        console.print(Text("Remarks", style="bold"))
        for note in notes:
            print_hanging(console, "  - ", note)


def print_split(size: CheckpointSize, console: Console) -> None:
    """Prints what is in one file."""
    print_pairs(console, [checkpoint_line(size)])
    for table in split_tables(size):
        _print_table(console, table)


def _print_table(console: Console, table: Table) -> None:
    console.print()
    console.print(Text(table.title, style="bold"))
    print_table(console, table)


def split_markdown(size: CheckpointSize) -> str:
    """What is in one file, as markdown."""
    name, text = checkpoint_line(size)
    return "\n".join([f"- {name}: {escaped(text)}", *_markdown_tables(split_tables(size))]) + "\n"


def _markdown_tables(printed: Sequence[Table]) -> Iterator[str]:
    for table in printed:
        yield ""
        yield f"## {escaped(table.title)}"
        yield from markdown_table(table)


def as_markdown(report: EstimateReport) -> str:
    """The same report as markdown, with a table for every section."""
    return "\n".join(_markdown(report)) + "\n"


def _named_policies(report: EstimateReport) -> Iterator[Policy]:
    yield from report.request.policies
    yield from (strategy.policy for strategy in report.request.strategies)


def _markdown(report: EstimateReport) -> Iterator[str]:
    for name, text in headline(report):
        yield f"- {name}: {escaped(text)}"
    yield from _markdown_tables(tables(report))
    yield ""
    yield "## To paste"
    yield ""
    yield "```python"
    for policy in _named_policies(report):
        yield f"{policy.call}  # {policy.title}"
    yield "```"
    notes = remarks(report)
    if notes:
        yield ""
        yield "## Remarks"
        yield ""
        yield from (f"- {escaped(note)}" for note in notes)
