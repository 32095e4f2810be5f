"""The size and the shares of a checkpoint that exists, without unpickling it."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from typing import Any

from checkroom.sizing._scan import PickleError, scan
from checkroom.sizing._split import size_of
from checkroom.sizing._types import CheckpointSize

__all__ = ["from_checkpoint"]

# The pickle of a checkpoint describes tensors, it does not hold them: 20,000 of them take 5 MB.
_MOST_PICKLE_BYTES = 512 * 1024 * 1024
# What zipfile raises over a file that is not as it should be.
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


def from_checkpoint(path: str | os.PathLike[str]) -> CheckpointSize:
    """Reads the size of a ``.ckpt`` file and how weights, optimizer states and the rest share it.

    Only the zip directory and the structure of the pickle are read: no object is built and no code of the file runs. A
    storage that several tensors share counts once, for the first of them.

    Args:
        path: A file written by ``torch.save`` (also by Lightning).

    Returns:
        The exact size in bytes, with its ``split`` by top-level keys and by the leading parts of the parameters' names.
        A file without the usual keys, such as a bare state dict, counts as weights.

    Raises:
        ValueError: The file is not such a checkpoint, or is damaged; it is named.
        OSError: The file cannot be read.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     weights = {"net.backbone.weight": torch.zeros(1000), "net.head.weight": torch.zeros(10)}
        ...     torch.save({"epoch": 3, "state_dict": weights}, f"{folder}/a.ckpt")
        ...     size = from_checkpoint(f"{folder}/a.ckpt")
        >>> size.weights
        4040
        >>> [(share.name, share.weights) for share in size.split.by_module]
        [('net.backbone', 4000), ('net.head', 40)]
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
                return size_of(*_read(archive, total), total)
        except PickleError as error:
            raise ValueError(f"{name!r} cannot be read: {error}") from error
        except _DAMAGE as error:
            raise ValueError(f"{name!r} is truncated or damaged: {error}") from error


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
