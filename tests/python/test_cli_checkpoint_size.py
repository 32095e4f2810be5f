"""One checkpoint's size: stated, read from a file, or estimated from parameters."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Callable, ContextManager

import pytest

from checkroom.cli._checkpoint_size import CheckpointSize, checkpoint_size
from checkroom.cli._errors import CommandError
from checkroom.cli._values import Given


def read(**values: object) -> CheckpointSize:
    return checkpoint_size({key: Given(value, "--" + key.replace("_", "-")) for key, value in values.items()})


def test_stated() -> None:
    size = read(checkpoint_size="6.9 GB")
    assert (size.least, size.total, size.most, size.weights_only) == (6_900_000_000,) * 3 + (None,)
    assert read(checkpoint_size="6.9 GB", weights_only_size="2GB").weights_only == (2_000_000_000, 2_000_000_000)


def test_from_a_checkpoint(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.ckpt"
    weights, states = torch.zeros(1000), torch.zeros(5000)
    torch.save({"state_dict": {"w": weights}, "optimizer_states": [{"state": {0: states}}]}, path)
    size = read(from_checkpoint=str(path))
    assert size.least == size.total == size.most == path.stat().st_size
    assert size.weights_only == (size.total - 20_000, size.total - 20_000)
    assert size.source == f"as {path}"


def test_from_parameters() -> None:
    size = read(parameters="7B", trainable="40M", dtype="bf16", optimizer="adamw")
    assert 14 * 10**9 < size.least < size.total < size.most < 15 * 10**9
    assert size.weights_only is not None
    assert 14 * 10**9 < size.weights_only[0] < size.weights_only[1] < size.most
    assert size.notes
    full = read(parameters="7B", dtype="bf16", optimizer="adamw")
    assert full.total > 3 * 14 * 10**9 * 0.99


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "no size of a checkpoint (give --checkpoint-size 6.9GB, --from-checkpoint FILE, or --parameters"),
        ({"checkpoint_size": "1GB", "parameters": "7B"}, "--checkpoint-size '1GB' and --parameters '7B' both say"),
        ({"checkpoint_size": "0"}, "--checkpoint-size: a checkpoint of no bytes: '0'"),
        ({"checkpoint_size": "1GB", "dtype": "bf16"}, "--dtype: 'bf16' needs --parameters"),
        ({"parameters": "7B", "trainable": "8B"}, "--trainable: '8B' is more than all '7B' parameters"),
        ({"parameters": "9000000000000000000"}, "--parameters: too large a number: '9000000000000000000' (write for"),
        ({"checkpoint_size": "1GB", "weights_only_size": "2GB"},
         "--weights-only-size: '2GB' is more than a whole checkpoint, 1.0 GB (give the size without optimizer"),
        ({"from_checkpoint": "/dev/zero"}, "--from-checkpoint: not a file: '/dev/zero' (give the path of a .ckpt"),
        ({"from_checkpoint": " "}, "--from-checkpoint: not a path: ''"),
        ({"parameters": "7B", "dtype": "bf17"}, "--dtype: dtype 'bf17' is not known"),
        ({"parameters": "7B", "optimizer": "adamx"}, "--optimizer: optimizer 'adamx' is not known"),
        ({"from_checkpoint": "/no/such.ckpt"}, "--from-checkpoint: '/no/such.ckpt': no such file or directory"),
        ({"from_checkpoint": "/"}, "--from-checkpoint: '/' is a folder"),
    ],
)
def test_refusals(values: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(**values)
    assert str(caught.value).startswith(said)


def refused(path: Path) -> str:
    with pytest.raises(CommandError) as caught:
        read(from_checkpoint=str(path))
    text = str(caught.value)
    assert text.startswith((f"--from-checkpoint: '{path}'", f"--from-checkpoint: not a file: '{path}'"))
    assert text.endswith("(give the path of a .ckpt file, or --checkpoint-size)")
    return text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello", "is not a zip file of torch.save"),
        (b"PK\x03\x04" + b"x" * 99, "truncated or damaged"),
        (b"\x02\0\0\0\0\0\0\0{}", "is not a zip file of torch.save"),  # safetensors: a length, then JSON
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_file_of_another_kind_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(10)}, path, _use_new_zipfile_serialization=False)
    assert "legacy format: load it and save it again" in refused(path)
    torch.save({"w": torch.zeros(10)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated or damaged" in refused(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    assert "TorchScript" in refused(path)


def test_what_cannot_be_opened(open_path: Path, nobody: Callable[[], ContextManager[None]]) -> None:
    os.mkfifo(open_path / "pipe")
    assert "not a file" in refused(open_path / "pipe")  # it does not wait for a writer
    (open_path / "loop").symlink_to("loop")
    assert "too many levels of symbolic links" in refused(open_path / "loop")
    (open_path / "secret.ckpt").write_bytes(b"hello")
    (open_path / "secret.ckpt").chmod(0)
    with nobody():
        assert "permission denied" in refused(open_path / "secret.ckpt")
    (open_path / "secret.ckpt").chmod(0o600)
    assert "is not a zip file" in refused(open_path / "secret.ckpt")


def test_a_name_with_line_ends_is_one_line(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a\nb.ckpt"
    torch.save({"w": torch.zeros(10)}, path)
    assert read(from_checkpoint=str(path)).source == f"as {tmp_path}/a b.ckpt"
