"""The size and the shares of a checkpoint that exists, without unpickling it."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

from checkroom.sizing._scan import Container, PickleError, Storage, scan
from checkroom.sizing._types import CheckpointSize

__all__ = ["from_checkpoint"]

# The pickle of a checkpoint describes tensors, it does not hold them: 20,000 of them take 5 MB.
_MOST_PICKLE_BYTES = 512 * 1024 * 1024
# What zipfile raises over a file that is not as it should be.
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
_WEIGHTS = frozenset({"state_dict", "model", "model_state_dict", "module"})
_OPTIMIZERS = frozenset({"optimizer_states", "optimizer", "optimizers", "optimizer_state_dict"})


def from_checkpoint(path: str | os.PathLike[str]) -> CheckpointSize:
    """Reads the size of a ``.ckpt`` file and how weights, optimizer states and the rest share it.

    Only the zip directory and the structure of the pickle are read: no object is built and no code of the file runs. A
    storage that several tensors share counts once, for the first of them.

    Args:
        path: A file written by ``torch.save`` (also by Lightning).

    Returns:
        The exact size in bytes. A file without the usual keys, such as a bare state dict, counts as weights.

    Raises:
        ValueError: The file is not such a checkpoint, or is damaged; it is named.
        OSError: The file cannot be read.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": {"w": torch.zeros(1000)}}, f"{folder}/a.ckpt")
        ...     from_checkpoint(f"{folder}/a.ckpt").weights
        4000
    """
    name = os.fspath(path)
    with open(name, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{name!r} is not a regular file: it has no size of its own")
        total = found.st_size
        if file.read(4) != b"PK\x03\x04":
            file.seek(0)
            raise ValueError(f"{name!r} {_what_else(file.read(64))}")
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                shares = _shares(*_read(archive, total))
        except PickleError as error:
            raise ValueError(f"{name!r} cannot be read: {error}") from error
        except _DAMAGE as error:
            raise ValueError(f"{name!r} is truncated or damaged: {error}") from error
    weights, optimizer = shares["weights"], shares["optimizer"]
    return CheckpointSize(total=total, weights=weights, optimizer=optimizer, other=total - weights - optimizer)


def _without_waiting(name: str | bytes, flags: int) -> int:
    """Opens a path for reading; a FIFO is opened as well, where a plain open waits for somebody to write."""
    if os.path.isdir(name):
        raise ValueError(f"{name!r} is a folder: checkpoints of several files are not read")
    return os.open(name, flags | os.O_NONBLOCK)


def _what_else(start: bytes) -> str:
    if not start:
        return "is empty"
    # The magic number with which torch.save began its files before version 1.6.
    if b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19" in start:
        return "is of PyTorch's legacy format: load it and save it again"
    return "is not a zip file of torch.save"


def _read(archive: zipfile.ZipFile, total: int) -> tuple[Any, dict[str, int]]:
    """The structure of the pickle, and the bytes of each storage."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise PickleError("it is a zip file without PyTorch's 'data.pkl'")
    prefix = pickles[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in entries or any(name.startswith(f"{prefix}code/") for name in entries):
        raise PickleError("it is a TorchScript archive, not a checkpoint")
    entry = entries[pickles[0]]
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise PickleError("its records are compressed, which torch.save never does")
    if entry.file_size > _MOST_PICKLE_BYTES:
        raise PickleError(f"its pickle has {entry.file_size} bytes, more than {_MOST_PICKLE_BYTES}")
    if not 0 <= entry.header_offset < total:
        raise zipfile.BadZipFile(f"a record starts at {entry.header_offset}")
    if entry.CRC == 0:
        entry.CRC = None  # type: ignore[assignment]  # PyTorch was told to compute none: nothing to compare with
    root = scan(archive.read(entry))
    data = f"{prefix}data/"
    return root, {name[len(data) :]: e.file_size for name, e in entries.items() if name.startswith(data)}


def _shares(root: Any, sizes: dict[str, int]) -> dict[str, int]:
    """Bytes of storages under weights, optimizer and the rest; each storage counts where it is met first."""
    shares = {"weights": 0, "optimizer": 0, "other": 0}
    seen: set[int] = set()
    counted: set[str] = set()
    for share, value in _parts(root):
        for storage in _storages(value, seen):
            if storage.key in counted:
                continue
            counted.add(storage.key)
            if storage.key not in sizes:
                raise PickleError(f"its storage {storage.key!r} is missing")
            shares[share] += sizes[storage.key]
    return shares


def _parts(root: Any) -> Iterator[tuple[str, Any]]:
    pairs = list(root.pairs()) if isinstance(root, Container) else []
    keys = {key for key, _ in pairs if isinstance(key, str)}
    if not keys & (_WEIGHTS | _OPTIMIZERS):
        yield "weights", root
        return
    for key, value in pairs:
        if key in _WEIGHTS:
            yield "weights", value
        elif key in _OPTIMIZERS:
            yield "optimizer", value
        else:
            yield "other", value


def _storages(value: Any, seen: set[int]) -> Iterator[Storage]:
    """Every storage below a value, in order; what was walked before is not walked again."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Storage):
            yield item
        elif isinstance(item, Container) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(reversed(item.children))
