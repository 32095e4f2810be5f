"""How `last` is made: another name of the file just saved, a link, or a file of its own.

Its name is planned before the save that it will share, so that the file knows its `last`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from checkroom import _mirror
from checkroom._core import Item, format_size
from checkroom._guard import Outcome, Ticket

__all__ = ["LastMixin", "SaveFailedError"]


class SaveFailedError(Exception):
    """A guarded save did not publish. Raised on every rank alike and caught by our own callers."""

    def __init__(self, outcome: Outcome, cause: BaseException | None) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome
        self.cause = cause  # on the rank that wrote


class LastMixin:
    """``last`` of a guarded ModelCheckpoint."""

    if TYPE_CHECKING:
        # The fields and methods of the class that this is mixed into, and Lightning's.
        def __getattr__(self, name: str) -> Any: ...

    last_model_path: str  # Lightning's
    _last_before: str | None  # the former last_model_path, while a new one is planned

    def _save_last_checkpoint(self, trainer: Any, monitor_candidates: dict[str, Any]) -> None:
        if not self._guarding:
            super()._save_last_checkpoint(trainer, monitor_candidates)  # type: ignore[misc]
            return
        if not self.save_last or self._refused_step == trainer.global_step:
            return  # a refused trigger is as if it had not fired, for `last` too
        before = _mirror.snapshot(self)
        if self._last_before is None:
            self._plan_last(trainer, monitor_candidates, "")
        path, previous = self.last_model_path, self._last_before
        before["last_model_path"], self._last_before = previous, None
        saved = self._last_checkpoint_saved
        just_saved = self._last_global_step_saved == trainer.global_step
        if just_saved and saved and os.path.abspath(saved) == os.path.abspath(path):
            return  # the file just saved bears the name of `last`
        if self.save_last == "link" and saved and self.save_top_k != 0:
            if self._links_itself():
                self._symlink_last(trainer, saved, path)
            else:
                self._link_checkpoint(trainer, saved, path)
        elif self._io is not None and just_saved and self._is_here(saved):
            if not self._share_last(trainer, saved, path):
                _mirror.restore(self, before)
                return
        elif not self._save_own_last(trainer, path, before):
            return
        if previous and self._should_remove_checkpoint(trainer, previous, path):
            self._remove_checkpoint(trainer, previous)

    def _plan_last(self, trainer: Any, monitor_candidates: dict[str, Any], saving: str) -> None:
        """Sets ``last_model_path`` before the save that `last` will share, so that the file knows its `last`.

        Args:
            trainer: The trainer.
            monitor_candidates: What the name may hold.
            saving: The file that is about to be saved: its name is as good as taken.
        """
        if not self.save_last:
            return
        candidates = dict(monitor_candidates)
        path = self.format_checkpoint_name(candidates, self.CHECKPOINT_NAME_LAST)
        if self._enable_version_counter:
            version = self.STARTING_VERSION
            while (self.file_exists(path, trainer) or path == saving) and path != self.last_model_path:
                path = self.format_checkpoint_name(candidates, self.CHECKPOINT_NAME_LAST, ver=version)
                version += 1
        self._last_before, self.last_model_path = self.last_model_path, path

    def _share_last(self, trainer: Any, saved: str, path: str) -> bool:
        """`last` becomes another name of the file just saved: no second write."""
        error = None
        if self._guard is not None:
            try:
                self._guard.store.link_last(os.path.basename(saved), os.path.basename(path))
            except Exception as failure:  # the other ranks wait
                error = f"{type(failure).__name__}: {failure}"
        error = trainer.strategy.broadcast(error)
        if error is not None:
            self._warn(f"checkroom: {os.path.basename(path)} could not be made, the former one stays: {error}")
            return False
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = path
        self._notify(trainer)
        return True

    def _save_own_last(self, trainer: Any, path: str, before: dict[str, Any]) -> bool:
        """`last` as a file of its own: nothing was saved at this step that it could share."""
        self._end_read_back(trainer)
        item = Item(
            os.path.basename(path), self._sizes.expected, epoch=trainer.current_epoch, step=trainer.global_step
        )
        deadline = time.monotonic() + self.guard_options.wait_minutes * 60
        decision = self._decide(trainer, item, deadline, own_last=True)
        if decision.verdict == "refuse":
            _mirror.restore(self, before)
            self._refuse(trainer, item.name, decision)
            return False
        ticket = Ticket(path, item, False, self._guard, item.bytes) if self._guard is not None else None
        try:
            outcome = self._write(trainer, path, ticket)
        except SaveFailedError as failure:
            _mirror.restore(self, before)
            self._failed(trainer, item.name, failure)
            return False
        self._refusals = 0
        self._say(f"checkroom: saved {item.name} ({format_size(outcome.bytes)} in {outcome.seconds:.1f} s)")
        return True

    def _links_itself(self) -> bool:
        """Is `last` as a link made here, and not by a subclass in its own way?"""
        return bool(self._link_checkpoint is super()._link_checkpoint)  # type: ignore[misc]

    def _symlink_last(self, trainer: Any, saved: str, path: str) -> None:
        """Lightning's relative symlink, made beside and renamed over: there is no instant without it."""
        if not self._is_here(saved):  # into another folder: Lightning's own way
            super()._link_checkpoint(trainer, saved, path)  # type: ignore[misc]
            return
        if self._guard is not None and os.path.abspath(saved) != os.path.abspath(path):
            try:
                self._guard.store.symlink_last(os.path.basename(saved), os.path.basename(path))
            except (OSError, ValueError) as error:
                self._warn(f"checkroom: {path} could not be made, the former one stays: {error}")
        trainer.strategy.barrier()
