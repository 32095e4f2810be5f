"""The guard's part of a ModelCheckpoint, as a mixin that imports no Lightning.

``checkroom.lightning`` and ``checkroom.pytorch_lightning`` put it in front of their own package's class. Lightning's
methods still choose names and triggers; ours decide whether a save may start, write it, and prune by the store's plan.
Every verdict is taken on rank 0 and broadcast; no branch around a collective depends on the rank.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar, Optional, Union

from checkroom import _mirror
from checkroom._checkpoint_io import CheckroomIOMixin
from checkroom._core import Item, RetentionPolicy
from checkroom._guard import Guard, Removal, item_as_dict, valid_items
from checkroom._options import GuardOptions, KeepRuleLike, LastAs, Preflight, WhenFull
from checkroom._preflight import Sizes, preflight
from checkroom._rehearsal import Rehearsal, is_rehearsal
from checkroom._saving import SaveFailedError, SavingMixin

__all__ = ["GuardMixin"]


class GuardMixin(SavingMixin):
    """What ours does differently from Lightning's ModelCheckpoint, and nothing else."""

    _io_class: ClassVar[type[CheckroomIOMixin]]
    _torch_io_class: ClassVar[type]
    _lightning_class: ClassVar[type]
    _lightning_version: ClassVar[str]
    _package: ClassVar[str]
    dirpath: Any  # Lightning's
    _unguarded_because: str | None  # why its saves are Lightning's own

    def __init__(
        self,
        *args: Any,
        min_free: Union[int, str] = "1 GB",
        max_size: Optional[Union[int, str]] = None,
        preflight: Preflight = "error",
        when_full: WhenFull = "skip",
        wait_minutes: float = 10,
        prune_first: bool = True,
        keep: Sequence[KeepRuleLike] = (),
        last_as: LastAs = "auto",
        durable: bool = True,
        verify: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        options = GuardOptions(
            min_free, max_size, preflight, when_full, wait_minutes, prune_first, keep, last_as, durable, verify
        )
        for field in fields(options):
            setattr(self, field.name, getattr(options, field.name))
        self._policy()  # rules that contradict each other fail here, not at the first batch
        self._inventory = ()
        self._guard = None
        self._io = None
        self._guarding = False
        self._unguarded_because = None
        self._sizes = Sizes()
        self._refusals = 0
        self._refused_step = -1
        self._last_before = None
        self._reasons = {}
        self._pending = None
        self._read_back = None
        self._outcome = None
        self._start_step = 0

    def _policy(self) -> RetentionPolicy:
        return RetentionPolicy(
            save_top_k=self.save_top_k, monitor=self.monitor, mode=self.mode, keep=self.guard_options.rules
        )

    def __getstate__(self) -> dict[str, Any]:
        # The store, its thread and the CheckpointIO belong to one process and one fit.
        return {**self.__dict__, "_guard": None, "_io": None, "_guarding": False, "_read_back": None}

    # -- state

    @property
    def _legacy_state_key(self) -> type:
        """Checkpoints from before Lightning 1.5 name a callback by its class: ours stands for Lightning's own."""
        return self._lightning_class if "_lightning_class" in vars(type(self)) else type(self)

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state, and our inventory as plain values."""
        state = super().state_dict()  # type: ignore[misc]
        return {**state, "checkroom": {"format": 1, "items": [dict(item) for item in self._inventory]}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning's state; our inventory where the checkpoint has one and lies in the same directory."""
        super().load_state_dict(state_dict)  # type: ignore[misc]
        own = state_dict.get("checkroom")
        same = state_dict.get("dirpath", self.dirpath) == self.dirpath
        if same and isinstance(own, dict) and own.get("format") == 1:
            self._inventory = tuple(valid_items(own.get("items")))

    # -- the run

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Lightning's set-up; for a fit, our CheckpointIO and the guard of the directory."""
        super().setup(trainer, pl_module, stage)  # type: ignore[misc]
        if stage == "fit" and not trainer.fast_dev_run:
            self._close()
            self._open(trainer)

    def _open(self, trainer: Any) -> None:
        self._refusals, self._refused_step, self._last_before = 0, -1, None
        if "://" not in os.fspath(self.dirpath):
            # Lightning leaves it relative where it comes from a relative default_root_dir: a run that changes its
            # working directory would lose its files.
            self.dirpath = os.path.abspath(self.dirpath)
        self._unguarded_because = obstacle = _obstacle(trainer, self.dirpath)
        if obstacle is not None:
            self._warn(f"checkroom: {obstacle}: its saves are Lightning's own, unguarded")
            return
        io = trainer.strategy.checkpoint_io
        if type(io) is self._torch_io_class:
            trainer.strategy.checkpoint_io = io = self._io_class()
        self._io = io if isinstance(io, CheckroomIOMixin) else None
        self._guarding = True
        if trainer.is_global_zero:
            self._guard = Guard(os.fspath(self.dirpath), self._policy(), self.guard_options)
            if self._io is not None:
                self._io.guard_directory(self._guard)

    def _close(self) -> None:
        self._end_read_back_alone()
        guard, io = self._guard, self._io
        self._guard, self._io, self._guarding = None, None, False
        if guard is None:
            return
        if io is not None:
            io.release_directory(guard)
        try:
            guard.close()
        except OSError as error:
            self._warn(f"checkroom: the trash of {guard.directory} could not be emptied: {error}")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Reconciles state and directory, then prints the preflight; may raise PreflightError, on every rank."""
        super().on_train_start(trainer, pl_module)  # type: ignore[misc]
        if not self._guarding:
            return
        self._start_step = trainer.global_step
        rehearsal = Rehearsal(self) if is_rehearsal() else None
        removes = self._reconcile(trainer)
        if rehearsal is not None:
            rehearsal.end(trainer, removes)
            return
        self._prune(trainer, removes, "")
        preflight(self, trainer, self._guard)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any, **kwargs: Any) -> None:
        """Corrects the predicted size after the first optimizer step, then saves as Lightning does."""
        if self._guard is not None and trainer.global_step > self._start_step and not self._sizes.corrected:
            note = self._sizes.correct(self, trainer)
            if note:
                self._say(f"checkroom: {note}")
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)  # type: ignore[misc]

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Lightning's last `last`, but nothing under ``fast_dev_run``."""
        if not trainer.fast_dev_run and hasattr(super(), "on_train_end"):
            super().on_train_end(trainer, pl_module)  # type: ignore[misc]
        if self._guarding:
            self._end_read_back(trainer)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Lightning's save on an exception; a failure of ours never replaces the user's error."""
        try:
            if is_rehearsal():
                return  # it leaves nothing behind
            if not self._guarding or trainer.world_size == 1:
                super().on_exception(trainer, pl_module, exception)  # type: ignore[misc]
            elif self._should_save_on_exception(trainer) and trainer.is_global_zero:
                self._save_alone(trainer)
        except SaveFailedError as failure:
            self._warn(f"checkroom: could not save on {type(exception).__name__}: {failure.outcome.error}")
        except Exception as error:
            if not self._guarding:
                raise
            self._warn(f"checkroom: could not save on {type(exception).__name__}: {type(error).__name__}: {error}")
        finally:
            self._close()

    def _save_alone(self, trainer: Any) -> None:
        # The other ranks may be gone or anywhere: no collective from here on.
        candidates = self._monitor_candidates(trainer)
        path = self.format_checkpoint_name(candidates)
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(self.save_weights_only)
        trainer.strategy.checkpoint_io.save_checkpoint(checkpoint, path)
        self._say(f"checkroom: saved {path} on an exception")

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Waits for the reaper and lets the directory go."""
        super().teardown(trainer, pl_module, stage)  # type: ignore[misc]
        if stage == "fit":
            self._close()

    def _reconcile(self, trainer: Any) -> tuple[Removal, ...]:
        """The directory wins: what vanished is dropped; returns what a smaller k lets go, the same on every rank."""
        names = self._known_items()
        resumed_from = self._resumed_from(trainer)
        removes: tuple[Removal, ...] = ()
        answer: Any = None
        if self._guard is not None:
            newest = names[-1]["name"] if names and self.save_last else None
            try:
                removes, items = self._guard.adopt(
                    names, last=newest, last_files=self._last_files(resumed_from), resumed_from=resumed_from
                )
                answer = (removes, items, tuple(self._guard.store.plan().top_k))
            except Exception as error:  # whatever it is, the other ranks wait for an answer
                self._warn(f"checkroom: {self.dirpath} could not be reconciled with the state: {error}")
        answer = trainer.strategy.broadcast(answer)
        if answer is None:
            return removes
        removes, self._inventory, top_k = answer
        found = {item["name"] for item in self._inventory} | {name for name, _ in removes}
        for item in names:
            if item["name"] not in found:
                self._say(f"checkroom: {item['name']} is no longer there as a file: it has no slot any more")
        gone = {name for name, _ in removes}
        self._inventory = tuple(item for item in self._inventory if item["name"] not in gone)
        scores = {path: self.best_k_models[path] for path in map(self._path, top_k) if path in self.best_k_models}
        if scores != self.best_k_models:
            _mirror.show_top_k(self, scores, self.save_top_k)
        return removes

    def _resumed_from(self, trainer: Any) -> str | None:
        """The name of the file that the run goes on from, where it lies here, by whatever path."""
        if not trainer.ckpt_path:
            return None
        here = os.path.realpath(os.fspath(self.dirpath))
        directory, name = os.path.split(os.path.abspath(trainer.ckpt_path))
        if os.path.realpath(directory) != here:
            return None
        return str(name)

    def _last_files(self, resumed_from: str | None) -> tuple[str, ...]:
        """The names that are `last` here, whoever made them: the next save replaces them."""
        files = [os.path.basename(self.last_model_path)] if self._is_here(self.last_model_path) else []
        # Lightning's class writes into a file which `last` there was before it: into the first one none.
        if self.save_last and resumed_from and resumed_from.startswith(f"{self.CHECKPOINT_NAME_LAST}."):
            files.append(resumed_from)
        return tuple(dict.fromkeys(files))

    def _known_items(self) -> list[dict[str, Any]]:
        """What the state knows of this directory; Lightning's own state where ours says nothing."""
        items = {item["name"]: dict(item) for item in self._inventory}
        known = dict(self.best_k_models)
        if self.monitor is None and self.best_model_path and self.save_top_k != 0:
            known.setdefault(self.best_model_path, None)
        for path, score in known.items():
            directory, name = os.path.split(os.path.abspath(path))
            if name in items or directory != os.path.abspath(self.dirpath):
                continue
            scores = {} if score is None else {self.monitor: float(score)}
            saved_at = os.path.getmtime(path) if os.path.exists(path) else 0.0
            items[name] = item_as_dict(Item(name, 0, saved_at=saved_at, scores=scores))
        return list(items.values())


def _obstacle(trainer: Any, dirpath: Any) -> str | None:
    """Why this run's saves cannot be guarded, the same on every rank; ``None``: they can."""
    if "://" in os.fspath(dirpath):
        return f"{dirpath} is not a local directory"
    strategy = type(trainer.strategy)
    owner = next(cls for cls in strategy.__mro__ if "save_checkpoint" in vars(cls))
    if owner.__name__ != "Strategy":
        return f"{strategy.__name__} writes checkpoints by itself"
    if hasattr(trainer.strategy.checkpoint_io, "checkpoint_io"):
        return f"{type(trainer.strategy.checkpoint_io).__name__} wraps the writing, and may do it later"
    return None
