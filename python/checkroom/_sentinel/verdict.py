"""The verdict file of a rehearsal, and how the script's process ends once it is written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from typing import Any, NoReturn

__all__ = ["ERROR_SUFFIX", "FORMAT", "VARIABLE", "conclude", "requested", "write"]

VARIABLE = "CHECKROOM_PREFLIGHT"  # names the verdict file; set: this run is a rehearsal
FORMAT = 1
ERROR_SUFFIX = ".error"  # beside the verdict file: what ended a fit before its preflight

_COULD_NOT_WRITE = 3  # the exit code of a process that has a verdict and nowhere to put it


def requested() -> str | None:
    """The path of the verdict file where this run is a rehearsal, else ``None``."""
    return os.environ.get(VARIABLE) or None


def write(path: str, content: dict[str, Any]) -> None:
    """Puts ``content`` into ``path``, whole or not at all.

    Raises:
        OSError: The file could not be written.
    """
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(temporary, path)


def conclude(trainer: Any, content: dict[str, Any]) -> NoReturn:
    """Writes the verdict and ends this process. Every rank calls it.

    ``os._exit``, because nothing of the script may run any more: an ``except`` or a ``finally`` of it could go on to
    train. One rank of each node writes, so that a command which waits on another node than rank 0's has its verdict.
    """
    code = 0
    try:
        if trainer.local_rank == 0:
            path = os.environ[VARIABLE]
            try:
                write(path, {"format": FORMAT, **content})
            except OSError as error:
                code = _COULD_NOT_WRITE
                print(f"checkroom: the verdict could not be written to {path}: {error}", file=sys.stderr)
        with contextlib.suppress(Exception):
            _tidy(trainer)
        # No rank leaves before the verdict is written: launchers end the others when one is gone.
        trainer.strategy.barrier("checkroom preflight")
    finally:
        try:
            _flush()
        finally:
            os._exit(code)


def _tidy(trainer: Any) -> None:
    """Takes back what Lightning's own callbacks have done to the terminal and to the next run."""
    for callback in trainer.callbacks:
        names = {cls.__name__ for cls in type(callback).__mro__}
        if "ProgressBar" in names:
            with contextlib.suppress(Exception):  # rich hides the cursor
                callback.teardown(trainer, trainer.lightning_module, "fit")
            with contextlib.suppress(Exception):  # tqdm has begun a line
                callback.train_progress_bar.close()
        if "SaveConfigCallback" in names and not callback.overwrite and callback.save_to_log_dir:
            # It refuses to start where a config lies, so this one is new, and would keep the real run from starting.
            path = os.path.join(trainer.log_dir, callback.config_filename)  # a collective: every rank asks
            if trainer.is_global_zero and callback.already_saved:
                with contextlib.suppress(OSError):
                    os.remove(path)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with contextlib.suppress(Exception):
        logging.shutdown()
