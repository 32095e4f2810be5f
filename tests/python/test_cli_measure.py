"""What is measured on a disk: trees, free space, and the split of files."""

from __future__ import annotations

import errno
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, ContextManager

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._measure import Tree, free_bytes, measure_tree, size_or_tree, split
from checkroom.cli._values import Given


def test_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "b").write_bytes(b"x" * 50)
    (tmp_path / "empty").write_bytes(b"")
    assert measure_tree(tmp_path, "--dataset") == Tree(150, 3)
    assert Tree(150, 3).mean_bytes == 50
    assert measure_tree(tmp_path / "a", "--dataset") == Tree(100, 1)


def test_links_and_names(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a").write_bytes(b"x" * 100)
    os.link(folder / "a", folder / "b")  # two names of one file: its bytes count once
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c").write_bytes(b"x" * 7)
    (folder / "c").symlink_to(tmp_path / "elsewhere" / "c")
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")  # not followed
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert measure_tree(folder, "--dataset") == Tree(107, 3)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if os.path.basename(path) == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CommandError, match="closed': permission denied"):
        measure_tree(tmp_path, "--dataset")


def test_there_must_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "dangling").symlink_to("nowhere")
    with pytest.raises(CommandError, match=f"^--dataset: no file in '{tmp_path}' \\(give another folder"):
        measure_tree(tmp_path, "--dataset")


def test_a_pipe_and_a_device_are_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(CommandError, match=f"^--dataset: neither a file nor a folder: '{path}' \\(give a size"):
            measure_tree(path, "--dataset")


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(CommandError, match="loop': too many levels of symbolic links"):
        size_or_tree(Given(str(tmp_path / "loop"), "--dataset"))
    with pytest.raises(CommandError, match="gone': no such file or directory"):
        size_or_tree(Given(str(tmp_path / "gone"), "--dataset"))
    with pytest.raises(CommandError, match="cannot measure '.*': file name too long"):
        size_or_tree(Given("x" * 300, "--dataset"))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"d\xff")
    os.mkdir(folder)
    with open(os.path.join(folder, b"\xfe"), "wb") as file:
        file.write(b"abc")
    assert size_or_tree(Given(os.fsdecode(folder), "--dataset")) == Tree(3, 1)
    assert free_bytes(Given(os.fsdecode(folder), "--free"))[1] == os.fsdecode(folder)


def test_what_others_keep_to_themselves(open_path: Path, nobody: Callable[[], ContextManager[None]]) -> None:
    closed = open_path / "closed"
    (closed / "in").mkdir(parents=True)
    (closed / "in" / "a").write_bytes(b"x")
    closed.chmod(0)
    with nobody():
        with pytest.raises(CommandError, match=f"^--dataset: cannot measure '{closed}': permission denied"):
            size_or_tree(Given(str(closed), "--dataset"))
        for measure in (size_or_tree, free_bytes):  # not "does not exist": who knows
            with pytest.raises(CommandError, match=f"^--here: cannot measure '{closed}/in': permission denied"):
                measure(Given(str(closed / "in"), "--here"))
    closed.chmod(0o700)
    assert size_or_tree(Given(str(closed), "--dataset")) == Tree(1, 1)


def test_a_path_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"^--dataset: cannot measure '{tmp_path}/no': no such file"):
        measure_tree(tmp_path / "no", "--dataset")


def test_size_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "500M").write_bytes(b"x")
    assert size_or_tree(Given("500M", "--dataset")) == Tree(500_000_000)
    assert size_or_tree(Given("./500M", "--dataset")) == Tree(1, 1)
    assert size_or_tree(Given("500M", "--dataset", tmp_path)) == Tree(500_000_000)
    assert size_or_tree(Given(42, "run.toml: dataset")) == Tree(42)
    (tmp_path / "7 up").mkdir()
    (tmp_path / "7 up" / "a").write_bytes(b"xyz")
    assert size_or_tree(Given("7 up", "--dataset")) == Tree(3, 1)
    assert Tree(0, 0).mean_bytes is None


@pytest.mark.parametrize(
    ("value", "said"),
    [("nope", "neither a size nor a path that exists: 'nope'"), ("5XB", "unknown unit 'XB'"),
     ("5/nope", "neither a size nor a path"), (True, "not a size: 'true'"), ("", "not a size: ''")],
)
def test_neither(value: object, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        size_or_tree(Given(value, "--dataset"))
    assert str(caught.value).startswith("--dataset: ") and said in str(caught.value)


def test_free(tmp_path: Path) -> None:
    assert free_bytes(Given("50GB", "--free")) == (50_000_000_000, None)
    measured, path = free_bytes(Given(str(tmp_path), "--free"))
    status = os.statvfs(tmp_path)
    assert path == str(tmp_path)
    assert measured is not None
    assert free_bytes(Given(os.path.relpath(tmp_path), "--free"))[1] == str(tmp_path)
    assert abs(measured - status.f_bavail * status.f_frsize) < 10**9  # others write meanwhile
    with pytest.raises(CommandError, match="neither a size nor a path"):
        free_bytes(Given(str(tmp_path / "no"), "--free"))


@pytest.mark.parametrize(
    ("files", "fraction", "parts"),
    [(231, "0.2", (185, 46)), (100, "0.29", (71, 29)), (1, "0.5", (1, 0)), (0, "0.2", (0, 0)), (10, "0", (10, 0))],
)
def test_split(files: int, fraction: str, parts: tuple[int, int]) -> None:
    assert split(files, Decimal(fraction)) == parts


@pytest.mark.parametrize("files", [7, 231, 1000])
def test_split_is_that_of_pytorch(files: int) -> None:
    data = pytest.importorskip("torch.utils.data")
    train, validation = data.random_split(range(files), [0.8, 0.2])
    assert split(files, Decimal("0.2")) == (len(train), len(validation))
