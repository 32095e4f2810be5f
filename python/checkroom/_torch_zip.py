"""What the installed PyTorch writes around a pickle: the records of its zip, read off a small file.

This rests on private parts of PyTorch: :func:`dialect` tries them once, and says when they are not what they were.
"""

from __future__ import annotations

import functools
import io
import logging
from dataclasses import dataclass
from typing import Any

from checkroom._core import archive_size

__all__ = ["Dialect", "alignment", "computes_checksums", "dialect", "probe", "pytorch_save"]

logger = logging.getLogger("checkroom")

_ALIGNMENT_RECORD = ".storage_alignment"


@dataclass(frozen=True)
class Dialect:
    """What PyTorch puts around the pickle and the storages: (name, bytes) before and behind ``data/*``."""

    head: tuple[tuple[str, int], ...]
    trailer: tuple[tuple[str, int], ...]

    def size(self, pickle_bytes: int, storages: list[tuple[str, int]]) -> int:
        """Bytes of the file with this pickle and these storages (key, bytes)."""
        aligned = alignment()
        head = [(name, len(str(aligned)) if name == _ALIGNMENT_RECORD else size) for name, size in self.head]
        data = [(f"data/{key}", size) for key, size in storages]
        records = [("data.pkl", pickle_bytes), *head, *data, *self.trailer]
        return archive_size(records, alignment=aligned)


def alignment() -> int:
    """Bytes to which PyTorch aligns storages, as configured at this moment."""
    import torch.serialization

    configured = getattr(torch.serialization, "_get_storage_alignment", None)
    return 64 if configured is None else int(configured())


def computes_checksums() -> bool:
    """Does PyTorch write checksums, as configured at this moment?"""
    import torch.serialization

    configured = getattr(torch.serialization, "get_crc32_options", None)
    return True if configured is None else bool(configured())


def pytorch_save(*args: Any, **kwargs: Any) -> None:
    """PyTorch's own save, whatever a test or a tracer has put under the name ``torch.save``.

    For looking at PyTorch: what is found holds for the whole process.
    """
    import torch.serialization

    torch.serialization.save(*args, **kwargs)


def probe() -> Any:
    import torch

    tensor = torch.zeros(3, device="cpu")
    return {"a": tensor, "b": tensor[:2], "c": torch.zeros(0, device="cpu")}


@functools.lru_cache(maxsize=1)
def dialect() -> Dialect | None:
    """The records of the installed PyTorch, read off a small file; ``None``: it writes something else."""
    import zipfile

    file = io.BytesIO()
    try:
        pytorch_save(probe(), file)
        names = [
            (entry.filename.partition("/")[2], entry.file_size, entry.filename.partition("/")[0])
            for entry in zipfile.ZipFile(file).infolist()
        ]
        records = [(name, size) for name, size, _ in names]
        data = [index for index, (name, _) in enumerate(records) if name.startswith("data/")]
        found = Dialect(tuple(records[1 : data[0]]), tuple(records[data[-1] + 1 :]))
        storages = [(records[index][0][len("data/") :], records[index][1]) for index in data]
        fits = (
            {prefix for _, _, prefix in names} == {"archive"}
            and records[0][0] == "data.pkl"
            and data == list(range(data[0], data[-1] + 1))
            and found.size(records[0][1], storages) == len(file.getvalue())
        )
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.debug("the zip of torch.save was not understood", exc_info=error)
        fits = False
    return found if fits else None
