"""How the commands print: text as wide as the console, tables whose figures never break, markdown.

It knows nothing of what is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

__all__ = [
    "Section", "Table", "call_lines", "console_for", "escaped", "fits", "markdown_table", "print_hanging", "print_line",
    "print_pairs", "print_table",
]

_PIPED_WIDTH = 120
_GAP = 2  # between two columns
_STYLES = {"enough": "green", "short": "bold red", "unknown": "yellow"}


@dataclass(frozen=True)
class Section:
    """Rows of cells under a heading of their own (empty: none)."""

    heading: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """Columns and sections of rows. All columns are figures, aligned right, but the first ``names``."""

    title: str
    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    names: int = 0


def console_for(file: IO[str] | None = None) -> Console:
    """The console to print to: as wide as the terminal, or ``COLUMNS``, or 120 columns into a pipe."""
    out = sys.stdout if file is None else file
    width = None if out.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=out, width=width, highlight=False, soft_wrap=False, emoji=False)


def print_pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Prints labels and texts below each other."""
    width = max(len(name) for name, _ in pairs) + 2
    for name, text in pairs:
        print_hanging(console, name.ljust(width), text)


def print_hanging(console: Console, label: str, text: str) -> None:
    """Prints a label and a text whose further lines start below its first one."""
    room = max(20, console.width - len(label))
    for index, line in enumerate(Text(text).wrap(console, room)):
        lead = Text(label) if index == 0 else Text(" " * len(label))
        print_line(console, lead + Text(line.plain.rstrip()))


def print_line(console: Console, line: Text) -> None:
    """Prints a line as it is, however long."""
    console.print(line, no_wrap=True, overflow="ignore", crop=False)


def print_table(console: Console, table: Table) -> None:
    """Prints a table with a line below its header."""
    widths = _widths(table, console.width)
    _print_rows(console, table, Section("", ()), widths, header=True)
    line = "-" if console.options.ascii_only else "\u2500"
    print_line(console, Text(line * _width(widths), style="dim"))
    for section in table.sections:
        if section.heading:
            console.print(Text(section.heading, style="bold cyan"))
        _print_rows(console, table, section, widths, header=False)


def _print_rows(console: Console, table: Table, section: Section, widths: list[int], *, header: bool) -> None:
    # Every section is a table of its own with the same widths, as a heading cannot span rich's columns.
    # The gaps are columns: versions of rich differ in how they pad the last one.
    grid = RichTable(box=None, show_header=header, pad_edge=False, padding=0)
    for index, (name, width) in enumerate(zip(table.columns, widths)):
        if index > 0:
            grid.add_column(width=_GAP)
        named = index < table.names
        grid.add_column(name, justify="left" if named else "right", width=width, vertical="bottom")
    for row in section.rows:
        cells = [Text(cell, style=_style(cell)) for cell in row]
        grid.add_row(*[part for cell in cells for part in (Text(), cell)][1:])
    # A terminal that is too narrow even for this wraps lines itself; rich would break figures.
    options = console.options.update(width=max(console.width, _width(widths)))
    for segments in console.render_lines(grid, options, pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()  # rich fills every cell up to its column's width
        print_line(console, line)


def _style(cell: str) -> str:
    return next((style for word, style in _STYLES.items() if cell == word or cell.startswith(word + " ")), "")


def _widths(table: Table, room: int) -> list[int]:
    """The widths at which no figure breaks, and names of columns over as few lines as the room allows."""
    figures = [0] * len(table.columns)
    for section in table.sections:
        for row in section.rows:
            figures = [max(width, cell_len(cell)) for width, cell in zip(figures, row)]
    for lines in range(1, max(len(name.split()) for name in table.columns) + 1):
        widths = [max(width, _name_width(name, lines)) for width, name in zip(figures, table.columns)]
        if _width(widths) <= room:
            break
    return widths


def _name_width(name: str, lines: int) -> int:
    """The least width at which the name of a column takes so many lines; no word breaks."""
    words = name.split()
    for width in range(max(map(cell_len, words)), cell_len(name)):
        used, line = 1, cell_len(words[0])
        for word in words[1:]:
            line += 1 + cell_len(word)
            if line > width:
                used, line = used + 1, cell_len(word)
        if used <= lines:
            return width
    return cell_len(name)


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def fits(table: Table, room: int) -> bool:
    """Does the table fit into so many columns without a figure that breaks?"""
    return _width(_widths(table, room)) <= room


def call_lines(arguments: Sequence[str], width: int) -> Iterator[str]:
    """The call to paste, broken between arguments only."""
    lead = "ModelCheckpoint("
    line = lead
    for index, argument in enumerate(arguments):
        word = argument + ("" if index + 1 == len(arguments) else ",")
        joined = line + ("" if line.endswith("(") or not line.strip() else " ") + word
        if len(joined) >= width and line.strip() not in ("", lead):
            yield line
            joined = " " * len(lead) + word
        line = joined
    yield line + ")"


def markdown_table(table: Table) -> Iterator[str]:
    """The lines of a table in markdown, each section under a heading of its own."""
    for section in table.sections:
        yield ""
        if section.heading:
            yield f"### {escaped(section.heading)}"
            yield ""
        yield _markdown_row([escaped(name) for name in table.columns])
        yield _markdown_row([":--" if index < table.names else "--:" for index in range(len(table.columns))])
        yield from (_markdown_row([escaped(cell) for cell in row]) for row in section.rows)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str) -> str:
    """The text, with what markdown would take for a sign of its own escaped."""
    for sign in "\\|*_`<":
        text = text.replace(sign, "\\" + sign)
    return text
