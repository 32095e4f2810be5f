"""A script as a rehearsal: started, watched until its verdict is there, and ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from checkroom import __version__, _sentinel
from checkroom._sentinel.verdict import ERROR_SUFFIX, VARIABLE
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._processes import Processes

__all__ = ["Ending", "rehearse"]

_POLL_SECONDS = 0.1
# What loggers get to send what they have, launchers to see that their ranks have gone.
_GRACE_SECONDS = 5.0
# They start what they are given without this environment, and so it would train.
_NEW_ENVIRONMENT = ("doas", "docker", "kubectl", "podman", "ssh", "sudo")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The name under which the folder of the sentinel lies on the script's path.
_PACKAGE = "checkroom_sentinel"
_ENTRY_POINTS = f"""\
[lightning.pytorch.callbacks_factory]
checkroom = {_PACKAGE}.for_lightning:callbacks

[pytorch_lightning.callbacks_factory]
checkroom = {_PACKAGE}.for_pytorch_lightning:callbacks
"""


@dataclass(frozen=True)
class Ending:
    """How a rehearsal ended.

    Attributes:
        verdict: What the script's trainer wrote; ``None``: it never came to its first batch.
        returncode: The script's exit code, or minus the signal that ended it.
        error: What ended a fit before its preflight; empty: nothing that was seen.
        signal: The signal that the user sent; ``None``: none.
    """

    verdict: dict[str, Any] | None
    returncode: int
    error: str = ""
    signal: int | None = None


def rehearse(words: Sequence[str], *, stdout: int | None = None) -> Ending:
    """Runs a command up to the preflight of its trainer.

    When this returns, or raises, none of its processes is left.

    Args:
        words: The command.
        stdout: The descriptor that its output goes to; ``None``: this process's own.

    Raises:
        CommandError: It cannot be started.
    """
    command = _startable(words)
    with _folder() as folder:
        path = os.path.join(folder, "verdict.json")
        with _caught_signals() as caught:
            run = _start(command, _environment(folder, path), stdout)
            try:
                _watch(run, lambda: os.path.exists(path), caught)
            finally:
                returncode = run.close()
        verdict, note = _read(path), _read(path + ERROR_SUFFIX)
    return Ending(verdict, returncode, "" if note is None else str(note["error"]), caught[0] if caught else None)


def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the verdict, with the sentinel in it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="checkroom-preflight-")
        place_sentinel(Path(folder.name))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"no temporary folder for the verdict: {reason} (name one with room: TMPDIR=...)") from None
    if os.pathsep in folder.name:
        folder.cleanup()
        raise CommandError(
            f"{quoted(folder.name)} cannot stand in PYTHONPATH, through which this works (name another: TMPDIR=...)"
        )
    return folder


def place_sentinel(folder: Path) -> None:
    """Makes ``folder`` one that gives every Trainer of a Python which has it on its path the sentinel."""
    shutil.copytree(
        os.path.dirname(_sentinel.__file__), folder / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    info = folder / f"{_PACKAGE}-{__version__}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_PACKAGE}\nVersion: {__version__}\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)


def _environment(folder: str, verdict: str) -> dict[str, str]:
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, VARIABLE: verdict, "PYTHONPATH": f"{folder}{os.pathsep}{path}" if path else folder}


def _startable(words: Sequence[str]) -> list[str]:
    """The command as it can be started; refuses what would train instead of rehearsing."""
    first = words[0]
    if os.path.basename(first) in _NEW_ENVIRONMENT:
        raise CommandError(
            f"{quoted(first)} does not hand on the environment, through which this works: the script would train "
            f"(start the command behind it: {os.path.basename(first)} ... checkroom preflight -- ...)"
        )
    if re.fullmatch(r"(python|pypy)[\d.]*", os.path.basename(first)):
        for word in words[1:]:
            if not word.startswith("-") or word in ("-c", "-m", "-"):
                break
            if re.fullmatch(r"-[bBdiOPqsSuvx]*[EI].*", word):
                raise CommandError(f"{quoted(word)} keeps Python from reading PYTHONPATH, through which this works")
    if "/" not in first and shutil.which(first) is None and os.path.isfile(first):
        return [os.path.join(os.curdir, first), *words[1:]]
    return list(words)


def _start(command: list[str], environment: dict[str, str], stdout: int | None) -> Processes:
    first = command[0]
    try:
        return Processes(command, environment, mark=VARIABLE, stdout=stdout)
    except FileNotFoundError:
        if os.path.isfile(first):
            raise CommandError(f"{quoted(first)}: the program that its #! line names is not there") from None
        raise CommandError(f"no such command: {quoted(first)} (write for example python train.py)") from None
    except PermissionError:
        reason = "is a folder" if os.path.isdir(first) else "is not executable"
        raise CommandError(f"{quoted(first)} {reason} (write for example python {quoted(first)})") from None
    except OSError as error:
        hint = f"write for example python {quoted(first)}"
        raise CommandError(f"{quoted(first)} cannot be run: {error.strerror} ({hint})") from None


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Signals that end this program are collected instead; what is ignored stays so."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    former = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = [number for number, handler in former.items() if handler is not signal.SIG_IGN]
    for number in replaced:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number in replaced:
            signal.signal(number, former[number])


def _watch(run: Processes, concluded: Callable[[], bool], caught: list[int]) -> None:
    """Waits for the verdict or the end of the script, forwards the user's signal, then ends what is left."""
    while not (caught or concluded() or run.ended()):
        time.sleep(_POLL_SECONDS)
    heard = len(caught)
    if heard:
        run.forward(caught[0])
    # A second signal of the user's means: at once.
    if _gone(run, lambda: len(caught) > heard):
        return
    heard = len(caught)
    run.end(signal.SIGTERM)
    _gone(run, lambda: len(caught) > heard)


def _gone(run: Processes, hurried: Callable[[], bool]) -> bool:
    """Waits for the processes to end by themselves, within the grace; have they?"""
    end = time.monotonic() + _GRACE_SECONDS
    while run.left():
        if hurried() or time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8") as file:
            content: dict[str, Any] = json.load(file)
            return content
    except FileNotFoundError:
        return None
