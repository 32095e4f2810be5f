"""From torch objects to files: the part of a CheckpointIO that is ours, without an import of Lightning."""

from __future__ import annotations

import os
from typing import Any

from checkroom._guard import Guard, Ticket
from checkroom._save import save

__all__ = ["CheckroomIOMixin"]


class CheckroomIOMixin:
    """Writes every local checkpoint staged, atomically and durably; loading stays Lightning's.

    A save for which the callback gave out a ticket does not raise: its failure is in the ticket, so that the callback
    can tell every rank. A save without one (``trainer.save_checkpoint`` by hand, the tuner) raises as usual.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guards: dict[str, Guard] = {}
        self._tickets: dict[str, Ticket] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Trainers get pickled and deep-copied; the store and its thread stay behind.
        return {**self.__dict__, "_guards": {}, "_tickets": {}}

    def guard_directory(self, guard: Guard) -> None:
        """From now on files of this directory go through this guard."""
        self._guards[guard.directory] = guard

    def release_directory(self, guard: Guard) -> None:
        """The guard of this directory is closed."""
        if self._guards.get(guard.directory) is guard:
            del self._guards[guard.directory]

    def expect(self, ticket: Ticket) -> None:
        """The next save to the ticket's path is the callback's."""
        self._tickets[os.path.abspath(ticket.path)] = ticket

    def withdraw(self, ticket: Ticket) -> None:
        """The ticket is over, taken or not."""
        self._tickets.pop(os.path.abspath(ticket.path), None)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: The model and trainer state.
            path: The final name; a remote one is left to Lightning.
            storage_options: Not used, as in Lightning's own class.

        Raises:
            TypeError: ``storage_options`` was given.
            OSError: The disk failed; nothing of the file stays.
        """
        if storage_options is not None or not _is_local(path):
            super().save_checkpoint(checkpoint, path, storage_options)  # type: ignore[misc]
            return
        target = os.path.abspath(os.fspath(path))
        ticket = self._tickets.pop(target, None)
        if ticket is not None:
            ticket.guard.write(ticket, checkpoint)
            return
        directory, name = os.path.split(target)
        guard = self._guards.get(directory)
        if guard is not None:
            guard.save(name, checkpoint, verify=guard.options.verify)
            return
        save(checkpoint, target)  # the user's own, somewhere else: the same writing, nothing watched

    def remove_checkpoint(self, path: Any) -> None:
        """Removes a checkpoint; one of a guarded directory goes through the trash."""
        directory, name = os.path.split(os.path.abspath(os.fspath(path)))
        guard = self._guards.get(directory) if _is_local(path) else None
        if guard is None:
            super().remove_checkpoint(path)  # type: ignore[misc]
        else:
            guard.remove(name)

    def teardown(self) -> None:
        """Waits until what was removed has given its blocks back."""
        for guard in self._guards.values():
            guard.drain()
        super().teardown()  # type: ignore[misc]


def _is_local(path: Any) -> bool:
    return "://" not in os.fspath(path) if isinstance(path, (str, os.PathLike)) else False
