"""kill -9 at random points of a run that saves, and at every system call of one save: what is published is whole,
what is left behind is cleaned up.

The files are archives of several blocks, so that the thread that writes them is struck as well. Each system call of one
save is struck in turn with CHECKROOM_FULL in the environment, otherwise a sample of them.
"""

from __future__ import annotations

import collections
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from checkroom._core import ArchiveCheck, Item, RetentionPolicy, Store, archive_size

FULL = bool(os.environ.get("CHECKROOM_FULL"))
KILLS = 200 if FULL else 20
STRUCK_CALLS = None if FULL else 20
RECORD, RECORDS = 3_000_000, 4
SIZE = archive_size(
    [*((f"data/{i}", RECORD) for i in range(RECORDS)), ("version", 2), ("byteorder", 6), (".data/serialization_id", 40)]
)

# What both kinds of children do for one save.
SAVE = """
import sys
from checkroom._core import ArchiveWriter, Item, RetentionPolicy, Store

folder, first, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
record, records = int(sys.argv[4]), int(sys.argv[5])
store = Store(folder, RetentionPolicy(save_top_k=2, monitor="val_loss"))

def save(number):
    name = f"{number}.ckpt"
    item = Item(name, size, scores={"val_loss": 1 / (1 + number)})
    store.make_room(store.plan_save(item))
    staged = store.stage(name)
    staged.reserve(size)
    writer = ArchiveWriter(staged)
    block = (f"{number:09d}\\n" * (record // 10)).encode()
    for index in range(records):
        writer.write(f"data/{index}", block)
    assert writer.finish() == size
    store.publish(staged, name, check="structure")
    removals = store.commit(item)
    store.link_last(name, "last.ckpt")
    print(number, flush=True)  # acknowledged
    for gone, _ in removals:
        store.trash(gone)
"""

# Saves in a loop, each file better than all before; says when it is under way and what it acknowledged.
CHILD = SAVE + """
known = [Item(name, size, scores={"val_loss": 1 / (1 + int(name[:-5]))}) for name in sys.argv[6:]]
for name, _ in store.adopt(known, last=known[-1].name if known else None).removes:
    store.trash(name)
print("ready", flush=True)
for number in range(first, first + 100_000):
    save(number)
"""

# Two saves, and a third one as soon as it is told to.
CHILD_OF_ONE = SAVE + """
store.adopt([])
save(1)
save(2)
print("ready", flush=True)
sys.stdin.readline()
save(3)
store.close()
"""


