"""The one pickling pass: what PyTorch writes, how long it is, and that length before the first byte.

PyTorch's own ``torch.save`` does the pickling, always. Two ways lead to the exact size:

* a dry run: PyTorch's ``_save`` with a recorder in place of its zip writer, for objects that are not written;
* a spy: in the very pass that writes, a ``Pickler`` that counts. When its ``dump`` returns, the lengths of the pickle
  and of every storage are known, and not one byte has reached the file.

Both rest on private parts of PyTorch. At first use they are tried on a small object; where they do not fit the
installed PyTorch, sizes come from a save that throws its bytes away, and files from a plain ``torch.save``.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from checkroom._core import archive_size
from checkroom._torch_zip import Dialect, Ghosts, Seen, alignment, dialect, pickle_module, probe

__all__ = ["Ghosts", "Measured", "Target", "can_measure", "exact_size", "measure", "save_into"]

logger = logging.getLogger("checkroom")


class Target(Protocol):
    """What is written to: a staged file, or any file object."""

    def write(self, data: Any, /) -> int | None:
        """Takes some of the bytes; returns how many (``None``: all)."""

    def flush(self) -> None:
        """Hands over what is buffered."""


# ---------------------------------------------------------------- the size of an object that is not written


class _Recorder:
    """Takes the place of PyTorch's zip writer and keeps names and sizes only."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int]] = []

    def write_record(self, name: str, data: Any, size: int) -> None:
        self.records.append((name, size))

    def write_record_metadata(self, name: str, size: int) -> None:
        self.records.append((name, size))


@dataclass(frozen=True)
class Measured:
    """What a dry run found.

    Args:
        total: Bytes of the file.
        storages: Bytes of each storage, by the identity of its data.
    """

    total: int
    storages: dict[int, int]


def measure(obj: Any, ghosts: Ghosts | None = None) -> Measured:
    """The size of an object by PyTorch's own ``_save`` over a recorder; tensor data is neither copied nor read.

    Raises:
        RuntimeError: The installed PyTorch writes in a way that is not known.
    """
    import torch.serialization

    known = dialect()
    if known is None:
        raise RuntimeError("checkroom: the zip of the installed PyTorch is not the one that is known")
    recorder, seen = _Recorder(), Seen()
    module = pickle_module(seen, ghosts=ghosts)
    skip_data = getattr(torch.serialization, "skip_data", contextlib.nullcontext)
    with skip_data():
        save: Callable[..., None] = torch.serialization._save
        save(obj, recorder, module, torch.serialization.DEFAULT_PROTOCOL, False)
    total = archive_size([*recorder.records, *known.trailer], alignment=alignment())
    return Measured(total, dict(seen.identities))


@functools.lru_cache(maxsize=1)
def can_measure() -> bool:
    """Does :func:`measure` fit the installed PyTorch? Tried once."""
    import torch

    try:
        file = io.BytesIO()
        torch.save(probe(), file)
        return measure(probe()).total == len(file.getvalue())
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.info("checkroom: sizes are measured by a save that is thrown away: %s", error)
        return False


class _NullSink:
    """A file that only counts."""

    def __init__(self) -> None:
        self.position = self.size = 0

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        self.position += count
        self.size = max(self.size, self.position)
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def flush(self) -> None:
        pass


def exact_size(obj: Any) -> int:
    """Bytes of the file that ``torch.save(obj, file)`` would write, to the byte.

    PyTorch itself pickles the object; tensor data is neither copied nor read.

    Args:
        obj: What would be saved: a module, a state dict, a whole checkpoint.

    Returns:
        The size in bytes, for a file object (a path gives the records inside of the zip another prefix).

    Raises:
        Exception: What ``torch.save`` itself would raise, such as ``pickle.PicklingError``.
        ValueError: The configured storage alignment cannot be written.

    Example:
        >>> import io, torch
        >>> obj, file = {"w": torch.zeros(1000)}, io.BytesIO()
        >>> torch.save(obj, file)
        >>> exact_size(obj) == len(file.getvalue())
        True
    """
    if can_measure():
        return measure(obj).total
    import torch

    sink = _NullSink()
    torch.save(obj, sink)  # type: ignore[arg-type]
    return sink.size


# ---------------------------------------------------------------- writing, with the size known first


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


def _spied_save(obj: Any, sink: _Sink, on_size: Callable[[int], None], known: Dialect) -> None:
    """``torch.save`` into the sink; ``on_size`` is called before the first byte."""
    import torch

    seen = Seen()

    def on_dumped() -> None:
        assert seen.pickle_bytes is not None
        on_size(known.size(seen.pickle_bytes, list(seen.storages.items())))

    module = pickle_module(seen, on_dumped=on_dumped, on_failure=sink.fail)
    _first_error(sink, lambda: torch.save(obj, sink, pickle_module=module))  # type: ignore[arg-type]


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
    import torch

    known = dialect()
    sizes: list[int] = []
    try:
        if known is None:
            raise RuntimeError("its zip is not the one that is known")
        plain, spied = io.BytesIO(), io.BytesIO()
        torch.save(probe(), plain)
        sink = _Sink(spied)
        _spied_save(probe(), sink, lambda size: sizes.append(size if sink.written == 0 else -1), known)
        if plain.getvalue() != spied.getvalue() or sizes != [len(plain.getvalue())]:
            raise RuntimeError("its pickling does not announce the size")
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.info("checkroom: the size of a save is found in a pass of its own with this PyTorch: %s", error)
        return False
    return True


def save_into(obj: Any, target: Target, *, on_size: Callable[[int], None] | None = None) -> int:
    """Writes exactly the bytes of ``torch.save(obj, target)``, and tells how many before the first one.

    Args:
        obj: What is saved.
        target: The staged file, or another file object; short writes are completed.
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

    sink = _Sink(target)
    announced: list[int] = []

    def announce(size: int) -> None:
        announced.append(size)
        if on_size is not None:
            on_size(size)

    known = dialect()
    if known is not None and _can_spy():
        _spied_save(obj, sink, announce, known)
    else:
        if can_measure():
            announce(measure(obj).total)
        _first_error(sink, lambda: torch.save(obj, sink))  # type: ignore[arg-type]
    if announced and announced[0] != sink.written:
        logger.warning("checkroom: a file of %d bytes was announced as %d", sink.written, announced[0])
    return sink.written
