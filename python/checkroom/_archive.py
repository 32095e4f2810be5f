"""PyTorch's own ``_save`` with our zip writer in place of its: the same bytes, written by the core.

The pickle is PyTorch's, so is the order of the records; the core copies each storage once, into the block that goes to
the disk, and takes the checksum of the copy. Whether the installed PyTorch lets itself be driven like that is tried
once, on a small object: the bytes must be equal.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from checkroom._core import ArchiveWriter, StagedFile
from checkroom._pickling import Seen, pickle_module
from checkroom._torch_zip import Dialect, alignment, computes_checksums, dialect, probe, pytorch_save

__all__ = ["drives", "save_archive"]

logger = logging.getLogger("checkroom")

# A storage on an accelerator comes over in pieces of so many bytes, through one buffer.
_PIECE = 4 << 20


class _Records:
    """What ``_save`` calls instead of ``torch._C.PyTorchFileWriter``."""

    def __init__(self, writer: ArchiveWriter, seen: Seen) -> None:
        self._writer, self._seen = writer, seen

    def write_record(self, name: str, data: Any, size: int) -> None:
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, bytes):
            self._writer.write(name, data[:size])
        elif isinstance(data, int):  # PyTorch 2.2: the address alone
            self._writer.write_memory(name, data, size)
        else:
            self._writer.write_memory(name, data.data_ptr() if size else 0, size)

    def write_record_metadata(self, name: str, size: int) -> None:
        """The data are not to come from PyTorch: they are fetched from where they lie."""
        storage = self._seen.held[name.partition("/")[2]]
        if _is_near(storage):
            self.write_record(name, storage, size)
            return
        self._writer.begin(name, size)
        for address, count in _pieces(storage, size):
            self._writer.append_memory(address, count)
        self._writer.end()


def _is_near(storage: Any) -> bool:
    """Can the host read it where it lies?"""
    return bool(storage.device.type == "cpu")


def _pieces(storage: Any, size: int) -> Iterator[tuple[int, int]]:
    """The bytes of a storage that lies elsewhere, a buffer full at a time: where they are, and how many."""
    import torch

    source = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    buffer = torch.empty(min(size, _PIECE), dtype=torch.uint8, device="cpu")
    with contextlib.suppress(RuntimeError):  # no pinned memory to be had: the copies take a little longer
        buffer = buffer.pin_memory()
    for start in range(0, size, _PIECE):
        count = min(_PIECE, size - start)
        buffer[:count].copy_(source[start : start + count])
        yield buffer.data_ptr(), count


def save_archive(
    obj: Any, target: StagedFile | None, known: Dialect, *, on_size: Callable[[int], None], apart: bool = False
) -> ArchiveWriter:
    """Writes the bytes of ``torch.save(obj, file_object)``.

    Args:
        obj: What is saved.
        target: The staged file; ``None``: memory.
        known: What the installed PyTorch puts around the data.
        on_size: Called once with the exact size in bytes, before the first of them. It may raise.
        apart: Fetch every storage in the way of those on an accelerator.

    Returns:
        The writer, finished.

    Raises:
        OSError: The disk's, or that of ``on_size``. Drop the file.
        Exception: What ``torch.save`` itself raises, such as ``pickle.PicklingError``.
    """
    import torch.serialization

    seen = Seen(holds=True)
    writer = ArchiveWriter(target, alignment=alignment(), compute_crc=computes_checksums())
    with contextlib.ExitStack() as stack:

        def on_dumped() -> None:
            assert seen.pickle_bytes is not None
            on_size(known.size(seen.pickle_bytes, list(seen.storages.items())))
            if apart or not all(map(_is_near, seen.held.values())):
                stack.enter_context(_skipping())

        module = pickle_module(seen, on_dumped=on_dumped)
        protocol = torch.serialization.DEFAULT_PROTOCOL
        records = _Records(writer, seen)
        torch.serialization._save(obj, records, module, protocol, False)  # type: ignore[no-untyped-call]
    writer.finish()
    return writer


@contextlib.contextmanager
def _skipping() -> Iterator[None]:
    """From now on ``_save`` asks for storages by name, instead of bringing them to the host whole."""
    import torch.serialization

    flags = getattr(torch.serialization, "_serialization_tls", None)
    if flags is None or getattr(flags, "skip_data", True):  # an older PyTorch, or the user's own wish
        yield
        return
    flags.skip_data = True
    try:
        yield
    finally:
        flags.skip_data = False


def drives() -> Dialect | None:
    """Can saves go through the core now? What PyTorch puts around the data, if so."""
    import torch.serialization

    if os.environ.get("CHECKROOM_WRITER") == "torch":
        return None
    # Whoever has put something else there wants it called; and data that are to be skipped leave holes.
    if torch.save is not torch.serialization.save or _skips():
        return None
    return _driven()


def _skips() -> bool:
    import torch.serialization

    return bool(getattr(getattr(torch.serialization, "_serialization_tls", None), "skip_data", False))


@functools.lru_cache(maxsize=1)
def _driven() -> Dialect | None:
    known = dialect()
    try:
        if known is None:
            raise RuntimeError("its zip is not the one that is known")
        plain = io.BytesIO()
        pytorch_save(probe(), plain)
        for apart in (False, True):
            sizes: list[int] = []
            ours = save_archive(probe(), None, known, on_size=sizes.append, apart=apart).value()
            if ours != plain.getvalue() or sizes != [len(ours)]:
                raise RuntimeError("its bytes are not ours")
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.info("checkroom: files are written by torch.save with this PyTorch: %s", error)
        return None
    return known
