"""``torch.save`` into a file, with its exact size told before the first byte.

In the very pass that writes, a ``Pickler`` of ours counts: when its ``dump`` returns, the lengths of the pickle and of
every storage are known, and not one byte has reached the file. Where that does not fit the installed PyTorch, the size
comes from a pass of its own, and where not even that does, none is told.
"""

from __future__ import annotations

import errno
import functools
import io
import logging
from collections.abc import Callable
from typing import Any, Protocol

from checkroom._archive import drives, save_archive
from checkroom._core import StagedFile
from checkroom._pickling import Seen, can_measure, measure, pickle_module
from checkroom._torch_zip import Dialect, dialect, probe, pytorch_save

__all__ = ["Target", "save_into", "writes_archives"]

logger = logging.getLogger("checkroom")


class Target(Protocol):
    """What is written to: a staged file, or any file object."""

    def write(self, data: Any, /) -> int | None:
        """Takes some of the bytes; returns how many (``None``: all)."""

    def flush(self) -> None:
        """Hands over what is buffered."""


class _Sink:
    """What PyTorch writes to: completes short writes, keeps the first error, takes nothing after it.

    PyTorch ignores what ``write`` returns, and ends the zip even when pickling failed: neither may reach the file.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.error: BaseException | None = None
        self.written = 0

    def fail(self, error: BaseException) -> None:
        """From now on nothing reaches the file."""
        if self.error is None:
            self.error = error

    def write(self, data: Any) -> int:
        view = memoryview(data)
        total = view.nbytes
        if self.error is not None:
            return total
        rest = view.cast("B") if total else view[:0]
        try:
            while rest.nbytes:
                count = self._target.write(rest)
                if count is None and isinstance(self._target, io.RawIOBase):
                    raise BlockingIOError(errno.EAGAIN, "the file does not block")
                count = rest.nbytes if count is None else count
                if count <= 0:
                    raise OSError(errno.EIO, "the file takes no bytes")
                self.written += count
                rest = rest[count:]
        except BaseException as error:
            self.fail(error)
            raise
        return total

    def seek(self, offset: int, whence: int = 0) -> Any:
        """Only PyTorch's ``skip_data`` seeks."""
        if self.error is None:
            try:
                position = self._target.seek(offset, whence)  # type: ignore[attr-defined]
                self.written += offset
                return position
            except BaseException as error:
                self.fail(error)
                raise
        return 0

    def flush(self) -> None:
        if self.error is None:
            try:
                self._target.flush()
            except BaseException as error:
                self.fail(error)
                raise


def _spied_save(
    obj: Any, sink: _Sink, on_size: Callable[[int], None], known: Dialect, save: Callable[..., None]
) -> None:
    """``save`` (``torch.save``, or what stands under its name) into the sink; ``on_size`` before the first byte."""
    seen = Seen()

    def on_dumped() -> None:
        assert seen.pickle_bytes is not None
        on_size(known.size(seen.pickle_bytes, list(seen.storages.items())))

    module = pickle_module(seen, on_dumped=on_dumped, on_failure=sink.fail)
    _first_error(sink, lambda: save(obj, sink, pickle_module=module))


def _first_error(sink: _Sink, save: Callable[[], None]) -> None:
    """Runs a save that writes into the sink, and raises what went wrong first, not what PyTorch made of it."""
    try:
        save()
    except BaseException as error:
        sink.fail(error)
    if sink.error is not None:
        raise sink.error


@functools.lru_cache(maxsize=1)
def _can_spy() -> bool:
    known = dialect()
    sizes: list[int] = []
    try:
        if known is None:
            raise RuntimeError("its zip is not the one that is known")
        plain, spied = io.BytesIO(), io.BytesIO()
        pytorch_save(probe(), plain)
        sink = _Sink(spied)
        _spied_save(probe(), sink, lambda size: sizes.append(size if sink.written == 0 else -1), known, pytorch_save)
        if plain.getvalue() != spied.getvalue() or sizes != [len(plain.getvalue())]:
            raise RuntimeError("its pickling does not announce the size")
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.info("checkroom: the size of a save is found in a pass of its own with this PyTorch: %s", error)
        return False
    return True


def writes_archives() -> bool:
    """Is what :func:`save_into` writes PyTorch's zip? Not if somebody has put something else under ``torch.save``."""
    import torch.serialization

    return torch.save is torch.serialization.save


def save_into(obj: Any, target: Target, *, on_size: Callable[[int], None] | None = None) -> int:
    """Writes exactly the bytes of ``torch.save(obj, target)``, and tells how many before the first one.

    Args:
        obj: What is saved.
        target: The staged file, into which the core writes by itself, or another file object, into which PyTorch
            does; short writes are completed.
        on_size: Called once with the exact size in bytes, before anything is written. It may raise: then nothing is
            written. It is not called where the installed PyTorch does not let the size be known.

    Returns:
        Bytes that were written.

    Raises:
        OSError: The target's own error, or that of ``on_size``: the first one, as it was raised. The target holds a
            part of the file at most; drop it.
        Exception: What ``torch.save`` itself raises, such as ``pickle.PicklingError``.

    Example:
        >>> import io, torch
        >>> file, sizes = io.BytesIO(), []
        >>> save_into({"w": torch.zeros(1000)}, file, on_size=sizes.append) == len(file.getvalue()) == sizes[0]
        True
    """
    import torch

    announced: list[int] = []

    def announce(size: int) -> None:
        announced.append(size)
        if on_size is not None:
            on_size(size)

    driven = drives() if isinstance(target, StagedFile) else None
    if driven is not None:
        assert isinstance(target, StagedFile)
        save_archive(obj, target, driven, on_size=announce)
        return target.bytes_written
    sink = _Sink(target)
    known = dialect()
    if known is not None and _can_spy():
        _spied_save(obj, sink, announce, known, torch.save)
    else:
        if can_measure():
            announce(measure(obj).total)
        _first_error(sink, lambda: torch.save(obj, sink))  # type: ignore[arg-type]
    if announced and announced[0] != sink.written:
        logger.warning("checkroom: a file of %d bytes was announced as %d", sink.written, announced[0])
    return sink.written
