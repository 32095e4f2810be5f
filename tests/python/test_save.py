"""``checkroom.save`` beside ``torch.save``."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import checkroom  # noqa: E402


def as_torch_writes(obj: Any) -> bytes:
    file = io.BytesIO()
    torch.save(obj, file)
    return file.getvalue()


def test_the_bytes_are_those_of_torch_save(tmp_path: Path) -> None:
    shared = torch.arange(1000.0)
    obj = {"a": shared, "b": shared[10:20], "c": torch.nn.Linear(3, 2).state_dict(), "n": 5}
    path = tmp_path / "deep" / "x.ckpt"
    receipt = checkroom.save(obj, path)
    assert path.read_bytes() == as_torch_writes(obj)
    assert receipt.bytes == path.stat().st_size and receipt.path == str(path) and receipt.durable
    assert os.listdir(path.parent) == ["x.ckpt"]


@pytest.mark.parametrize("form", [bytes, os.fsdecode, lambda path: Path(os.fsdecode(path))], ids=["b", "str", "Path"])
def test_a_path_that_is_no_utf8(tmp_path: Path, form: Callable[[bytes], Any]) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"run-\xff", b"odd-\xfe.ckpt")
    receipt = checkroom.save({"n": 3}, form(path))
    assert receipt.path == os.fsdecode(path)
    with open(path, "rb") as file:
        assert file.read() == as_torch_writes({"n": 3})
    assert os.listdir(os.path.dirname(path)) == [b"odd-\xfe.ckpt"]
    with pytest.raises(OSError) as caught:
        checkroom.save({}, form(path + b"/under-a-file"))
    assert caught.value.filename == os.fsdecode(path)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_is_what_the_umask_says(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        checkroom.save({}, tmp_path / "x.ckpt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.ckpt").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("durable", [True, False])
def test_an_existing_file_is_replaced_as_a_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "x.ckpt"
    checkroom.save({"n": 1}, path, durable=durable)
    other_name = tmp_path / "y.ckpt"
    os.link(path, other_name)
    checkroom.save({"n": 2}, path, durable=durable)
    assert torch.load(path)["n"] == 2
    assert torch.load(other_name)["n"] == 1  # another name of the old file never notices


def test_what_cannot_be_pickled_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    checkroom.save({"n": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        checkroom.save({"n": lambda: None}, path)
    assert torch.load(path)["n"] == 1
    assert os.listdir(tmp_path) == ["x.ckpt"]


def test_a_directory_in_the_way_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"")
    with pytest.raises(OSError):
        checkroom.save({}, tmp_path / "x.ckpt" / "y.ckpt")
