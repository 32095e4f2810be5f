"""The guard of one directory: the store, asked and told in plain values.

It lives on the one rank that touches the disk. What it answers is made of plain values, so that it can be broadcast
and every rank acts alike.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from checkroom import _core
from checkroom._core import format_size
from checkroom._errors import DiskFullError
from checkroom._options import GuardOptions
from checkroom._writing import save_into, writes_archives

__all__ = [
    "Decision", "Guard", "Outcome", "Ticket", "Written", "item_as_dict", "item_from_dict", "shortage", "valid_items",
]

Removal = tuple[str, str]  # name, reason

_log = logging.getLogger("checkroom")


@dataclass(frozen=True)
class Decision:
    """What the guard says of one save, before it starts.

    Args:
        verdict: ``"save"``, ``"unwanted"`` (no rule would keep the file) or ``"refuse"`` (no room).
        reasons: Why.
        removes: What leaves once the file is published.
        removes_first: What leaves before, because only then the file fits.
        top_k: Names in the top k after the save, in the order of saving.
        items: The inventory after the save, as plain values.
        need: Bytes that the save needs.
        have: Bytes that it can have.
        short_by: Bytes that must come free: more than ``need`` less ``have`` where the floor is eaten into already.
        limit: What limits.
    """

    verdict: Literal["save", "unwanted", "refuse"]
    reasons: tuple[str, ...] = ()
    removes: tuple[Removal, ...] = ()
    removes_first: tuple[Removal, ...] = ()
    top_k: tuple[str, ...] = ()
    items: tuple[dict[str, Any], ...] = ()
    need: int | None = None
    have: int | None = None
    short_by: int | None = None
    limit: str | None = None

    @property
    def shortage(self) -> str:
        """The figures of a refusal, for a person."""
        if self.need is None or self.have is None:
            return "; ".join(self.reasons)
        return shortage(self.need, self.have, self.short_by, self.limit)


@dataclass(frozen=True)
class Outcome:
    """What became of a save: told by the rank that wrote to every other.

    Args:
        published: Does the file stand under its final name?
        bytes: Its size.
        seconds: How long the save took.
        error: What went wrong, as text.
        errnum: Its errno, 0 where it has none.
        refused: The figures where there was no room.
        removes: What leaves now.
        top_k: Names in the top k, in the order of saving.
        items: The inventory, as plain values.
        removed_first: What had to go in the middle of the save, when its exact size was known.
    """

    published: bool
    bytes: int = 0
    seconds: float = 0.0
    error: str = ""
    errnum: int = 0
    refused: Decision | None = None
    removes: tuple[Removal, ...] = ()
    top_k: tuple[str, ...] = ()
    items: tuple[dict[str, Any], ...] = ()
    removed_first: tuple[Removal, ...] = ()


@dataclass(frozen=True)
class Written:
    """A file that was written and published.

    Args:
        bytes: Its size.
        serialise_seconds: For the pickling pass, until the size was known.
        write_seconds: Until the last byte was handed over.
        sync_seconds: Until it was on the disk, looked at, and had its name.
    """

    bytes: int
    serialise_seconds: float
    write_seconds: float
    sync_seconds: float


@dataclass
class Ticket:
    """Leave to write one file, from the callback to the CheckpointIO that takes it."""

    path: str
    item: _core.Item
    tracked: bool  # does the file go into the inventory?
    guard: Guard
    admitted: int = 0  # bytes for which room was found when the ticket was given out
    taken: bool = False
    bytes: int | None = None
    removed_first: tuple[Removal, ...] = ()
    error: BaseException | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def shortage(need: int, have: int, short_by: int | None, limit: str | None) -> str:
    """The figures of a refusal, for a person."""
    missing = max(0, need - have) if short_by is None else short_by
    return (
        f"needs {format_size(need)}, has {format_size(have)}, short by {format_size(missing)}, limited by the {limit}"
    )


def item_as_dict(item: _core.Item) -> dict[str, Any]:
    """An item as plain values, for a state dict that loads with ``weights_only=True``."""
    return {
        "name": item.name,
        "bytes": item.bytes,
        "epoch": item.epoch,
        "step": item.step,
        "saved_at": item.saved_at,
        # One object for each metric's name: a pickle then holds the text once.
        "scores": {sys.intern(metric): score for metric, score in item.scores.items()},
    }


def item_from_dict(values: dict[str, Any]) -> _core.Item:
    """The item that plain values stand for."""
    return _core.Item(
        str(values["name"]),
        int(values["bytes"]),
        epoch=int(values["epoch"]),
        step=int(values["step"]),
        saved_at=float(values["saved_at"]),
        scores={str(k): float(v) for k, v in values["scores"].items()},
    )


def valid_items(state: Any) -> Iterator[dict[str, Any]]:
    """The entries of a checkpoint's state that are items of an inventory; a state can hold anything."""
    for entry in state if isinstance(state, (list, tuple)) else ():
        try:
            item = item_as_dict(item_from_dict(entry))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            continue
        if os.path.basename(item["name"]) == item["name"]:
            yield item


