"""How long a large file holds up whoever removes it, or takes its name: checkroom beside what the system calls do.

A small file takes the name, so that what is seen is the price of the old one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import checkroom
from checkroom._core import RetentionPolicy, Store

from save_methods import BLOCK_BYTES
from save_probes import Neighbour

Prepared = tuple[Callable[[], object], Callable[[], object]]
_OLD, _NEW = "old.ckpt", "new.ckpt"
_SMALL = b"\0" * 4096


@dataclass(frozen=True)
class Way:
    """One way to be rid of a large file.

    Args:
        key: Its name in the JSON.
        label: For a person.
        prepare: Makes what the act needs; gets the directory, returns the act and what waits for the blocks.
    """

    key: str
    label: str
    prepare: Callable[[Path], Prepared]


def _nothing() -> None:
    pass


def _unlink(directory: Path) -> Prepared:
    return (directory / _OLD).unlink, _nothing


def _rename_over(directory: Path) -> Prepared:
    (directory / _NEW).write_bytes(_SMALL)
    return lambda: os.replace(directory / _NEW, directory / _OLD), _nothing


def _store(directory: Path, durable: bool) -> Store:
    return Store(str(directory), RetentionPolicy(save_top_k=-1), durable=durable)


def _publish(name: str, durable: bool) -> Callable[[Path], Prepared]:
    def prepare(directory: Path) -> Prepared:
        store = _store(directory, durable)
        staged = store.stage(name)
        staged.write(_SMALL)
        return lambda: store.publish(staged, name), store.close

    return prepare


def _trash(durable: bool) -> Callable[[Path], Prepared]:
    def prepare(directory: Path) -> Prepared:
        store = _store(directory, durable)
        store.stage("x.ckpt").abandon()  # its folders are there, as in a run
        return lambda: store.trash(_OLD), store.close

    return prepare


def _save(name: str) -> Callable[[Path], Prepared]:
    def prepare(directory: Path) -> Prepared:
        return lambda: checkroom.save({}, directory / name), _nothing

    return prepare


WAYS = (
    Way("unlink", "unlink", _unlink),
    Way("rename_over", "rename over it", _rename_over),
    Way("publish_over", "Store.publish over it, durable=False", _publish(_OLD, False)),
    Way("publish_beside_durable", "Store.publish beside it", _publish(_NEW, True)),
    Way("publish_over_durable", "Store.publish over it", _publish(_OLD, True)),
    Way("trash", "Store.trash, durable=False", _trash(False)),
    Way("trash_durable", "Store.trash", _trash(True)),
    Way("save_beside", "checkroom.save beside it", _save(_NEW)),
    Way("save_over", "checkroom.save over it", _save(_OLD)),
)


def make_large(path: Path, size: int) -> None:
    """A file with blocks of its own that are on the disk, and of which nothing is in the page cache."""
    block = os.urandom(min(size, BLOCK_BYTES))
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remove_once(way: Way, directory: Path, size: int, neighbour: Neighbour, settle: float) -> dict[str, float]:
    """Seconds for which the caller is blocked, and until the blocks are back; a neighbour's worst fsync.

    Args:
        way: How it goes.
        directory: Where.
        size: Bytes of the file.
        neighbour: Who is asked.
        settle: Seconds of rest before and after.
    """
    make_large(directory / _OLD, size)
    act, wait = way.prepare(directory)
    time.sleep(settle)
    neighbour.begin()
    start = time.perf_counter()
    act()
    blocked = time.perf_counter() - start
    wait()
    returned = time.perf_counter() - start
    time.sleep(settle)  # the filesystem's own part comes with its next commit
    return {"blocked": blocked, "returned": returned, "neighbour": neighbour.end()["worst"]}
