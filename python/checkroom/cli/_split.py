"""What is in a checkpoint that exists: tables for people, plain values for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from checkroom import format_size
from checkroom.cli._checkpoint_size import CheckpointSize
from checkroom.cli._console import Section, Table
from checkroom.cli._errors import one_line

if TYPE_CHECKING:
    from checkroom.sizing import KeyShare, Split

__all__ = ["split_csv", "split_data", "split_tables"]

_MOST_KEYS = 12
_LONGEST_NAME = 60
_NOT_TOLD_APART = "optimizer states (not told apart)"
_STRUCTURE = "zip and pickle"


def split_tables(size: CheckpointSize) -> tuple[Table, ...]:
    """The split of a file as tables: by its keys, and by the parts of the model; none of a size without a file."""
    if size.split is None:
        return ()
    return _by_key(size.split, size.total), _by_module(size.split, size.total)


def split_data(size: CheckpointSize) -> dict[str, Any] | None:
    """The same as plain values: bytes as integers, per cent of the file. The keys are public: add, never rename."""
    split, total = size.split, size.total
    if split is None:
        return None
    return {
        "checkpoint_bytes": total,
        "source": size.source,
        "by_key": [
            {"key": share.key, "bytes": share.bytes, "percent": _percent(share.bytes, total)} for share in split.by_key
        ],
        "by_module": [
            {
                "name": share.name,
                "weights_bytes": share.weights,
                "optimizer_bytes": share.optimizer,
                "percent": _percent(share.weights + (share.optimizer or 0), total),
            }
            for share in split.by_module
        ],
        "not_told_apart_bytes": split.not_told_apart,
        "other_tensors_bytes": split.other_tensors,
        "structure_bytes": split.structure,
    }


def split_csv(size: CheckpointSize) -> str:
    """One line for each share, under a line of column names; the bytes of either table add up to the file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", "name", "bytes", "percent"])
    for table, rows in (("by_key", _key_rows), ("by_module", _module_rows)):
        for name, count in rows(size.split) if size.split is not None else ():
            writer.writerow([table, name, count, _percent(count, size.total)])
    return out.getvalue()


def _percent(part: int, total: int) -> float:
    return round(100 * part / total, 2)


def _key_rows(split: Split) -> Iterator[tuple[str, int]]:
    for share in split.by_key:
        yield _key_name(share), share.bytes
    yield _STRUCTURE, split.structure


def _module_rows(split: Split) -> Iterator[tuple[str, int]]:
    for share in split.by_module:
        yield f"{_module_name(share.name)}, weights", share.weights
        if share.optimizer is not None:
            yield f"{_module_name(share.name)}, optimizer states", share.optimizer
    yield _NOT_TOLD_APART, split.not_told_apart
    yield "other tensors", split.other_tensors
    yield _STRUCTURE, split.structure


def _key_name(share: KeyShare) -> str:
    return _shortened(share.key) or "(the file is a state dict)"


def _module_name(name: str) -> str:
    return _shortened(name) or "(outermost)"


def _shortened(name: str) -> str:
    line = one_line(name)
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 3] + "..."


def _by_key(split: Split, total: int) -> Table:
    shown = [share for share in split.by_key if share.bytes]
    largest = sorted(shown, key=lambda share: -share.bytes)[: _MOST_KEYS - 1]
    if len(shown) > _MOST_KEYS:
        shown = [share for share in shown if share in largest]
    rows = [(_key_name(share), share.bytes) for share in shown]
    rest = sum(share.bytes for share in split.by_key) - sum(size for _, size in rows)
    if rest:
        rows.append(("other keys", rest))
    rows.append((_STRUCTURE, split.structure))
    cells = [(name, *_figures(size, total)) for name, size in rows]
    columns = ("Key", "Size", "Bytes", "Share")
    return Table("What is in it, by key", columns, (Section("", (*cells, ("the file", *_figures(total, total)))),), 1)


def _by_module(split: Split, total: int) -> Table:
    cells = []
    for share in split.by_module:
        known = share.optimizer is not None
        optimizer = format_size(share.optimizer or 0) if known else "unknown"
        figures = _figures(share.weights + (share.optimizer or 0), total)
        cells.append((_module_name(share.name), format_size(share.weights), optimizer, *figures[1:]))
    rest = ((_NOT_TOLD_APART, split.not_told_apart), ("other tensors", split.other_tensors))
    for name, size in (*(row for row in rest if row[1]), (_STRUCTURE, split.structure), ("the file", total)):
        cells.append((name, "", "", *_figures(size, total)[1:]))
    columns = ("Part of the model", "Weights", "Optimizer", "Bytes", "Share")
    return Table("By the leading parts of the parameters' names", columns, (Section("", tuple(cells)),), 1)


def _figures(size: int, total: int) -> tuple[str, str, str]:
    return format_size(size), f"{size:,}", f"{100 * size / total:.1f} %"
