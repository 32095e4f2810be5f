"""``verify=True``: each file is read back from the disk before what it replaces is pruned.

The reading goes on beside the training, on the rank that wrote. Its result is asked for where all ranks meet anyway:
before the next save, and at the end. A file that is damaged is kept aside, and everything is as if its save had failed.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkroom import _mirror
from checkroom._guard import Guard, Removal

__all__ = ["ReadBack", "VerifyingMixin", "newest_of"]


@dataclass
class ReadBack:
    """A published file that is being read back, and what depends on the result.

    Args:
        name: The file.
        before: Lightning's fields as they were before its save.
        inventory: Our inventory as it was.
        removes: What leaves once the file is known to be whole.
        guard: Where the file lies; ``None`` on the other ranks.
    """

    name: str
    before: dict[str, Any]
    inventory: tuple[dict[str, Any], ...]
    removes: tuple[Removal, ...]
    guard: Guard | None
    fault: str | None = None

    def start(self) -> None:
        """Begins to read, beside the training."""
        self._thread = threading.Thread(target=self._read, name="checkroom-verify")
        self._thread.start()

    def _read(self) -> None:
        assert self.guard is not None
        try:
            self.fault = self.guard.store.verify(self.name)
        except Exception as error:  # it cannot be read: it cannot be trusted
            self.fault = f"it could not be read back: {error}"

    def wait(self) -> str | None:
        """What is wrong with the file; ``None``: nothing."""
        self._thread.join()
        return self.fault


class VerifyingMixin:
    """The read-back of a guarded ModelCheckpoint."""

    if TYPE_CHECKING:
        # The fields and methods of the class that this is mixed into, and Lightning's.
        def __getattr__(self, name: str) -> Any: ...

    last_model_path: str  # Lightning's
    _read_back: ReadBack | None
    _inventory: tuple[dict[str, Any], ...]

    def _begin_read_back(
        self, name: str, before: dict[str, Any], inventory: tuple[dict[str, Any], ...], removes: tuple[Removal, ...]
    ) -> None:
        """The file is published; what it replaces stays for now."""
        self._read_back = ReadBack(name, before, inventory, removes, self._guard)
        if self._guard is not None:
            self._read_back.start()

    def _end_read_back(self, trainer: Any) -> None:
        """Prunes, or takes the save back. Called by all ranks together."""
        pending, self._read_back = self._read_back, None
        if pending is None:
            return
        fault = aside = None
        if pending.guard is not None:
            fault = pending.wait()
            if fault is not None:
                aside = self._reject(pending)
        fault, aside = trainer.strategy.broadcast((fault, aside))
        if fault is None:
            self._prune(trainer, pending.removes, self._path(pending.name))
            return
        _mirror.restore(self, pending.before)
        self._inventory = pending.inventory
        self._say_damaged(pending, fault, aside)

    def _end_read_back_alone(self) -> None:
        """The same where the other ranks may be gone: on an exception, and when the directory is let go."""
        pending, self._read_back = self._read_back, None
        if pending is None or pending.guard is None:
            return
        fault = pending.wait()
        if fault is None:
            for name, reason in pending.removes:
                try:
                    pending.guard.remove(name)
                except OSError as error:
                    self._warn(f"checkroom: {name} could not be removed: {error}")
                    continue
                self._say(f"checkroom: removed {name}: {reason}")
            return
        self._say_damaged(pending, fault, self._reject(pending))
        _mirror.restore(self, pending.before)
        self._inventory = pending.inventory

    def _reject(self, pending: ReadBack) -> str:
        """On the rank that wrote: the former state of the directory. Where the file lies now, or why it cannot go."""
        assert pending.guard is not None
        former = pending.before["last_model_path"]
        last = os.path.basename(self.last_model_path) if self._is_here(self.last_model_path) else None
        try:
            return pending.guard.reject(
                pending.name, pending.inventory, last=last, had_last=bool(former) and former == self.last_model_path
            )
        except Exception as error:  # the other ranks wait
            return f"its place ({type(error).__name__}: {error})"

    def _say_damaged(self, pending: ReadBack, fault: str, aside: str | None) -> None:
        self._warn(
            f"checkroom: {pending.name} is damaged on the disk: {fault}; it is kept as {aside}, what it was to replace "
            f"stays, {newest_of(pending.inventory)}"
        )


def newest_of(inventory: tuple[dict[str, Any], ...]) -> str:
    """The newest checkpoint, for a person."""
    return f"the newest checkpoint is {inventory[-1]['name']}" if inventory else "there is no checkpoint yet"
