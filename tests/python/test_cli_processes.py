"""All processes of a script are found, whatever session they are in, and none of anybody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checkroom.cli._processes import Processes

MARK = "TEST_PROCESSES_MARK"


def start(folder: Path, *words: str) -> Processes:
    return Processes(words, {**os.environ, MARK: str(folder)}, mark=MARK)


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never happened")


def pids_in(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


# A process that leaves its id, started in the ways that launchers have.
_SLEEPER = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(600)"
_LAUNCHER = f"""
import os, subprocess, sys
words = [sys.executable, "-c", {_SLEEPER!r}, sys.argv[1]]
subprocess.Popen(words)
subprocess.Popen(words, start_new_session=True)
bare = {{name: value for name, value in os.environ.items() if name != "{MARK}"}}
subprocess.Popen(words, env=bare)
"""


@pytest.mark.parametrize("stays", [True, False])
def test_children_of_every_kind(tmp_path: Path, stays: bool) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    run = start(tmp_path, sys.executable, "-c", _LAUNCHER + ("import time; time.sleep(600)" if stays else ""),
                str(tmp_path))
    try:
        wait_for(lambda: len(pids_in(tmp_path)) == 3 and (stays or run.ended()))
        assert run.ended() != stays
        assert pids_in(tmp_path) <= set(run.left())
        assert stranger.pid not in run.left() and os.getpid() not in run.left()
        run.end(signal.SIGTERM)
        wait_for(lambda: run.left() == [])
        assert run.close() == (-signal.SIGTERM if stays else 0)
        assert stranger.poll() is None
    finally:
        run.close()
        stranger.kill()
        stranger.wait()


def test_close_kills_what_does_not_listen(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _SLEEPER
    run = start(tmp_path, sys.executable, "-c", deaf, str(tmp_path))
    wait_for(lambda: pids_in(tmp_path))
    run.end(signal.SIGTERM)
    assert run.left() == list(pids_in(tmp_path))
    assert run.close() == -signal.SIGKILL
    assert run.left() == []


def test_the_exit_code_waits(tmp_path: Path) -> None:
    run = start(tmp_path, "/bin/sh", "-c", "exit 7")
    wait_for(run.ended)
    run.forward(signal.SIGINT)  # to nobody: not an error
    assert run.close() == 7


def test_a_signal_reaches_the_session(tmp_path: Path) -> None:
    run = start(tmp_path, sys.executable, "-c", _SLEEPER, str(tmp_path))
    wait_for(lambda: pids_in(tmp_path))
    run.forward(signal.SIGUSR1)  # one that nohup and background jobs leave alone
    wait_for(run.ended)
    assert run.close() == -signal.SIGUSR1
