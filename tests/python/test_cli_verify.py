"""``checkroom verify``: what is damaged is named, whoever wrote it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from checkroom._core import ArchiveCheck  # noqa: E402
from checkroom.cli._app import run  # noqa: E402


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "epoch=1.ckpt"
    torch.save({"w": torch.arange(100_000), "b": torch.ones(3), "empty": torch.zeros(0)}, path)
    return path


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_whole_file(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(checkpoint)]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(rf"{checkpoint}: whole \(\d+ records, 800\.\d kB\)\n", said.out)
    assert said.err == ""


def test_a_flipped_byte_is_found_that_torch_load_does_not_see(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(checkpoint, 400_000)
    assert torch.load(checkpoint)["w"].shape == (100_000,)  # it loads, silently
    whole = checkpoint.with_name("whole.ckpt")
    torch.save({}, whole)
    assert run(["verify", str(checkpoint), str(whole)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{checkpoint}: damaged: record '[^']*/data/0' does not have the checksum.*", lines[0])
    assert "whole" in lines[1]


def test_json(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(checkpoint, 400_000)
    assert run(["verify", "--format", "json", str(checkpoint)]) == 1
    answer = json.loads(capsys.readouterr().out)
    (file,) = answer["files"]
    assert answer["format"] == 1
    assert (file["path"], file["ok"], file["record"]) == (str(checkpoint), False, "epoch=1/data/0")
    assert file["records"] > 3 and file["bytes"] > 800_000 and file["checksums"] is True


@pytest.mark.parametrize("length", [0, 10, 1000, 400_000, 800_000])
def test_what_was_cut_off_is_damaged(checkpoint: Path, capsys: pytest.CaptureFixture[str], length: int) -> None:
    os.truncate(checkpoint, length)
    assert run(["verify", str(checkpoint)]) == 1
    assert f"{checkpoint}: damaged: it " in capsys.readouterr().out


def test_without_checksums_only_the_structure_is_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = pytest.importorskip("torch.utils.serialization.config")
    path = tmp_path / "a.ckpt"
    with config.patch("save.compute_crc32", False):
        torch.save({"w": torch.ones(10)}, path)
    assert run(["verify", str(path)]) == 0
    assert "structure is whole" in capsys.readouterr().out


def test_what_cannot_be_read_is_named(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("gone", "no such file"), (".", "is a directory"), ("pipe", "not a regular file")):
        assert run(["verify", str(tmp_path / name), str(checkpoint)]) == 2
        said = capsys.readouterr()
        assert why in said.err and len(said.err.splitlines()) == 1
        assert "whole" in said.out  # the others are looked at all the same


def test_a_link_is_followed(checkpoint: Path) -> None:
    link = checkpoint.with_name("last.ckpt")
    link.symlink_to(checkpoint.name)
    assert run(["verify", str(link)]) == 0


def test_it_needs_neither_torch_nor_memory(checkpoint: Path) -> None:
    big = checkpoint.with_name("big.ckpt")
    torch.save({"w": torch.zeros(75_000_000)}, big)  # 300 MB
    code = (
        "import resource, sys\n"
        "sys.modules['torch'] = None\n"
        "from checkroom.cli._app import run\n"
        "assert run(['--version']) == 0\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"assert run(['verify', {str(big)!r}]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) < 30_000  # kB


def test_steps_add_up(checkpoint: Path) -> None:
    check = ArchiveCheck(checkpoint)
    read = 0
    while step := check.step():
        read += step
    assert (read, check.fault, check.has_checksums) == (check.bytes, None, True)
