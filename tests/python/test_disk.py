"""Free space and staged files as Python sees them."""

from __future__ import annotations

import array
import io
import os
import stat
import threading
import time
from pathlib import Path

import pytest

import checkroom
from checkroom._core import FreeSpace, RetentionPolicy, StagedFile, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run"), RetentionPolicy(save_top_k=1))


def test_free_space_agrees_with_statvfs(tmp_path: Path) -> None:
    space = checkroom.free_space(tmp_path)
    expected = os.statvfs(tmp_path)
    assert space.total == expected.f_blocks * expected.f_frsize
    assert space.available is not None and space.free is not None
    assert abs(space.available - expected.f_bavail * expected.f_frsize) < 10**9  # others write meanwhile
    assert space.path == str(tmp_path)
    major_minor = os.stat(tmp_path).st_dev
    assert space.device == f"{os.major(major_minor)}:{os.minor(major_minor)}"


def test_free_space_of_a_path_to_be_asks_its_parent(tmp_path: Path) -> None:
    assert checkroom.free_space(str(tmp_path / "not/yet/there")).path == str(tmp_path)


def test_free_space_of_a_path_that_is_no_utf8(tmp_path: Path) -> None:
    odd = os.path.join(os.fsencode(tmp_path), b"run-\xff")
    os.mkdir(odd)
    for path in (odd, os.fsdecode(odd), Path(os.fsdecode(odd))):
        space = checkroom.free_space(path)
        assert space.path == os.fsdecode(odd)
        assert repr(space).startswith(f"FreeSpace(path={space.path!r}, ")
    with pytest.raises(OSError) as caught:
        checkroom.free_space(odd + b"/" + b"\xfe" * 300)
    assert caught.value.filename == os.fsdecode(odd + b"/" + b"\xfe" * 300)


def test_free_space_is_frozen_and_readable(tmp_path: Path) -> None:
    space = checkroom.free_space(tmp_path)
    with pytest.raises(AttributeError):
        space.available = 0  # type: ignore[misc]
    assert repr(space).startswith(f"FreeSpace(path={str(tmp_path)!r}, available=")
    assert space.minus_floor(0) == space.available
    assert space.minus_floor(2**62) == 0


def test_free_space_is_made_by_the_core_only() -> None:
    with pytest.raises(TypeError):
        FreeSpace()
    with pytest.raises(TypeError):
        StagedFile()
    with pytest.raises(ValueError):
        checkroom.free_space("")
    with pytest.raises(TypeError):
        checkroom.free_space(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x02\x03\x04\x05\x06\x07\x08",
        bytearray(b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        memoryview(b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        array.array("B", [1, 2, 3, 4, 5, 6, 7, 8]),
        array.array("d", [5.447603722011605e-270]),
        memoryview(array.array("H", [0x0201, 0x0403, 0x0605, 0x0807])).cast("B"),
        memoryview(array.array("H", [0x0201, 0x0403, 0x0605, 0x0807])),
    ],
    ids=lambda data: f"{type(data).__name__}-{memoryview(data).format}",
)
def test_write_takes_any_contiguous_buffer(store: Store, data: bytes) -> None:
    staged = store.stage("a.ckpt")
    assert staged.write(data) == 8
    assert staged.bytes_written == 8
    assert store.publish(staged, "a.ckpt") == 8
    assert Path(store.directory, "a.ckpt").read_bytes() == b"\x01\x02\x03\x04\x05\x06\x07\x08"


def test_write_refuses_what_is_no_contiguous_buffer(store: Store) -> None:
    staged = store.stage("a.ckpt")
    with pytest.raises(TypeError):
        staged.write("text")  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        staged.write(memoryview(b"12345678")[::2])
    assert staged.write(b"") == 0
    assert staged.bytes_written == 0


def test_it_is_a_file_object(store: Store) -> None:
    staged = store.stage("a.ckpt")
    staged.write(b"0123456789")
    staged.flush()
    assert staged.tell() == 10
    assert staged.seek(2) == 2
    staged.write(b"XY")
    assert staged.seek(-1, io.SEEK_CUR) == 3
    assert staged.seek(-2, io.SEEK_END) == 8
    staged.write(b"Z")
    for offset, whence in ((-1, 0), (-100, 1), (0, 3)):
        with pytest.raises(ValueError):
            staged.seek(offset, whence)
    store.publish(staged, "a.ckpt")
    assert Path(store.directory, "a.ckpt").read_bytes() == b"01XY4567Z9"


def test_torch_save_writes_into_it(store: Store) -> None:
    torch = pytest.importorskip("torch")
    state = {"weight": torch.arange(10_000, dtype=torch.float32), "epoch": 3}
    staged = store.stage("a.ckpt")
    torch.save(state, staged)
    store.publish(staged, "a.ckpt")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    assert Path(store.directory, "a.ckpt").read_bytes() == buffer.getvalue()


def test_the_mode_is_what_the_umask_says(store: Store) -> None:
    before = os.umask(0o027)
    try:
        staged = store.stage("a.ckpt")
        store.publish(staged, "a.ckpt")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(Path(store.directory, "a.ckpt")).st_mode) == 0o640


def test_a_reservation_takes_blocks_and_publishing_gives_the_rest_back(store: Store) -> None:
    staged = store.stage("a.ckpt")
    assert not staged.reserved
    staged.reserve(4 * 2**20)
    if not staged.reserved:
        pytest.skip("privilege: this filesystem has no fallocate")
    assert os.stat(staged.path).st_blocks * 512 >= 4 * 2**20
    staged.write(b"x")
    store.publish(staged, "a.ckpt")
    assert os.stat(Path(store.directory, "a.ckpt")).st_blocks * 512 < 2**20
    with pytest.raises(ValueError):
        store.stage("b.ckpt").reserve(-1)


def test_dropping_it_removes_it(store: Store) -> None:
    staged = store.stage("a.ckpt")
    path = staged.path
    assert os.path.exists(path) and os.path.basename(path).startswith("a.ckpt.")
    del staged
    assert not os.path.exists(path)


def test_after_the_end_every_call_raises(store: Store) -> None:
    published = store.stage("a.ckpt")
    store.publish(published, "a.ckpt")
    published.abandon()
    abandoned = store.stage("b.ckpt")
    abandoned.abandon()
    for staged in (published, abandoned):
        with pytest.raises(ValueError):
            staged.write(b"x")
        with pytest.raises(ValueError):
            store.publish(staged, "c.ckpt")
    assert Path(store.directory, "a.ckpt").exists()


def test_other_threads_run_while_it_writes(store: Store) -> None:
    staged = store.stage("a.ckpt")
    block = bytes(64 * 2**20)
    running = threading.Event()
    pauses: list[float] = []

    def tick() -> None:
        last = time.monotonic()
        while running.is_set():
            time.sleep(0)
            now = time.monotonic()
            pauses.append(now - last)
            last = now

    running.set()
    thread = threading.Thread(target=tick)
    thread.start()
    started = time.monotonic()
    staged.write(block)
    store.publish(staged, "a.ckpt")
    took = time.monotonic() - started
    running.clear()
    thread.join()
    assert len(pauses) > 10
    assert max(pauses) < max(0.5 * took, 0.1)


def test_it_takes_turns_between_threads(store: Store) -> None:
    staged = store.stage("a.ckpt")
    threads = [threading.Thread(target=lambda: [staged.write(b"x" * 1000) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.publish(staged, "a.ckpt") == 200_000
