"""``checkroom.save``: what ``torch.save`` does, staged, durable, and only when it is complete."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from checkroom._core import RetentionPolicy
from checkroom._guard import Guard
from checkroom._options import GuardOptions

__all__ = ["SaveReceipt", "save"]


@dataclass(frozen=True)
class SaveReceipt:
    """What a save did.

    Args:
        path: The file.
        bytes: Its size.
        seconds: How long it took.
        durable: Does it survive a power cut?

    Example:
        >>> from checkroom import SaveReceipt
        >>> receipt = SaveReceipt("model.pt", 4_000_000, 0.002, durable=True)
        >>> f"{receipt.bytes / receipt.seconds / 1e9:.0f} GB/s"
        '2 GB/s'
    """

    path: str
    bytes: int
    seconds: float
    durable: bool


def save(obj: Any, path: str | bytes | os.PathLike[Any], *, durable: bool = True) -> SaveReceipt:
    """Writes an object as ``torch.save`` would, but never leaves half a file under its final name.

    The exact size is known from the pickling pass before the first byte, so a full disk is noticed before anything is
    written. The file is staged beside its target, fsynced and renamed; what had the name before stays until then.

    Args:
        obj: What ``torch.save`` takes.
        path: The final name, as ``str``, ``bytes`` or ``os.PathLike``; its directory is made where it is missing.
        durable: ``False``: no fsync.

    Returns:
        The path, the bytes and the seconds.

    Raises:
        DiskFullError: There is no room; nothing of the file stays.
        OSError: The disk failed; nothing of the file stays.

    Example:
        >>> import os, tempfile, torch
        >>> from checkroom import save
        >>> path = os.path.join(tempfile.mkdtemp(), "w.pt")
        >>> save({"w": torch.zeros(3)}, path).bytes == os.path.getsize(path)
        True
    """
    started = time.monotonic()
    target = os.path.abspath(os.fsdecode(path))
    directory, name = os.path.split(target)
    guard = Guard(directory, RetentionPolicy(save_top_k=-1), GuardOptions(min_free=0, durable=durable))
    try:
        size = guard.save(name, obj)
    finally:
        guard.close()
    return SaveReceipt(target, size, time.monotonic() - started, durable)
