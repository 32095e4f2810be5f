"""``last`` on filesystems with and without reflinks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checkroom._core import Item, RetentionPolicy, Store, free_space

MB = 1_000_000
SIZE = 8 * MB
MakeFilesystem = Callable[[str, int], Path]


def publish(store: Store, name: str, score: float) -> list[tuple[str, str]]:
    staged = store.stage(name)
    staged.reserve(SIZE)
    staged.write(os.urandom(SIZE))  # so that nothing is compressed or deduplicated
    store.publish(staged, name)
    return store.commit(Item(name, SIZE, scores={"val_loss": score}))


def free(folder: Path) -> int:
    os.sync()
    space = free_space(str(folder)).free
    assert space is not None
    return space


@pytest.mark.parametrize(
    ("kind", "expected"), [("xfs", "reflink"), ("btrfs", "reflink"), ("ext4", "link"), ("tmpfs", "link")]
)
def test_last_costs_no_second_file(small_filesystem: MakeFilesystem, kind: str, expected: str) -> None:
    folder = small_filesystem(kind, 64 * MB)
    store = Store(str(folder), RetentionPolicy(save_top_k=1, monitor="val_loss"))
    publish(store, "a.ckpt", 0.5)
    before = free(folder)
    assert store.link_last("a.ckpt", "last.ckpt") == expected
    assert before - free(folder) < MB
    assert (folder / "last.ckpt").read_bytes() == (folder / "a.ckpt").read_bytes()
    assert store.used_bytes() == SIZE
    assert [name for name, _ in store.foreign() if name != "lost+found"] == []
    assert os.path.samefile(folder / "a.ckpt", folder / "last.ckpt") is (expected == "link")

    # While `last` shares its blocks, removing the file gives nothing back, and the store says so.
    [(gone, _)] = publish(store, "b.ckpt", 0.4)
    store.trash(gone)
    assert store.drain() < MB
    assert store.used_bytes() == 2 * SIZE
    # xfs lets go of a removed file's blocks a moment later: until then they look shared.
    deadline = time.monotonic() + 10
    while kind == "xfs" and free(folder) < before - SIZE - MB and time.monotonic() < deadline:
        time.sleep(0.05)
    store.link_last("b.ckpt", "last.ckpt")
    assert store.drain() >= SIZE
    assert store.used_bytes() == SIZE
    store.close()


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_reflink_does_not_carry_an_edit_over(small_filesystem: MakeFilesystem, kind: str) -> None:
    folder = small_filesystem(kind, 64 * MB)
    store = Store(str(folder), RetentionPolicy(save_top_k=1))
    publish(store, "a.ckpt", 0.5)
    before = (folder / "a.ckpt").read_bytes()
    store.link_last("a.ckpt", "last.ckpt")
    with open(folder / "last.ckpt", "r+b") as file:
        file.write(b"edited in place")
    assert (folder / "a.ckpt").read_bytes() == before
    store.close()


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_a_copy_has_blocks_of_its_own(small_filesystem: MakeFilesystem, kind: str) -> None:
    folder = small_filesystem(kind, 64 * MB)
    store = Store(str(folder), RetentionPolicy(save_top_k=1), last_as="copy")
    publish(store, "a.ckpt", 0.5)
    before = free(folder)
    assert store.link_last("a.ckpt", "last.ckpt") == "copy"
    assert before - free(folder) >= SIZE
    assert store.used_bytes() == 2 * SIZE
    assert (folder / "last.ckpt").read_bytes() == (folder / "a.ckpt").read_bytes()
    store.close()
