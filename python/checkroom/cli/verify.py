"""``checkroom verify``: is a checkpoint what was written? ``torch.load`` never looks at the checksums."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from checkroom._core import ArchiveCheck, format_size
from checkroom.cli._errors import CommandError, check_format

__all__ = ["Verdict", "verify", "verify_file"]

_FORMATS = ("text", "json")
DAMAGED_EXIT = 1


@dataclass(frozen=True)
class Verdict:
    """What became of one file.

    Args:
        path: The file, as it was named.
        ok: Is it whole?
        bytes: Bytes of its records.
        records: How many there are.
        checksums: Does it have any? Without, only its structure was checked.
        record: The record that is damaged; ``None``: none, or the file as a whole.
        problem: What is wrong; ``None``: nothing.
    """

    path: str
    ok: bool
    bytes: int
    records: int
    checksums: bool
    record: str | None
    problem: str | None

    @property
    def line(self) -> str:
        """For a person."""
        if not self.ok:
            where = "" if self.record is None else f"record '{self.record}' "
            return f"{self.path}: damaged: {where}{self.problem}"
        count = f"{self.records} record{'' if self.records == 1 else 's'}, {format_size(self.bytes)}"
        if not self.checksums:
            return f"{self.path}: its structure is whole ({count}); it was written without checksums"
        return f"{self.path}: whole ({count})"


def verify_file(path: Path, advance: Callable[[int], None], begin: Callable[[int], None]) -> Verdict:
    """Reads one file from the disk and compares its checksums.

    Args:
        path: The file; a link is followed.
        advance: Told the bytes of every step.
        begin: Told how many there will be.

    Raises:
        CommandError: It cannot be read.
    """
    if path.is_dir():
        raise CommandError(f"{str(path)!r} is a directory (name the files in it)")
    try:
        check = ArchiveCheck(os.path.realpath(path, strict=True))
        begin(check.bytes)
        while step := check.step():
            advance(step)
    except ValueError:
        raise CommandError(f"{str(path)!r} is not a regular file (name a checkpoint)") from None
    except OSError as error:
        reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
        raise CommandError(f"cannot read {str(path)!r}: {reason}") from None
    record, problem = check.fault or (None, None)
    return Verdict(
        str(path), problem is None, check.bytes, check.records, check.has_checksums, record or None, problem
    )


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Checkpoints, whoever wrote them.")],
    format: Annotated[str, typer.Option("--format", metavar="text|json", help="How to print it.")] = "text",
) -> int:
    """Read checkpoints back from the disk, past the page cache, and compare the checksums of their records.

    torch.load never looks at them: a flipped byte loads silently. Exit code 1: a file is damaged; 2: one cannot be
    read.
    """
    check_format(format, _FORMATS)
    verdicts: list[Verdict] = []
    unreadable: list[str] = []
    with _progress() as bar:
        for path in files:
            try:
                verdict = verify_file(path, *bar(str(path)))
            except CommandError as error:
                unreadable.append(str(error))
                print(f"checkroom verify: {error}", file=sys.stderr)
                continue
            verdicts.append(verdict)
            if format == "text":
                print(verdict.line)
    if format == "json":
        print(json.dumps({"format": 1, "files": [asdict(verdict) for verdict in verdicts]}, indent=2))
    if unreadable:
        return 2
    return 0 if all(verdict.ok for verdict in verdicts) else DAMAGED_EXIT


@contextmanager
def _progress() -> Iterator[Callable[[str], tuple[Callable[[int], None], Callable[[int], None]]]]:
    """A bar on the terminal's standard error; nothing where that is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: (lambda _: None, lambda _: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def bar(name: str) -> tuple[Callable[[int], None], Callable[[int], None]]:
            task = progress.add_task(os.path.basename(name))
            return (
                lambda step: progress.advance(task, step),
                lambda total: progress.update(task, total=total),
            )

        yield bar
