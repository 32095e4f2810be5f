"""Staged files and the store on a disk that is really full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from checkroom import DiskFullError
from checkroom._core import Item, RetentionPolicy, Store, free_space

MB = 1_000_000
KINDS = ["tmpfs", "ext4", "xfs", "btrfs"]
POLICY = RetentionPolicy(save_top_k=2, monitor="val_loss")
MakeFilesystem = Callable[[str, int], Path]


def available(folder: Path) -> int:
    """What is free once everything that waits is written out."""
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    os.sync()
    space = free_space(str(folder)).available
    assert space is not None
    return space


def fill(folder: Path, leave: int) -> Path:
    """Somebody else fills the disk: all but ``leave`` bytes of it."""
    path = folder / "somebody-elses.bin"
    with open(path, "wb") as file:
        while (more := available(folder) - leave) > 2**16:
            try:
                os.write(file.fileno(), b"x" * min(more, 4 * 2**20))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                break
    return path


def item(name: str, score: float, size: int) -> Item:
    return Item(name, size, scores={"val_loss": score})


def save(store: Store, name: str, score: float, size: int, *, reserve: bool = True) -> list[str]:
    """One save, as the callback does it; names that left."""
    candidate = item(name, score, size)
    plan = store.plan_save(candidate)
    assert plan.wanted and plan.admission is not None
    if plan.admission.verdict == "refuse":
        raise DiskFullError(need=plan.admission.need, have=plan.admission.have, limit=plan.admission.limit)
    gone = store.make_room(plan)
    staged = store.stage(name)
    if reserve:
        staged.reserve(size)
    for start in range(0, size, MB):
        staged.write(name[:1].encode() * min(MB, size - start))
    store.publish(staged, name)
    removals = store.commit(candidate)
    store.link_last(name, "last.ckpt")
    for removed, _ in removals:
        store.trash(removed)
    store.drain()
    return [removed for removed, _ in (*gone, *removals)]


def whole(path: Path, size: int) -> bool:
    return path.read_bytes() == path.name[:1].encode() * size


# Never on a filesystem that others use: on ext4 a reservation that fails holds the whole disk for a moment.
@pytest.mark.parametrize("kind", KINDS)
def test_a_reservation_that_fails_leaves_not_one_block(small_filesystem: MakeFilesystem, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    store = Store(str(folder), POLICY)
    save(store, "a.ckpt", 0.5, MB)
    before = available(folder)
    staged = store.stage("b.ckpt")
    with pytest.raises(DiskFullError) as caught:
        staged.reserve(before + 8 * MB)
    error = caught.value
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC
    assert error.need == before + 8 * MB
    assert error.have is not None and abs(error.have - before) < MB
    assert error.short_by == error.need - error.have
    assert error.limit == "filesystem"
    assert os.listdir(folder / ".checkroom/staging") == []
    assert available(folder) == before
    with pytest.raises(DiskFullError):
        staged.write(b"x")
    assert whole(folder / "a.ckpt", MB)
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_fails_leaves_not_one_block(small_filesystem: MakeFilesystem, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    store = Store(str(folder), POLICY)
    save(store, "a.ckpt", 0.5, MB)
    filler = fill(folder, 4 * MB)
    before = available(folder)
    staged = store.stage("b.ckpt")  # nothing reserved: the disk fills up in the middle
    with pytest.raises(DiskFullError) as caught:
        for _ in range(before // MB + 64):
            staged.write(b"b" * MB)
        store.publish(staged, "b.ckpt")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.need is not None and caught.value.have is not None
    assert not (folder / "b.ckpt").exists()
    assert os.listdir(folder / ".checkroom/staging") == []
    # btrfs gives a block of its own metadata back later.
    assert abs(available(folder) - before) <= (MB if kind == "btrfs" else 0)
    assert whole(folder / "a.ckpt", MB)
    filler.unlink()
    save(store, "b.ckpt", 0.4, 4 * MB)
    assert whole(folder / "b.ckpt", 4 * MB)
    store.close()


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs"])
def test_on_a_full_disk_what_was_reserved_is_published_linked_and_pruned(
    small_filesystem: MakeFilesystem, kind: str
) -> None:
    folder = small_filesystem(kind, 32 * MB)
    store = Store(str(folder), RetentionPolicy(save_top_k=1, monitor="val_loss"), last_as="link")
    save(store, "a.ckpt", 0.5, 4 * MB)
    staged = store.stage("b.ckpt")
    staged.reserve(4 * MB)
    assert staged.reserved
    fill(folder, 0)
    staged.write(b"b" * (4 * MB))
    assert store.publish(staged, "b.ckpt") == 4 * MB
    removals = store.commit(item("b.ckpt", 0.4, 4 * MB))
    assert store.link_last("b.ckpt", "last.ckpt") == "link"
    assert [name for name, _ in removals] == ["a.ckpt"]
    store.trash("a.ckpt")
    assert store.drain() >= 4 * MB
    assert whole(folder / "b.ckpt", 4 * MB)
    assert (folder / "last.ckpt").read_bytes() == (folder / "b.ckpt").read_bytes()
    assert available(folder) >= 3 * MB
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_displaced_goes_first_when_only_then_the_file_fits(
    small_filesystem: MakeFilesystem, kind: str
) -> None:
    folder = small_filesystem(kind, 48 * MB)
    store = Store(str(folder), POLICY)
    save(store, "a.ckpt", 0.5, 6 * MB)
    save(store, "b.ckpt", 0.4, 6 * MB)
    fill(folder, 2 * MB)
    plan = store.plan_save(item("c.ckpt", 0.3, 6 * MB))
    assert plan.admission is not None and plan.admission.verdict == "prune_first"
    assert [name for name, _ in plan.removes_first] == ["a.ckpt"]
    assert save(store, "c.ckpt", 0.3, 6 * MB) == ["a.ckpt"]
    assert whole(folder / "b.ckpt", 6 * MB) and whole(folder / "c.ckpt", 6 * MB)
    assert (folder / "last.ckpt").read_bytes() == (folder / "c.ckpt").read_bytes()
    # A file that displaces nothing but the best has nothing that may go: refused, all stays.
    plan = store.plan_save(item("d.ckpt", 0.2, 16 * MB))
    assert plan.admission is not None and plan.admission.verdict == "refuse"
    assert sorted(path.name for path in folder.glob("*.ckpt")) == ["b.ckpt", "c.ckpt", "last.ckpt"]
    store.close()


@pytest.mark.parametrize("kind", ["ext4"])
def test_without_inodes_it_refuses(small_filesystem: MakeFilesystem, kind: str) -> None:
    folder = small_filesystem(kind, 32 * MB)
    store = Store(str(folder), POLICY)
    save(store, "a.ckpt", 0.5, MB)
    crowd = folder / "crowd"
    crowd.mkdir()
    with pytest.raises(OSError):
        for number in range(100_000):
            (crowd / str(number)).touch()
    plan = store.plan_save(item("b.ckpt", 0.4, MB))
    assert plan.admission is not None
    assert (plan.admission.verdict, plan.admission.limit) == ("refuse", "inodes")
    with pytest.raises(DiskFullError):
        store.stage("b.ckpt")
    assert whole(folder / "a.ckpt", MB)
    store.close()
