"""The sentinel: a callback that every Trainer of a rehearsal gets through Lightning's ``callbacks_factory``.

It ends a run that no preflight of ours will end: one without our callback, or whose callback does not guard.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from typing import Any, ClassVar

from .verdict import ERROR_SUFFIX, VARIABLE, conclude, write

__all__ = ["SentinelMixin"]

_LONGEST_ERROR = 500


class SentinelMixin:
    """The hooks; each package's class puts its own ``Callback`` behind it."""

    package: ClassVar[str]  # as in checkroom.<package>
    version: ClassVar[str]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Before any checkpoint callback's: Lightning calls those last."""
        ours = [callback for callback in trainer.callbacks if _is_ours(callback)]
        if any(callback._guarding for callback in ours):
            return  # the last of them ends the run
        if not ours:
            self._conclude(
                trainer,
                "no_callback",
                found=[_name(callback) for callback in trainer.checkpoint_callbacks],
                from_config=any(_is_a(callback, "SaveConfigCallback") for callback in trainer.callbacks),
                installed=importlib.util.find_spec("checkroom") is not None,
                python=sys.executable,
            )
        reasons = [getattr(callback, "_unguarded_because", None) for callback in ours]
        if trainer.fast_dev_run:
            self._conclude(trainer, "fast_dev_run")
        self._conclude(trainer, "unguarded", reasons=[reason for reason in reasons if reason])

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Too late for a preflight: ours did not end the run."""
        ours = [callback for callback in trainer.callbacks if _is_ours(callback)]
        self._conclude(trainer, "no_preflight", found=[_name(callback) for callback in ours])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The last resort, where a run that goes on in the middle of an epoch has no start of one."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """A note for the command: the script may swallow this, and then nobody would hear of it."""
        text = " ".join(f"{type(exception).__name__}: {exception}".split())
        if trainer.local_rank == 0:
            with contextlib.suppress(OSError):
                write(os.environ[VARIABLE] + ERROR_SUFFIX, {"error": text[:_LONGEST_ERROR]})

    def _conclude(self, trainer: Any, state: str, **facts: Any) -> None:
        conclude(trainer, {"state": state, "package": self.package, "version": self.version, **facts})


def _is_ours(callback: Any) -> bool:
    return any(cls.__module__ == "checkroom._callback" for cls in type(callback).__mro__)


def _is_a(callback: Any, name: str) -> bool:
    return any(cls.__name__ == name for cls in type(callback).__mro__)


def _name(callback: Any) -> str:
    cls = type(callback)
    return f"{cls.__module__}.{cls.__qualname__}"
