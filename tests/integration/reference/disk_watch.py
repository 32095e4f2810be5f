"""What really lies on disk, and the worst moment of it: measured at every rename, copy and removal.

CPython raises an audit event just before each of these calls, so a moment at which the old and the new file both
exist is seen however short it is; a thread that samples would miss it.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

_active: list[DiskWatch] = []
_BEFORE_CHANGE = frozenset({"os.rename", "os.remove", "os.link", "os.symlink", "shutil.copyfile"})


def _on_audit(event: str, args: tuple[Any, ...]) -> None:
    if not _active or event not in _BEFORE_CHANGE:
        return
    for watch in list(_active):
        watch.before(event, args)


sys.addaudithook(_on_audit)


@dataclass(frozen=True)
class Usage:
    """Files that own blocks (names of one inode count once; links own none), and their bytes."""

    files: int = 0
    bytes: int = 0


def usage(*folders: Path) -> Usage:
    """Measures everything below the folders."""
    inodes: dict[tuple[int, int], int] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                try:
                    status = os.lstat(os.path.join(parent, name))
                except FileNotFoundError:
                    continue  # removed by another thread since the walk saw it
                if stat.S_ISREG(status.st_mode) and status.st_size:
                    inodes[status.st_dev, status.st_ino] = status.st_size
    return Usage(len(inodes), sum(inodes.values()))


def handed_to_the_kernel() -> int:
    """Bytes that this process, with all its threads, has given to calls that write; sharing blocks is no such call."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, count = line.partition(": ")
        if name == "wchar":
            return int(count)
    raise AssertionError("/proc/self/io has no wchar")


@dataclass
class DiskWatch:
    """Watches a destination and a staging directory while Python code writes into them.

    Not for two at once from several threads: the audit hook serves every active watch.

    Args:
        destination: Where files end.
        staging: Where they are staged, as in ``$TMPDIR``.
    """

    destination: Path
    staging: Path
    written: int = 0
    publishes: int = 0
    peak_destination: Usage = field(default_factory=Usage)
    peak_total: Usage = field(default_factory=Usage)
    _inside: bool = False

    def __enter__(self) -> DiskWatch:
        _active.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _active.remove(self)

    def start_event(self) -> None:
        """Peaks are from here on."""
        self.peak_destination = self.peak_total = Usage()
        self.measure()

    def measure(self) -> None:
        """Looks now."""
        here = usage(self.destination)
        total = usage(self.destination, self.staging)
        self.peak_destination = _most(self.peak_destination, here)
        self.peak_total = _most(self.peak_total, total)

    def before(self, event: str, args: tuple[Any, ...]) -> None:
        """An audit event: something is about to change."""
        if self._inside or not any(self._is_below(argument) for argument in args[:2]):
            return
        self._inside = True
        try:
            self.measure()
            if event in ("os.rename", "shutil.copyfile") and self._in_staging(args[0]):
                # One full write into the staging directory; across filesystems the move is a second one.
                self.written += os.stat(args[0]).st_size
        finally:
            self._inside = False

    def _is_below(self, path: Any) -> bool:
        if not isinstance(path, (str, os.PathLike)):
            return False
        return self._in_staging(path) or Path(path).is_relative_to(self.destination)

    def _in_staging(self, path: Any) -> bool:
        return Path(path).is_relative_to(self.staging)


def _most(one: Usage, other: Usage) -> Usage:
    return Usage(max(one.files, other.files), max(one.bytes, other.bytes))
