"""The ways to write a checkpoint that `save.py` runs side by side, and the checkpoint that they write."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import math
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

import checkroom
from checkroom._core import RetentionPolicy
from checkroom._guard import Guard
from checkroom._options import GuardOptions

save_file: Callable[..., None] | None = None
with contextlib.suppress(ImportError):
    save_file = importlib.import_module("safetensors.torch").save_file

LAYERS = 48
BLOCK_BYTES = 32 << 20
_PAGE = 4096
_FIRST, _LAST = "epoch=1.ckpt", "last.ckpt"


class Workload:
    """The checkpoint of a transformer of 48 layers in training with AdamW: 576 parameters, 2,304 storages.

    Args:
        gigabytes: About how large.
    """

    def __init__(self, gigabytes: float) -> None:
        # Weights and two moments of 12 d^2 + 13 d numbers a layer, 4 bytes each.
        width = max(1, round(math.sqrt(gigabytes * 1e9 / (12 * LAYERS * 12))))
        shapes = {
            "attention.norm.weight": (width,), "attention.norm.bias": (width,),
            "attention.qkv.weight": (3 * width, width), "attention.qkv.bias": (3 * width,),
            "attention.out.weight": (width, width), "attention.out.bias": (width,),
            "mlp.norm.weight": (width,), "mlp.norm.bias": (width,),
            "mlp.up.weight": (4 * width, width), "mlp.up.bias": (4 * width,),
            "mlp.down.weight": (width, 4 * width), "mlp.down.bias": (width,),
        }  # fmt: skip
        random = torch.Generator().manual_seed(1)
        weights = {
            f"model.layers.{layer}.{name}": torch.rand(shape, generator=random)
            for layer in range(LAYERS)
            for name, shape in shapes.items()
        }
        states = {
            number: {
                "step": torch.tensor(1000.0),
                "exp_avg": torch.rand(weight.shape, generator=random),
                "exp_avg_sq": torch.rand(weight.shape, generator=random),
            }
            for number, weight in enumerate(weights.values())
        }
        group = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "params": list(states)}
        self.state: dict[str, Any] = {
            "epoch": 1,
            "global_step": 1000,
            "pytorch-lightning_version": lightning.__version__,
            "state_dict": weights,
            "loops": {},
            "callbacks": {},
            "optimizer_states": [{"state": states, "param_groups": [group]}],
            "lr_schedulers": [],
        }
        self.flat = {
            **weights,
            **{f"optimizer.{number}.{key}": value for number, state in states.items() for key, value in state.items()},
        }
        self.bytes = checkroom.exact_size(self.state)
        # The bytes of the file, where O_DIRECT can take them from.
        self.image = mmap.mmap(-1, -(-self.bytes // _PAGE) * _PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self.image.madvise(mmap.MADV_HUGEPAGE)
        torch.save(self.state, cast(IO[bytes], self.image))


@dataclass(frozen=True)
class Method:
    """One way to write a checkpoint into an empty directory."""

    key: str
    label: str
    save: Callable[[Workload, Path], None] | None  # None: not installed


@functools.cache
def takes_direct(directory: Path) -> bool:
    """Does the filesystem take O_DIRECT? Where it does not, the limit is a plain write."""
    try:
        os.close(os.open(directory / "probe", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o666))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        (directory / "probe").unlink(missing_ok=True)
    return True


def write_direct(path: Path, image: mmap.mmap, size: int) -> None:
    """The bytes as they are, past the page cache: what a disk can do."""
    direct = os.O_DIRECT if takes_direct(path.parent) else 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | direct, 0o666)
    try:
        with memoryview(image) as view:
            for start in range(0, len(image), BLOCK_BYTES):
                part = view[start : start + BLOCK_BYTES]
                if os.pwrite(descriptor, part, start) != len(part):
                    raise OSError(f"a short write to {path}")
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(directory: Path) -> None:
    for path in directory.iterdir():
        _sync(path)
    _sync(directory)


def _limit(work: Workload, directory: Path) -> None:
    write_direct(directory / _FIRST, work.image, work.bytes)


def _lightning(work: Workload, directory: Path) -> None:
    TorchCheckpointIO().save_checkpoint(work.state, directory / _FIRST)


def _lightning_fsync(work: Workload, directory: Path) -> None:
    _lightning(work, directory)
    _sync_all(directory)


def _lightning_last(work: Workload, directory: Path) -> None:
    for name in (_FIRST, _LAST):
        TorchCheckpointIO().save_checkpoint(work.state, directory / name)


def _lightning_last_fsync(work: Workload, directory: Path) -> None:
    for name in (_FIRST, _LAST):
        TorchCheckpointIO().save_checkpoint(work.state, directory / name)
        _sync(directory / name)
        _sync(directory)


def _torch_fsync(work: Workload, directory: Path) -> None:
    torch.save(work.state, directory / _FIRST)
    _sync_all(directory)


def _safetensors_fsync(work: Workload, directory: Path) -> None:
    assert save_file is not None
    save_file(work.flat, directory / _FIRST)
    _sync_all(directory)


def _checkroom(work: Workload, directory: Path) -> None:
    checkroom.save(work.state, directory / _FIRST)


def _checkroom_not_durable(work: Workload, directory: Path) -> None:
    checkroom.save(work.state, directory / _FIRST, durable=False)


def _checkroom_last(work: Workload, directory: Path) -> None:
    guard = Guard(str(directory), RetentionPolicy(save_top_k=-1), GuardOptions(min_free=0))
    try:
        guard.save(_FIRST, work.state)
        guard.store.link_last(_FIRST, _LAST)
    finally:
        guard.close()


METHODS = (
    Method("limit", "limit: O_DIRECT + fsync", _limit),
    Method("lightning", "Lightning", _lightning),
    Method("lightning_fsync", "Lightning + fsync", _lightning_fsync),
    Method("lightning_last", "Lightning, save_last", _lightning_last),
    Method("lightning_last_fsync", "Lightning, save_last, + fsync", _lightning_last_fsync),
    Method("torch_fsync", "torch.save + fsync", _torch_fsync),
    Method("safetensors_fsync", "safetensors + fsync", _safetensors_fsync if save_file else None),
    Method("checkroom", "checkroom", _checkroom),
    Method("checkroom_not_durable", "checkroom, durable=False", _checkroom_not_durable),
    Method("checkroom_last", "checkroom, with last", _checkroom_last),
)