def start(child: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The child, once it is under way."""
    common = [str(SIZE), str(RECORD), str(RECORDS)]
    process = subprocess.Popen(
        [sys.executable, "-c", child, str(folder), arguments[0], *common, *arguments[1:]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    while (line := process.stdout.readline()) != "ready\n":
        assert line, "the child did not come up"
    return process


def number_in(path: Path) -> int:
    """The number that a whole checkpoint repeats from its first line to its last; fails when it is not whole."""
    assert path.stat().st_size == SIZE, f"{path.name} is partial: {path.stat().st_size} bytes"
    check = ArchiveCheck(path)
    while check.step():
        pass
    assert check.fault is None, f"{path.name} is damaged: {check.fault}"
    assert check.bytes > RECORD * RECORDS and check.has_checksums
    with zipfile.ZipFile(path) as archive, archive.open("archive/data/0") as record:
        return int(record.read(9))


def checkpoints(folder: Path) -> list[int]:
    """The numbers of the published checkpoints, each of them whole."""
    numbers = []
    for path in folder.glob("[0-9]*.ckpt"):
        assert number_in(path) == int(path.stem)
        numbers.append(int(path.stem))
    return sorted(numbers)


def go_on(folder: Path, numbers: list[int]) -> None:
    """What the next run does at its start; nothing of the dead one stays."""
    store = Store(str(folder), RetentionPolicy(save_top_k=2, monitor="val_loss"))
    plan = store.adopt(
        [Item(f"{number}.ckpt", SIZE, scores={"val_loss": 1 / (1 + number)}) for number in numbers],
        last=f"{numbers[-1]}.ckpt",
    )
    for name, _ in plan.removes:
        store.trash(name)
    store.close()
    assert os.listdir(folder / ".checkroom/staging") == []
    assert os.listdir(folder / ".checkroom/trash") == []
    assert checkpoints(folder) == numbers[-2:]


def test_kills_at_random_points(tmp_path: Path) -> None:
    generator = random.Random(7)
    staged_seen = 0
    acknowledged = -1
    numbers: list[int] = []
    for _ in range(KILLS):
        number = max([*numbers, acknowledged], default=-1) + 1
        child = start(CHILD, tmp_path, str(number), *(f"{number}.ckpt" for number in numbers))
        assert child.stdout is not None
        time.sleep(generator.uniform(0.001, 0.15))
        os.kill(child.pid, signal.SIGKILL)
        told = [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        assert child.wait() == -signal.SIGKILL
        acknowledged = max([acknowledged, *told])

        numbers = checkpoints(tmp_path)
        if acknowledged >= 0:
            assert numbers and max(numbers) >= acknowledged, "an acknowledged checkpoint is gone: it is the best"
            assert number_in(tmp_path / "last.ckpt") >= acknowledged
        staged = os.listdir(tmp_path / ".checkroom/staging")
        # One a run: the file of the run before may still wait for its removal when this one is struck.
        owners = [name.split(".")[-2].rpartition("-")[0] for name in staged]
        assert len(set(owners)) == len(owners), staged
        staged_seen += len(staged)

    go_on(tmp_path, numbers)
    assert staged_seen > 0, "no kill struck in the middle of a write: the test looks at nothing"


# Calls that touch files, and the birth of the thread that writes.
CALLS = "trace=%file,%desc,clone,clone3"


def traced(folder: Path, log: Path, *options: str) -> tuple[int, list[int]]:
    """One save under strace; the child's exit status and what it acknowledged."""
    child = start(CHILD_OF_ONE, folder, "0")
    assert child.stdin is not None and child.stdout is not None
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(child.pid), "-o", str(log), "-e", CALLS, *options],
        stderr=subprocess.PIPE, text=True,
    )
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        child.kill()
        child.wait()
        tracer.wait()
        pytest.skip(f"privilege: strace cannot attach: {said.strip()}")
    child.stdin.write("go\n")
    child.stdin.flush()
    told = [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    status = child.wait()
    tracer.wait()
    child.stdin.close()
    return status, told


def test_kills_at_every_system_call_of_a_save(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("privilege: strace is not installed")
    log = tmp_path / "calls"
    assert traced(tmp_path / "whole", log) == (0, [3])
    # strace counts each call of each thread by itself.
    counts: collections.Counter[tuple[str, str]] = collections.Counter(
        match.groups() for match in re.finditer(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE)  # type: ignore[misc]
    )
    most = {call: max(n for (_, name), n in counts.items() if name == call) for _, call in counts}
    assert {"pwrite64", "fsync", "rename", "fallocate"} <= set(most)
    points = [(call, n) for call in sorted(most) for n in range(1, most[call] + 1)]
    if STRUCK_CALLS is not None:
        points = random.Random(11).sample(points, min(STRUCK_CALLS, len(points)))

    killed = 0
    for call, n in points:
        folder = tmp_path / f"{call}-{n}"
        status, told = traced(folder, log, "-e", f"inject={call}:signal=SIGKILL:when={n}")
        struck = f"killed at {call} {n}"
        assert status in (0, -signal.SIGKILL), struck
        killed += status != 0
        numbers = checkpoints(folder)
        assert 2 in numbers, f"{struck}: the former best is gone"
        assert 1 in numbers or 3 in numbers, f"{struck}: pruned before its successor was there"
        assert number_in(folder / "last.ckpt") in ((3,) if told else (2, 3) if 3 in numbers else (2,)), struck
        assert 3 in numbers or not told, f"{struck}: what was acknowledged is gone"
        assert len(os.listdir(folder / ".checkroom/staging")) <= 1, struck
        go_on(folder, numbers)
        shutil.rmtree(folder)
    assert killed >= len(points) * 2 // 3, "most of them strike"


def test_a_live_writer_is_left_alone(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys\n"
         "from checkroom._core import RetentionPolicy, Store\n"
         "staged = Store(sys.argv[1], RetentionPolicy()).stage('a.ckpt')\n"
         "staged.write(b'half')\nprint('ready', flush=True)\nsys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "ready\n"
    other = Store(str(tmp_path), RetentionPolicy())
    other.adopt([])
    other.close()
    assert len(os.listdir(tmp_path / ".checkroom/staging")) == 1
    child.kill()
    child.wait()
    other = Store(str(tmp_path), RetentionPolicy())
    other.adopt([])
    other.close()
    assert os.listdir(tmp_path / ".checkroom/staging") == []
