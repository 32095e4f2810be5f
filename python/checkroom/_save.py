"""``torch.save`` that leaves either the whole new file or the old one."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import Any

from checkroom._core import RetentionPolicy, Store
from checkroom._pickling import save_into

__all__ = ["SaveReceipt", "save"]


@dataclass(frozen=True)
class SaveReceipt:
    """What a save did.

    Args:
        path: The file, absolute.
        bytes: Its size.
        seconds: What it took, from the first look at the object to the acknowledged file.
        durable: Does it survive a power cut?
        reserved: Were its blocks reserved before the first byte? ``False`` where the filesystem cannot.
    """

    path: str
    bytes: int
    seconds: float
    durable: bool
    reserved: bool


def save(obj: Any, path: str | os.PathLike[str], *, durable: bool = True) -> SaveReceipt:
    """Saves an object as ``torch.save`` does, byte for byte, but atomically and durably.

    The file is written under another name with its blocks reserved first, and takes its own name when it is complete.
    Until then a file that has this name stays as it is, also when the disk is full or the process dies.

    Args:
        obj: What ``torch.save`` would take.
        path: Where; the folder must exist. A symbolic link of this name is replaced, not followed.
        durable: Acknowledge only what survives a power cut (fsync). ``False`` is faster and survives a killed process.

    Returns:
        What was written.

    Raises:
        DiskFullError: There is no room; nothing of the new file stays.
        OSError: The disk failed, or there is no such folder; nothing of the new file stays.
        Exception: What ``torch.save`` itself raises, such as ``pickle.PicklingError``.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     receipt = save({"w": torch.zeros(1000)}, f"{folder}/weights.pt")
        ...     loaded = torch.load(receipt.path)
        >>> receipt.durable, loaded["w"].shape
        (True, torch.Size([1000]))
    """
    start = time.monotonic()
    target = os.path.abspath(os.fspath(path))
    if os.path.isdir(target) and not os.path.islink(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    directory, name = os.path.split(target)
    if not os.path.isdir(directory):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
    store = Store(directory, RetentionPolicy(save_top_k=-1), durable=durable)
    try:
        staged = store.stage(name)
        try:
            save_into(obj, staged, on_size=staged.reserve)
            reserved = staged.reserved
            size = store.publish(staged, name)
        except BaseException:
            staged.abandon()
            raise
    finally:
        store.close()
    return SaveReceipt(target, size, time.monotonic() - start, durable, reserved)