class Guard:
    """One directory under guard.

    Args:
        directory: Where the checkpoints lie.
        policy: What is kept.
        options: The guard's arguments.
        last_as: How ``last`` is made here.

    Raises:
        ValueError: The rules repeat or contradict each other.
    """

    def __init__(self, directory: str, policy: _core.RetentionPolicy, options: GuardOptions) -> None:
        self.directory = os.path.abspath(directory)
        self.options = options
        self._resumed_from: str | None = None
        self.store = _core.Store(
            self.directory,
            policy,
            min_free=options.floor,
            max_size=options.cap,
            prune_first=options.prune_first,
            durable=options.durable,
            last_as=options.last_as,
        )

    # -- before a save

    def adopt(
        self,
        items: Sequence[dict[str, Any]],
        *,
        last: str | None,
        last_files: Sequence[str] = (),
        resumed_from: str | None,
    ) -> tuple[tuple[Removal, ...], tuple[dict[str, Any], ...]]:
        """Takes over what an earlier fit left: what has vanished is dropped; returns what leaves and what stays."""
        self._resumed_from = resumed_from
        plan = self.store.adopt(
            [item_from_dict(item) for item in items], last=last, last_files=last_files, resumed_from=resumed_from
        )
        return tuple(plan.removes), self._items()

    def decide(self, item: _core.Item, *, forced: bool = False, own_last: bool = False) -> Decision:
        """May this save start now?"""
        plan = self.store.plan_save(item, forced=forced, own_last=own_last)
        if not plan.wanted:
            return Decision("unwanted", reasons=tuple(plan.reasons))
        admission = plan.admission
        assert admission is not None
        need, have, limit = admission.need, admission.have, admission.limit
        if admission.verdict in ("refuse", "wait"):
            return Decision(
                "refuse", reasons=tuple(plan.reasons), need=need, have=have, short_by=admission.short_by, limit=limit
            )
        gone = {name for name, _ in (*plan.removes, *plan.removes_first)}
        kept = [entry for entry in self._items() if entry["name"] not in gone and entry["name"] != item.name]
        planned = (*kept, item_as_dict(item)) if not own_last else tuple(kept)
        return Decision(
            "save",
            reasons=tuple(plan.reasons),
            removes=tuple(plan.removes),
            removes_first=tuple(plan.removes_first),
            top_k=tuple(plan.top_k),
            items=planned,
            need=need,
            have=have,
            limit=limit,
        )

    # -- the save itself, called by the CheckpointIO that took the ticket

    def write(self, ticket: Ticket, checkpoint: Any) -> None:
        """Writes a checkpoint under its ticket; every failure ends in the ticket, none is raised."""
        ticket.taken = True
        try:
            # A file of the inventory is read back later, beside the training: unless it takes the place of another.
            now = self.options.verify and (not ticket.tracked or os.path.lexists(ticket.path))
            written = self.save(ticket.name, checkpoint, admitted=ticket.admitted, ticket=ticket, verify=now)
            ticket.bytes = written.bytes
        except BaseException as error:
            ticket.error = error
            if not isinstance(error, Exception):
                raise  # the user's Ctrl-C is not ours to keep

    def save(
        self, name: str, checkpoint: Any, *, admitted: int = 0, ticket: Ticket | None = None, verify: bool = False
    ) -> Written:
        """Stages, writes, looks at and publishes one file, a second time into a new one if the disk fails.

        Args:
            name: Its final name.
            checkpoint: What is saved.
            admitted: Bytes for which there was found to be room.
            ticket: The callback's leave, where it is a save of its own.
            verify: Is all of the file read back before it gets its name, and not its structure alone?

        Raises:
            DiskFullError: There is no room; nothing of the file stays.
            DamagedFileError: What was read back is not what was written, twice; the files are kept aside.
            OSError: The disk failed; nothing of the file stays.
        """
        try:
            return self._write_once(name, checkpoint, admitted, ticket, verify)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # After an fsync that failed the kernel may have dropped the pages and call them clean: only the same
            # bytes in a new file can still become durable.
            _log.warning("%s: %s; writing it again", name, error)
        return self._write_once(name, checkpoint, admitted, ticket, verify)

    def _write_once(
        self, name: str, checkpoint: Any, admitted: int, ticket: Ticket | None, verify: bool
    ) -> Written:
        times = [time.monotonic()]
        staged = self.store.stage(name)
        try:

            def on_size(exact: int) -> None:
                times.append(time.monotonic())
                # The figure that the save was admitted for was a forecast: what it really needs may be more. A save
                # without a ticket (by hand, the tuner) was not admitted at all so far.
                if exact > admitted:
                    self._readmit(name, ticket, exact)
                staged.reserve(exact)

            save_into(checkpoint, staged, on_size=on_size)
            times.append(time.monotonic())
            # Whoever has put something else in the place of torch.save may have written anything.
            check: Any = None if not writes_archives() else "whole" if verify else "structure"
            size = self.store.publish(staged, name, check=check)
            times.append(time.monotonic())
        except BaseException:
            staged.abandon()
            raise
        if len(times) == 3:  # the size was not told
            times.insert(1, times[0])
        return Written(size, *(after - before for before, after in zip(times, times[1:])))

    def _readmit(self, name: str, ticket: Ticket | None, exact: int) -> None:
        """Asks again, for the exact size; lets go what only now has to go first."""
        known = {} if ticket is None else item_as_dict(ticket.item)
        item = item_from_dict({**item_as_dict(_core.Item(name, exact)), **known, "bytes": exact})
        plan = self.store.plan_save(item, forced=True, own_last=ticket is None or not ticket.tracked)
        admission = plan.admission
        if admission is None or admission.verdict == "admit":
            return
        if admission.verdict == "prune_first" and ticket is not None:
            ticket.removed_first = tuple(self.store.make_room(plan))
            return
        raise DiskFullError(
            message=f"not enough space: "
            f"{shortage(admission.need, admission.have, admission.short_by, admission.limit)}",
            path=os.path.join(self.directory, name),
            need=admission.need,
            have=admission.have,
            short_by=admission.short_by,
            limit=admission.limit,
        )

    # -- after a save

    def settle(self, ticket: Ticket, started: float) -> Outcome:
        """What became of the ticket; a published file enters the inventory."""
        seconds = time.monotonic() - started
        gone_first = ticket.removed_first
        error = ticket.error
        if error is not None:
            refused = None
            if isinstance(error, DiskFullError) and error.need is not None and error.have is not None:
                refused = Decision(
                    "refuse", need=error.need, have=error.have, short_by=error.short_by, limit=error.limit
                )
            text = f"{type(error).__name__}: {error}"
            errnum = getattr(error, "errno", None) or 0
            return Outcome(False, 0, seconds, text, errnum, refused, removed_first=gone_first)
        size = ticket.bytes
        if size is None:
            # Another CheckpointIO, or a strategy that bypasses it, wrote the file.
            size = _measure(ticket.path)
        if not ticket.tracked:
            top_k = tuple(self.store.plan().top_k)
            return Outcome(True, size, seconds, top_k=top_k, items=self._items(), removed_first=gone_first)
        item = item_from_dict({**item_as_dict(ticket.item), "bytes": size})
        removes = tuple(self.store.commit(item))
        gone = {name for name, _ in removes}
        items = tuple(entry for entry in self._items() if entry["name"] not in gone)
        top_k = tuple(self.store.plan().top_k)
        return Outcome(True, size, seconds, removes=removes, top_k=top_k, items=items, removed_first=gone_first)

    def remove(self, name: str) -> None:
        """Moves a checkpoint into the trash; the reaper gives its blocks back."""
        self.store.trash(name)

    def reject(
        self, name: str, items: Sequence[dict[str, Any]], *, last: str | None, had_last: bool
    ) -> str:
        """A published file is damaged: it goes aside, and the inventory is the one before it.

        Args:
            name: The file.
            items: The inventory before it.
            last: What ``last`` is called now; it may share the file's blocks.
            had_last: Was there a ``last`` of that name before?

        Returns:
            Where the file lies now.

        Raises:
            OSError: The disk failed.
        """
        newest = items[-1]["name"] if items else None
        # `last` first, so that it never points at nothing.
        if last is not None and last != name:
            if newest is not None and had_last:
                self.store.link_last(newest, last)
            else:
                self.store.trash(last)
        aside = self.store.set_aside(name)
        files = () if last is None else (last,)
        self.adopt(items, last=newest if had_last else None, last_files=files, resumed_from=self._resumed_from)
        return str(aside)

    def drain(self, seconds: float | None = None) -> int:
        """Waits for the reaper; returns the bytes that came back."""
        return self.store.drain(seconds)

    def close(self) -> None:
        """Drains and ends the reaper; a folder of ours that holds nothing goes."""
        self.store.close()
        _remove_empty(os.path.join(self.directory, ".checkroom"))

    def _items(self) -> tuple[dict[str, Any], ...]:
        return tuple(item_as_dict(item) for item in self.store.inventory())


def _measure(path: str) -> int:
    if not os.path.isdir(path):
        return os.path.getsize(path) if os.path.exists(path) else 0
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names)


def _remove_empty(directory: str) -> None:
    for folder, _, _ in sorted(os.walk(directory), reverse=True):
        try:
            os.rmdir(folder)
        except OSError:
            return  # not empty: somebody else's save, or a removal that failed, lies there
