"""The processes of a script: the one that was started, and all that it has started in turn.

A launcher may give its ranks a session of their own, so they are found by what they inherit as well: one variable of
their environment, whose value no other run has. Linux, through ``/proc``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["Processes"]

_KILLS = 50
_PAUSE_SECONDS = 0.05


class Processes:
    """A command in a session of its own, so that a signal for it reaches nobody else.

    Its process is not reaped before :meth:`close`: until then its id, which is the session's, is nobody else's.

    Args:
        words: The command.
        environment: Its environment.
        mark: The name of the variable in ``environment`` whose value is this run's alone.
        stdout: The descriptor that its output goes to; ``None``: this process's own.

    Raises:
        OSError: It could not be started.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], *, mark: str, stdout: int | None = None
    ) -> None:
        self._mark = os.fsencode(f"{mark}={environment[mark]}")
        # Not piped: the output appears as it comes, and a terminal stays one.
        self._process = subprocess.Popen(list(words), env=dict(environment), stdout=stdout, start_new_session=True)

    def ended(self) -> bool:
        """Has the process that was started ended?"""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def left(self) -> list[int]:
        """The ids of those that still run."""
        return [pid for pid in _all_pids() if self._is_one(pid)]

    def forward(self, number: int) -> None:
        """Sends a signal to the session, as a terminal does."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to every one of them, whatever session it is in."""
        for pid in self.left():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def close(self) -> int:
        """Kills what is left; returns the exit code of the process that was started, or minus the signal that ended it.

        One that may not be signalled, or that hangs in the kernel, is left behind.
        """
        for _ in range(_KILLS):  # what is started in the meantime is found the next time
            self.end(signal.SIGKILL)
            if not self.left():
                break
            time.sleep(_PAUSE_SECONDS)
        return self._process.wait()

    def _is_one(self, pid: int) -> bool:
        if pid == os.getpid():
            return False
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # After the name, which may hold anything: state, parent, group, session.
                fields = file.read().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                return False
            if int(fields[3]) == self._process.pid:
                return True
            with open(f"/proc/{pid}/environ", "rb") as file:
                return self._mark in file.read().split(b"\0")
        except (OSError, IndexError):  # gone in the meantime, or another user's
            return False


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
