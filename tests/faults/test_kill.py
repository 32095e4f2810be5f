"""kill -9 at random points of a run that saves: what is published is whole, what is left behind is cleaned up."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from checkroom._core import Item, RetentionPolicy, Store

KILLS = 200 if os.environ.get("CHECKROOM_FULL") else 20
SIZE = 3_000_000

# Saves in a loop, each file better than all before; says when it is under way and what it acknowledged.
CHILD = """
import sys
from checkroom._core import Item, RetentionPolicy, Store

folder, first, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = Store(folder, RetentionPolicy(save_top_k=2, monitor="val_loss"))
known = [Item(name, size, scores={"val_loss": 1 / (1 + int(name[:-5]))}) for name in sys.argv[4:]]
for name, _ in store.adopt(known, last=known[-1].name if known else None).removes:
    store.trash(name)
print("ready", flush=True)
for number in range(first, first + 100_000):
    name = f"{number}.ckpt"
    item = Item(name, size, scores={"val_loss": 1 / (1 + number)})
    store.make_room(store.plan_save(item))
    staged = store.stage(name)
    staged.reserve(size)
    block = (f"{number:09d}\\n" * (size // 40)).encode()
    for _ in range(4):
        staged.write(block)
    store.publish(staged, name)
    removals = store.commit(item)
    store.link_last(name, "last.ckpt")
    print(number, flush=True)  # acknowledged
    for gone, _ in removals:
        store.trash(gone)
"""


def number_in(path: Path) -> int:
    """The number that a whole checkpoint repeats from its first line to its last; fails when it is not whole."""
    data = path.read_bytes()
    assert len(data) == SIZE, f"{path.name} is partial: {len(data)} bytes"
    assert data == data[:10] * (SIZE // 10), f"{path.name} is torn"
    return int(data[:10])


def checkpoints(folder: Path) -> list[int]:
    """The numbers of the published checkpoints, each of them whole."""
    numbers = []
    for path in folder.glob("[0-9]*.ckpt"):
        assert number_in(path) == int(path.stem)
        numbers.append(int(path.stem))
    return sorted(numbers)


def test_kills_at_random_points(tmp_path: Path) -> None:
    generator = random.Random(7)
    staged_seen = 0
    acknowledged = -1
    numbers: list[int] = []
    for _ in range(KILLS):
        arguments = [str(tmp_path), str(max([*numbers, acknowledged], default=-1) + 1), str(SIZE)]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments, *(f"{number}.ckpt" for number in numbers)],
            stdout=subprocess.PIPE, text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
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

    store = Store(str(tmp_path), RetentionPolicy(save_top_k=2, monitor="val_loss"))
    plan = store.adopt(
        [Item(f"{number}.ckpt", SIZE, scores={"val_loss": 1 / (1 + number)}) for number in numbers],
        last=f"{numbers[-1]}.ckpt",
    )
    for name, _ in plan.removes:
        store.trash(name)
    store.close()
    assert os.listdir(tmp_path / ".checkroom/staging") == []
    assert os.listdir(tmp_path / ".checkroom/trash") == []
    assert checkpoints(tmp_path) == numbers[-2:]
    assert staged_seen > 0, "no kill struck in the middle of a write: the test looks at nothing"


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
