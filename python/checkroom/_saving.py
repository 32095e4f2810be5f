"""How a guarded save goes: decide, mirror the plan, write, settle, make ``last``, prune.

Lightning's methods still choose names and triggers. Every verdict is taken on rank 0 and broadcast; no branch around a
collective depends on the rank.
"""

from __future__ import annotations

import errno
import os
import time
import weakref
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from checkroom import _mirror
from checkroom._checkpoint_io import CheckroomIOMixin
from checkroom._core import Item, KeepBest, format_size
from checkroom._errors import DiskFullError
from checkroom._guard import Decision, Guard, Outcome, Ticket
from checkroom._last import LastMixin, SaveFailedError
from checkroom._options import GuardOptions
from checkroom._preflight import Sizes
from checkroom._verifying import VerifyingMixin, newest_of
from checkroom._rank_zero import of_rank_zero

__all__ = ["SaveFailedError", "SavingMixin"]

_POLL_SECONDS = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class SavingMixin(VerifyingMixin, LastMixin):
    """The decision points, the write and removal of a guarded ModelCheckpoint."""

    if TYPE_CHECKING:
        # Lightning's own fields and methods, and _say and _warn: the class that this is mixed into has them.
        def __getattr__(self, name: str) -> Any: ...

    @property
    def guard_options(self) -> GuardOptions:
        """The guard's arguments, checked and in bytes."""
        return GuardOptions(**{field.name: getattr(self, field.name) for field in fields(GuardOptions)})

    last_model_path: str  # Lightning's
    _inventory: tuple[dict[str, Any], ...]  # the store's, as plain values, on every rank
    _guard: Guard | None  # on rank 0, while fitting
    _io: CheckroomIOMixin | None
    _guarding: bool
    _sizes: Sizes
    _refusals: int  # in a row
    _refused_step: int
    _last_before: str | None  # the former last_model_path, while a new one is planned
    _reasons: dict[str, str]  # why what is about to be removed goes
    _pending: tuple[str, Ticket | None] | None
    _outcome: Outcome | None

    # -- the decision points

    def _save_topk_checkpoint(self, trainer: Any, monitor_candidates: dict[str, Any]) -> None:
        if self._guarding and self.save_top_k == 0 and self.guard_options.rules:
            self._guarded_save(trainer, monitor_candidates, monitor_candidates.get(self.monitor), None)
        else:
            super()._save_topk_checkpoint(trainer, monitor_candidates)  # type: ignore[misc]

    def _save_monitor_checkpoint(self, trainer: Any, monitor_candidates: dict[str, Any]) -> None:
        current = monitor_candidates.get(self.monitor)
        here = self._is_here(self._name_of(monitor_candidates))
        rules = self.guard_options.rules
        if self._guarding and here and rules and not self.check_monitor_top_k(trainer, current):
            # Not among the best: another rule may still want it.
            self._guarded_save(trainer, monitor_candidates, current, None)
        else:
            super()._save_monitor_checkpoint(trainer, monitor_candidates)  # type: ignore[misc]

    def _update_best_and_save(self, current: Any, trainer: Any, monitor_candidates: dict[str, Any]) -> None:
        if not self._guarding or not self._is_here(self._name_of(monitor_candidates)):
            super()._update_best_and_save(current, trainer, monitor_candidates)  # type: ignore[misc]
            return
        full = len(self.best_k_models) == self.save_top_k
        self._guarded_save(trainer, monitor_candidates, current, self.kth_best_model_path if full else None)

    def _save_none_monitor_checkpoint(self, trainer: Any, monitor_candidates: dict[str, Any]) -> None:
        if not self._guarding or not self._is_here(self._name_of(monitor_candidates)):
            super()._save_none_monitor_checkpoint(trainer, monitor_candidates)  # type: ignore[misc]
            return
        self._guarded_save(trainer, monitor_candidates, None, self.best_model_path)

    def _name_of(self, monitor_candidates: dict[str, Any]) -> str:
        # A copy: Lightning writes a 0 into the mapping for every metric that a name asks for and nobody logged.
        name: str = self.format_checkpoint_name(dict(monitor_candidates))
        return name

    def _guarded_save(
        self, trainer: Any, monitor_candidates: dict[str, Any], current: Any, displaced: str | None
    ) -> None:
        """One save: decide, mirror the plan, write, settle, prune."""
        self._end_read_back(trainer)
        monitor_candidates = of_rank_zero(trainer, monitor_candidates)
        current = None if current is None else monitor_candidates[self.monitor]
        if current is not None and bool(current != current):  # NaN is stored as the worst there is
            current = current.new_tensor(float("inf" if self.mode == "min" else "-inf"))
        path = self._get_metric_interpolated_filepath_name(dict(monitor_candidates), trainer, displaced)
        item = self._candidate(trainer, path, monitor_candidates, current)
        deadline = time.monotonic() + self.guard_options.wait_minutes * 60
        while self._attempt(trainer, monitor_candidates, current, path, item, deadline):
            # What the save really needs is known now: the next attempt is admitted, or waits, for that.
            item = self._candidate(trainer, path, monitor_candidates, current)

    def _attempt(
        self, trainer: Any, monitor_candidates: dict[str, Any], current: Any, path: str, item: Item, deadline: float
    ) -> bool:
        """One attempt at a save; true: it was refused while it was being made, and the user wants to wait for room."""
        decision = self._decide(trainer, item, deadline)
        if decision.verdict == "unwanted":
            if self.verbose:
                self._say(f"checkroom: {item.name} is not saved: {'; '.join(decision.reasons)}")
            return False
        if decision.verdict == "refuse":
            self._refuse(trainer, item.name, decision)
            return False

        before = _mirror.snapshot(self)
        inventory = self._inventory
        self._mirror_plan(path, current, decision.top_k, decision.items)
        self._plan_last(trainer, monitor_candidates, path)
        self._prune(trainer, decision.removes_first, path)
        if decision.removes_first and self._guard is not None:
            self._guard.drain()
        ticket = Ticket(path, item, True, self._guard, item.bytes) if self._guard is not None else None
        try:
            outcome = self._write(trainer, path, ticket)
        except SaveFailedError as failure:
            self._roll_back(before, inventory, (*decision.removes_first, *failure.outcome.removed_first))
            self._note_removed(failure.outcome.removed_first)
            if self._wants_to_wait(trainer, failure.outcome, deadline):
                return True
            self._failed(trainer, item.name, failure)
            return False
        except BaseException:
            if ticket is None or ticket.bytes is None:
                self._roll_back(before, inventory, decision.removes_first)
            elif self._last_before is not None:  # published, but a logger raised before `last` was made of it
                self.last_model_path, self._last_before = self._last_before, None
            raise
        self._refusals = 0
        self._note_removed(outcome.removed_first)
        if outcome.top_k != decision.top_k:
            self._mirror_plan(path, current, outcome.top_k, outcome.items)
        self._inventory = outcome.items
        self._say(self._saved_line(item, outcome, current))
        if self.save_last == "link" and self._last_before is not None and self._links_itself():
            # It is about to be made once more, in its turn; but what it points at may be about to go.
            self._symlink_last(trainer, path, self.last_model_path)
        if self.guard_options.verify:
            self._begin_read_back(item.name, before, inventory, outcome.removes)
        else:
            self._prune(trainer, outcome.removes, path)
        return False

    def _wants_to_wait(self, trainer: Any, outcome: Outcome, deadline: float) -> bool:
        """Rank 0's clock decides whether a save that found no room is tried again."""
        full = outcome.refused is not None or outcome.errnum in _FULL
        again: bool = trainer.strategy.broadcast(
            full and self.guard_options.when_full == "wait" and time.monotonic() < deadline
        )
        if again:
            if outcome.refused is not None and outcome.refused.need is not None:
                self._sizes.learn(outcome.refused.need)
            if self._guard is not None:
                time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        return again

    def _note_removed(self, removals: tuple[tuple[str, str], ...]) -> None:
        """What had to go in the middle of a save, when its exact size was known."""
        for name, reason in removals:
            self._say(f"checkroom: removed {name}: {reason}")

    def _candidate(self, trainer: Any, path: str, monitor_candidates: dict[str, Any], current: Any) -> Item:
        scores = {} if self.monitor is None or current is None else {self.monitor: float(current)}
        for rule in self.guard_options.rules:
            if isinstance(rule, KeepBest) and rule.monitor in monitor_candidates:
                scores[rule.monitor] = float(monitor_candidates[rule.monitor])
        return Item(
            os.path.basename(path),
            self._sizes.expected,
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            saved_at=time.time(),
            scores=scores,
        )

    def _decide(self, trainer: Any, item: Item, deadline: float, *, own_last: bool = False) -> Decision:
        """Rank 0 decides, every rank hears; waits for room, until the deadline, where the user asked for it."""
        options = self.guard_options
        told = False
        while True:
            decision: Decision | None = None
            again = False
            if self._guard is not None:
                try:
                    decision = self._guard.decide(item, forced=own_last, own_last=own_last)
                except Exception as error:  # whatever it is, the other ranks wait for a verdict
                    decision = Decision("refuse", reasons=(f"the guard failed: {type(error).__name__}: {error}",))
                again = options.when_full == "wait" and decision.verdict == "refuse" and time.monotonic() < deadline
            decision, again = trainer.strategy.broadcast((decision, again))
            assert decision is not None  # rank 0 has decided
            if not again:
                return decision
            if not told:
                self._warn(f"checkroom: {item.name} waits for room: {decision.shortage}")
                told = True
            if self._guard is not None:
                time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))

    def _refuse(self, trainer: Any, name: str, decision: Decision) -> None:
        """No room: state is as if the trigger had not fired; then what the user asked for."""
        self._refusals += 1
        self._refused_step = trainer.global_step
        options = self.guard_options
        line = f"checkroom: {name} was not saved: {decision.shortage}"
        if options.when_full == "stop":
            line += "; training stops, what was published stays"
            trainer.should_stop = True
        else:
            line += "; training goes on"
        if self._refusals == 1:
            line += self._way_out(decision)
        if self._refusals >= 3:
            line += f"; {self._refusals} saves in a row were refused, {newest_of(self._inventory)}"
        if options.when_full == "error":
            raise DiskFullError(
                message=f"{name} was not saved: {decision.shortage}",
                path=self._path(name),
                need=decision.need,
                have=decision.have,
                short_by=decision.short_by,
                limit=decision.limit,
            )
        self._warn(line)

    def _way_out(self, decision: Decision) -> str:
        """What lets the next save through: told once, not at every refusal."""
        short = format_size(decision.short_by or 0)
        ways = {
            "filesystem": f"free {short} on the filesystem of {self.dirpath}",
            "floor": f"free {short} on the filesystem of {self.dirpath}, or lower min_free",
            "cap": f"raise max_size, or remove {short} of what else lies in {self.dirpath}",
            "inodes": f"remove some files from the filesystem of {self.dirpath}: it has no inodes left",
        }
        return "" if decision.limit not in ways else f"; to have the next one saved, {ways[decision.limit]}"

    def _failed(self, trainer: Any, name: str, failure: SaveFailedError) -> None:
        """The write itself failed: nothing of the file stays. Alike on every rank."""
        outcome = failure.outcome
        if outcome.refused is not None:
            self._refuse(trainer, name, outcome.refused)
        elif outcome.errnum in _FULL or (outcome.errnum and self.guard_options.when_full != "error"):
            self._refuse(trainer, name, Decision("refuse", reasons=(outcome.error,)))
        elif failure.cause is not None:
            raise failure.cause  # not the disk's doing: a state that cannot be pickled, say
        elif outcome.errnum:  # the same on the ranks that did not write
            raise OSError(outcome.errnum, f"rank 0 could not save {name}: {outcome.error}")
        else:
            raise RuntimeError(f"rank 0 could not save {name}: {outcome.error}")

    # -- the write

    def _write(self, trainer: Any, path: str, ticket: Ticket | None) -> Outcome:
        """Through ``_save_checkpoint``, so that a subclass's override is called."""
        self._pending, self._outcome = (path, ticket), None
        try:
            self._save_checkpoint(trainer, path)
            outcome = self._outcome
            if outcome is None:  # an override that does its own writing: what it left is measured
                outcome = self._settle(trainer, ticket, time.monotonic())
            return outcome
        finally:
            self._pending, self._outcome = None, None

    def _save_checkpoint(self, trainer: Any, filepath: str) -> None:
        """One file: written, settled, told to the loggers. Raises on every rank alike when it was not published."""
        if not self._guarding or not self._is_here(filepath):  # a name with a folder in it: Lightning's own way
            super()._save_checkpoint(trainer, filepath)  # type: ignore[misc]
            return
        pending = self._pending
        if pending is not None and pending[0] == filepath:
            ticket = pending[1]
        else:  # on an exception, or called by a subclass: a file outside of the inventory
            ticket = self._untracked(trainer, filepath)
        started = time.monotonic()
        if self._io is not None and ticket is not None:
            self._io.expect(ticket)
        try:
            trainer.save_checkpoint(filepath, self.save_weights_only)
        finally:
            if self._io is not None and ticket is not None:
                self._io.withdraw(ticket)
        outcome = self._settle(trainer, ticket, started)
        if pending is not None:
            self._outcome = outcome
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = filepath
        self._notify(trainer)

    def _settle(self, trainer: Any, ticket: Ticket | None, started: float) -> Outcome:
        told = None
        if self._guard is not None and ticket is not None:
            try:
                told = self._guard.settle(ticket, started)
            except Exception as error:  # the other ranks wait for an outcome
                ticket.error = error
                told = Outcome(
                    False, error=f"{type(error).__name__}: {error}", errnum=getattr(error, "errno", None) or 0
                )
            if told.published:
                self._sizes.learn(told.bytes)
        outcome: Outcome = trainer.strategy.broadcast(told)
        if not outcome.published:
            raise SaveFailedError(outcome, None if ticket is None else ticket.error)
        return outcome

    def _untracked(self, trainer: Any, path: str) -> Ticket | None:
        if self._guard is None:
            return None
        item = Item(os.path.basename(path), 0, epoch=trainer.current_epoch, step=trainer.global_step)
        return Ticket(path, item, False, self._guard, admitted=0)

    def _notify(self, trainer: Any) -> None:
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.after_save_checkpoint(weakref.proxy(self))

    # -- mirror and removal

    def _mirror_plan(
        self, path: str, current: Any, top_k: tuple[str, ...], items: tuple[dict[str, Any], ...]
    ) -> None:
        """Lightning's fields take the state that will hold once this save is published."""
        self._inventory = items
        if self.monitor is None:
            if self.save_top_k != 0:
                self.best_model_path = path
            return
        known = dict(self.best_k_models)
        if current is not None:
            known[path] = current
        scores = {entry: known[entry] for entry in map(self._path, top_k) if entry in known}
        if path in scores:
            self.current_score = current
        if path in scores or scores.keys() != self.best_k_models.keys():
            _mirror.show_top_k(self, scores, self.save_top_k)

    def _roll_back(
        self, before: dict[str, Any], inventory: tuple[dict[str, Any], ...], removed: tuple[tuple[str, str], ...]
    ) -> None:
        _mirror.restore(self, before)
        self._last_before = None
        gone = {name for name, _ in removed}
        self._inventory = tuple(item for item in inventory if item["name"] not in gone)
        paths = {self._path(name) for name in gone}
        if paths & self.best_k_models.keys():
            scores = {path: score for path, score in self.best_k_models.items() if path not in paths}
            _mirror.show_top_k(self, scores, self.save_top_k)

    def _prune(self, trainer: Any, removes: tuple[tuple[str, str], ...], current: str) -> None:
        for name, reason in removes:
            path = self._path(name)
            if self._should_remove_checkpoint(trainer, path, current):
                self._reasons[path] = reason
                self._remove_checkpoint(trainer, path)

    def _remove_checkpoint(self, trainer: Any, filepath: str) -> None:
        """Lightning's removal; ours goes through the trash, and a failure never ends the training."""
        if not self._guarding:
            super()._remove_checkpoint(trainer, filepath)  # type: ignore[misc]
            return
        reason = self._reasons.pop(filepath, "")
        try:
            super()._remove_checkpoint(trainer, filepath)  # type: ignore[misc]
        except OSError as error:
            self._warn(f"checkroom: {os.path.basename(filepath)} could not be removed: {error}")
            return
        if reason:
            self._say(f"checkroom: removed {os.path.basename(filepath)}: {reason}")

    def _saved_line(self, item: Item, outcome: Outcome, current: Any) -> str:
        score = "" if current is None or self.monitor is None else f", {self.monitor} {float(current):.4g}"
        count = len(outcome.items)
        return (
            f"checkroom: saved {item.name} ({format_size(outcome.bytes)} in {outcome.seconds:.1f} s{score}); "
            f"{count} {'checkpoint' if count == 1 else 'checkpoints'} kept"
        )

    def _path(self, name: str) -> str:
        return os.path.join(self.dirpath, name)

    def _is_here(self, path: str) -> bool:
        return bool(path) and os.path.dirname(os.path.abspath(path)) == os.path.abspath(self.dirpath)
