"""What a save costs beside its time: memory, page cache, bytes written, disk at the peak, and what others feel of it.

It imports nothing heavy, because it is also the program of the neighbour: a process of its own, started by
:class:`Neighbour`, that appends to a file and fsyncs it every few milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

NEIGHBOUR_BYTES = 4096
NEIGHBOUR_SECONDS = 0.005
SAMPLE_SECONDS = 0.002
TICK_SECONDS = 0.001


def in_child(action: Callable[[], Any]) -> Any:
    """Runs an action in a forked process, which leaves this one as it was; returns what JSON keeps of its result."""
    sys.stdout.flush()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read_end)
            with os.fdopen(write_end, "w") as answer:
                json.dump(action(), answer)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("a measuring process failed; what it said stands above")
    return json.loads(text)


# ---------------------------------------------------------------- this process


def _status(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def extra_memory(small: Callable[[], None], action: Callable[[], None]) -> int:
    """Most bytes resident during an action, less those before; call it in a process that has not done it yet.

    The small one before it brings the code into memory; what it leaves allocated counts.
    """
    anonymous = _status("RssAnon")
    small()
    left = max(0, _status("RssAnon") - anonymous)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    before = _status("VmRSS")
    action()
    return _status("VmHWM") - before + left


def written_bytes() -> int:
    """Bytes that this process has caused to be written to disks so far, those in the page cache included."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/io has no write_bytes")


class Pauses:
    """A Python thread that wants to run every millisecond, and notes how long it had to wait at the most."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Pauses:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.perf_counter()
        while not self._over.is_set():
            time.sleep(TICK_SECONDS)
            now = time.perf_counter()
            self.worst = max(self.worst, now - before)
            before = now


# ---------------------------------------------------------------- files


def cached_bytes(directory: Path) -> int:
    """Bytes of the files below a directory that are in the page cache."""
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    total = 0
    for path in directory.rglob("*"):
        size = path.stat().st_size if path.is_file() else 0
        if size == 0:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as memory:
            pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            start = ctypes.c_char.from_buffer(memory)
            failed = mincore(ctypes.addressof(start), size, pages)
            del start  # the mapping cannot be closed while it is pointed at
            if failed:
                raise OSError(ctypes.get_errno(), "mincore", str(path))
            total += sum(page & 1 for page in pages) * mmap.PAGESIZE
    return total


def disk_bytes(directory: str) -> int:
    """Blocks of all that lies below a directory, each file once, those that are only reserved included."""
    seen: dict[int, int] = {}
    folders = [directory]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    seen[status.st_ino] = status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue  # renamed or removed meanwhile: the next look sees it where it is
    return sum(seen.values())


# ---------------------------------------------------------------- the neighbour


class Neighbour:
    """Another process on the same filesystem: how long do its fsyncs take, and how full does a directory get?

    Args:
        file: What it appends to.
        watched: The directory.
    """

    def __init__(self, file: Path, watched: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", __file__, str(file), str(watched)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def begin(self) -> None:
        """From now on it notes."""
        self._ask("begin")

    def end(self) -> dict[str, Any]:
        """``worst`` and ``median`` seconds of an fsync, how many (``fsyncs``), ``peak_bytes`` over the beginning."""
        return self._ask("end")


def _be_neighbour(file: str, watched: str) -> None:
    took: list[float] = []
    peak = [0, 0]  # at the beginning, at the most

    def sample() -> None:
        while True:
            peak[1] = max(peak[1], disk_bytes(watched))
            time.sleep(SAMPLE_SECONDS)

    threading.Thread(target=sample, daemon=True).start()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    block = b"\0" * NEIGHBOUR_BYTES
    while True:
        if select.select([0], [], [], NEIGHBOUR_SECONDS)[0]:
            word = os.read(0, 64).decode().strip()
            if not word:
                return
            now = disk_bytes(watched)
            if word == "begin":
                os.ftruncate(descriptor, 0)
                os.fsync(descriptor)
                took.clear()
                peak[:] = now, now
                print("{}", flush=True)
            else:
                worst, middle = (max(took), sorted(took)[len(took) // 2]) if took else (0.0, 0.0)
                most = max(peak[1], now) - peak[0]
                told = {"worst": worst, "median": middle, "fsyncs": len(took), "peak_bytes": most}
                print(json.dumps(told), flush=True)
            continue
        os.write(descriptor, block)
        start = time.perf_counter()
        os.fsync(descriptor)
        took.append(time.perf_counter() - start)


if __name__ == "__main__":
    _be_neighbour(*sys.argv[1:])
