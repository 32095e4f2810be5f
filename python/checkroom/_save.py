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
        seconds: How long it took, in all.
        serialise_seconds: For the pickling pass, until the size was known.
        write_seconds: Until the last byte was handed over.
        sync_seconds: Until it was on the disk, looked at, and had its name.
        durable: Does it survive a power cut?
        verified: Was all of it read back?

    Example:
        >>> from checkroom import SaveReceipt
        >>> receipt = SaveReceipt("model.pt", 4_000_000, 0.0021, 0.0001, 0.0015, 0.0005, durable=True, verified=False)
        >>> f"{receipt.bytes / receipt.seconds / 1e9:.1f} GB/s"
        '1.9 GB/s'
    """

    path: str
    bytes: int
    seconds: float
    serialise_seconds: float
    write_seconds: float
    sync_seconds: float
    durable: bool
    verified: bool


def save(
    obj: Any, path: str | bytes | os.PathLike[Any], *, durable: bool = True, verify: bool = False
) -> SaveReceipt:
    """Writes an object as ``torch.save`` would, but never leaves half a file under its final name.

    The exact size is known from the pickling pass before the first byte, so a full disk is noticed before anything is
    written. The file is staged beside its target, fsynced and renamed; what had the name before stays until then.

    Args:
        obj: What ``torch.save`` takes.
        path: The final name, as ``str``, ``bytes`` or ``os.PathLike``; its directory is made where it is missing.
        durable: ``False``: no fsync.
        verify: Read all of the file back from the disk, past the page cache, and compare its checksums before it gets
            its name. (Its structure is looked at always. ``torch.load`` compares nothing.)

    Returns:
        The path, the bytes and the seconds.

    Raises:
        DiskFullError: There is no room; nothing of the file stays.
        DamagedFileError: What was read back is not what was written; what had the name stays, the file is kept aside.
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
        written = guard.save(name, obj, verify=verify)
    finally:
        guard.close()
    return SaveReceipt(
        target, written.bytes, time.monotonic() - started, written.serialise_seconds, written.write_seconds,
        written.sync_seconds, durable, verify,
    )  # fmt: skip
