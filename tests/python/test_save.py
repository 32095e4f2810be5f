"""checkroom.save: the bytes of torch.save, or nothing."""

from __future__ import annotations

import errno
import io
import os
import pickle
import stat

import pytest

torch = pytest.importorskip("torch")

import checkroom  # noqa: E402
from checkroom import _save  # noqa: E402


def weights():
    return {"w": torch.arange(5000.0), "b": torch.ones(3, dtype=torch.bfloat16), "epoch": 3}


def plain(obj):
    file = io.BytesIO()
    torch.save(obj, file)
    return file.getvalue()


def visible(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def staged_files(folder):
    found = []
    for root, _, names in os.walk(folder / ".checkroom"):
        found += [name for name in names if os.path.getsize(os.path.join(root, name)) > 1000]
    return found


def test_the_file_is_that_of_torch_save(tmp_path):
    path = tmp_path / "a.ckpt"
    receipt = checkroom.save(weights(), path)
    assert path.read_bytes() == plain(weights())
    assert (receipt.path, receipt.bytes, receipt.durable) == (str(path), path.stat().st_size, True)
    assert receipt.seconds > 0
    assert torch.equal(torch.load(path)["w"], torch.arange(5000.0))
    assert visible(tmp_path) == ["a.ckpt"]


def test_the_umask_decides_the_mode(tmp_path):
    before = os.umask(0o027)
    try:
        checkroom.save(weights(), tmp_path / "a.ckpt")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a.ckpt").st_mode) == 0o640


def test_an_existing_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    os.link(path, tmp_path / "twin")
    checkroom.save(weights(), str(path), durable=False)
    assert path.read_bytes() == plain(weights())
    assert (tmp_path / "twin").read_bytes() == b"old"
    monkeypatch.chdir(tmp_path)
    assert checkroom.save({}, "a.ckpt").path == str(path)


def test_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"best")
    (tmp_path / "last.ckpt").symlink_to("best.ckpt")
    checkroom.save(weights(), tmp_path / "last.ckpt")
    assert (tmp_path / "best.ckpt").read_bytes() == b"best"
    assert not (tmp_path / "last.ckpt").is_symlink()


@pytest.mark.parametrize("obj", [{"w": torch.ones(3000), "f": lambda: None}, {"f": lambda: None}])
def test_what_cannot_be_pickled_leaves_the_old_file(tmp_path, obj):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        checkroom.save(obj, path)
    assert path.read_bytes() == b"old"
    assert staged_files(tmp_path) == []


def test_a_disk_that_fails_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"old")
    original = _save.save_into

    class Failing:
        def __init__(self, staged):
            self.staged, self.calls = staged, 0

        def write(self, data):
            self.calls += 1
            if self.calls > 3:
                raise OSError(errno.EIO, "the disk is gone", str(path))
            return self.staged.write(data)

        def flush(self):
            self.staged.flush()

    monkeypatch.setattr(_save, "save_into", lambda obj, staged, on_size: original(obj, Failing(staged), on_size=on_size))
    with pytest.raises(OSError, match="the disk is gone") as caught:
        checkroom.save(weights(), path)
    assert caught.value.errno == errno.EIO
    assert path.read_bytes() == b"old"
    assert staged_files(tmp_path) == []


def test_no_room_is_known_before_the_first_byte(tmp_path):
    space = os.statvfs(tmp_path)
    try:
        # Address space alone: no page of it is touched, because the save ends before it reads one.
        tensor = torch.empty(space.f_bavail * space.f_frsize + (1 << 30), dtype=torch.uint8)
    except RuntimeError:
        pytest.skip("the disk is larger than the address space")
    with pytest.raises(checkroom.DiskFullError) as caught:
        checkroom.save({"w": tensor}, tmp_path / "a.ckpt")
    assert caught.value.errno == errno.ENOSPC
    assert visible(tmp_path) == []
    assert staged_files(tmp_path) == []


def test_wrong_paths(tmp_path):
    with pytest.raises(IsADirectoryError):
        checkroom.save({}, tmp_path)
    with pytest.raises(FileNotFoundError):
        checkroom.save({}, tmp_path / "missing" / "a.ckpt")
    assert not (tmp_path / "missing").exists()
