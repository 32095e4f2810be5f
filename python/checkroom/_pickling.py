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
import pickle
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from checkroom._core import archive_size

__all__ = ["Ghosts", "Target", "exact_size", "save_into", "storage_sizes"]

logger = logging.getLogger("checkroom")

_ALIGNMENT_RECORD = ".storage_alignment"


class Target(Protocol):
    """What is written to: a staged file, or any file object."""

    def write(self, data: Any, /) -> int | None:
        """Takes some of the bytes; returns how many (``None``: all)."""

    def flush(self) -> None:
        """Hands over what is buffered."""


# ---------------------------------------------------------------- how the installed PyTorch writes


@dataclass(frozen=True)
class _Dialect:
    """What PyTorch puts around the pickle and the storages: (name, bytes) before and behind ``data/*``."""

    head: tuple[tuple[str, int], ...]
    trailer: tuple[tuple[str, int], ...]

    def size(self, pickle_bytes: int, storages: list[tuple[str, int]]) -> int:
        """Bytes of the file with this pickle and these storages (key, bytes)."""
        alignment = _alignment()
        head = [(name, len(str(alignment)) if name == _ALIGNMENT_RECORD else size) for name, size in self.head]
        data = [(f"data/{key}", size) for key, size in storages]
        records = [("data.pkl", pickle_bytes), *head, *data, *self.trailer]
        return archive_size(records, alignment=alignment)


def _alignment() -> int:
    """Bytes to which PyTorch aligns storages, as configured at this moment."""
    import torch.serialization

    configured = getattr(torch.serialization, "_get_storage_alignment", None)
    return 64 if configured is None else int(configured())


def _pytorch_save(*args: Any, **kwargs: Any) -> None:
    """PyTorch's own save, whatever a test or a tracer has put under the name ``torch.save``.

    For looking at PyTorch: what is found holds for the whole process. Files are saved by the name, as Lightning does.
    """
    import torch.serialization

    torch.serialization.save(*args, **kwargs)


def _probe() -> Any:
    import torch

    tensor = torch.zeros(3, device="cpu")
    return {"a": tensor, "b": tensor[:2], "c": torch.zeros(0, device="cpu")}


@functools.lru_cache(maxsize=1)
def _dialect() -> _Dialect | None:
    """The records of the installed PyTorch, read off a small file; ``None``: it writes something else."""
    import zipfile

    file = io.BytesIO()
    try:
        _pytorch_save(_probe(), file)
        names = [
            (entry.filename.partition("/")[2], entry.file_size, entry.filename.partition("/")[0])
            for entry in zipfile.ZipFile(file).infolist()
        ]
        records = [(name, size) for name, size, _ in names]
        data = [index for index, (name, _) in enumerate(records) if name.startswith("data/")]
        dialect = _Dialect(tuple(records[1 : data[0]]), tuple(records[data[-1] + 1 :]))
        storages = [(records[index][0][len("data/") :], records[index][1]) for index in data]
        fits = (
            {prefix for _, _, prefix in names} == {"archive"}
            and records[0][0] == "data.pkl"
            and data == list(range(data[0], data[-1] + 1))
            and dialect.size(records[0][1], storages) == len(file.getvalue())
        )
    except Exception as error:  # private parts: any failure means that they are not what they were
        logger.debug("the zip of torch.save was not understood", exc_info=error)
        fits = False
    return dialect if fits else None


# ---------------------------------------------------------------- ghosts


@dataclass
class Ghosts:
    """Tensors without memory (on the meta device) that are to be pickled as if they were real.

    Args:
        locations: The device of each ghost, by its storage.
    """

    locations: dict[int, str] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)

    def add(self, tensor: Any, device: str) -> Any:
        """This meta tensor stands for one on ``device``; returns the tensor."""
        self._alive.append(tensor)
        self.locations[tensor.untyped_storage()._cdata] = device
        return tensor

    def location(self, storage: Any) -> str | None:
        """Where the storage would lie; ``None``: it is not a ghost."""
        device = self.locations.get(storage._cdata)
        # PyTorch tags every CPU storage with the same string object, which the pickle then names once; on other
        # devices each storage has a string of its own.
        return device if device is None or device == "cpu" else "".join(list(device))

    def reduce(self, tensor: Any) -> Any:
        """What a real tensor of this kind reduces to; ``NotImplemented``: it is not a ghost."""
        import torch

        if tensor.untyped_storage()._cdata not in self.locations:
            return NotImplemented
        if isinstance(tensor, torch.nn.Parameter):
            return torch._utils._rebuild_parameter, (tensor.data, tensor.requires_grad, _ordered())
        args: tuple[Any, ...] = (
            tensor.storage_offset(), tuple(tensor.size()), tensor.stride(), tensor.requires_grad, _ordered(),
        )  # fmt: skip
        if tensor.dtype in torch.storage._new_dtypes():
            return torch._utils._rebuild_tensor_v3, (tensor.untyped_storage(), *args, tensor.dtype)
        storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (storage, *args)


def _ordered() -> Any:
    from collections import OrderedDict

    return OrderedDict()


# ---------------------------------------------------------------- picklers that report


@dataclass
class _Seen:
    """What one pickling pass has met."""

    storages: dict[str, int] = field(default_factory=dict)  # key -> bytes, in the order of the file
    pickle_bytes: int | None = None


def _untyped(storage: Any) -> Any:
    return getattr(storage, "_untyped_storage", storage)


def _pickle_module(
    seen: _Seen,
    *,
    on_dumped: Callable[[], None] | None = None,
    on_failure: Callable[[BaseException], None] | None = None,
    ghosts: Ghosts | None = None,
) -> Any:
    """A stand-in for the ``pickle`` module whose Pickler notes every storage, and tells when the pickle is complete."""

    class Pickler(pickle.Pickler):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            # PyTorch subclasses the Pickler to define persistent_id: that is where storages pass by.
            super().__init_subclass__(**kwargs)
            original = cls.__dict__.get("persistent_id")
            if original is None:
                return

            def persistent_id(self: Any, obj: Any) -> Any:
                found = original(self, obj)
                if found is not None:
                    storage = _untyped(obj)
                    seen.storages[found[2]] = storage.nbytes()
                    location = None if ghosts is None else ghosts.location(storage)
                    if location is not None:
                        found = (*found[:3], location, *found[4:])
                return found

            cls.persistent_id = persistent_id  # type: ignore[method-assign]

        def __init__(self, file: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(file, *args, **kwargs)
            self._file = file

        def dump(self, obj: Any) -> None:
            try:
                with _not_skipping():
                    super().dump(obj)
                seen.pickle_bytes = self._file.tell()
                if on_dumped is not None:
                    on_dumped()
            except BaseException as error:
                if on_failure is not None:
                    on_failure(error)
                raise

    class GhostPickler(Pickler):
        def reducer_override(self, obj: Any) -> Any:
            return _reduce_ghost(obj, ghosts)

    return types.SimpleNamespace(__name__="pickle", Pickler=Pickler if ghosts is None else GhostPickler)


def _reduce_ghost(obj: Any, ghosts: Ghosts | None) -> Any:
    import torch

    if ghosts is None or not isinstance(obj, torch.Tensor) or not obj.is_meta:
        return NotImplemented
    return ghosts.reduce(obj)


@contextlib.contextmanager
def _not_skipping() -> Iterator[None]:
    """Inside of ``skip_data``: pickles as if data were written. Otherwise quantised and nested tensors are refused."""
    import torch.serialization

    flags = getattr(torch.serialization, "_serialization_tls", None)
    if not getattr(flags, "skip_data", False):
        yield
        return
    flags.skip_data = False  # type: ignore[union-attr]
    try:
        yield
    finally:
        flags.skip_data = True  # type: ignore[union-attr]


class _Recorder:
    """Takes the place of PyTorch's zip writer and keeps names and sizes only."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int]] = []

    def write_record(self, name: str, data: Any, size: int) -> None:
        self.records.append((name, size))

    def write_record_metadata(self, name: str, size: int) -> None:
        self.records.append((name, size))


# ---------------------------------------------------------------- the size of an object that is not written


def _dry_run(obj: Any, ghosts: Ghosts | None = None) -> int:
    """Bytes that ``torch.save`` would write, by its own ``_save`` over a recorder."""
    import torch.serialization

    dialect = _dialect()
    if dialect is None:
        raise RuntimeError("the zip of the installed PyTorch is not the one that is known")
    recorder = _Recorder()
    module = _pickle_module(_Seen(), ghosts=ghosts)
    skip_data = getattr(torch.serialization, "skip_data", contextlib.nullcontext)
    with skip_data():
        protocol = torch.serialization.DEFAULT_PROTOCOL
        torch.serialization._save(obj, recorder, module, protocol, False)  # type: ignore[no-untyped-call]
    return archive_size([*recorder.records, *dialect.trailer], alignment=_alignment())


@functools.lru_cache(maxsize=1)
def _can_dry_run() -> bool:
    try:
        file = io.BytesIO()
        _pytorch_save(_probe(), file)
        return _dry_run(_probe()) == len(file.getvalue())
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


def exact_size(obj: Any, *, ghosts: Ghosts | None = None) -> int:
    """Bytes of the file that ``torch.save(obj, file)`` would write, to the byte.

    PyTorch itself pickles the object; tensor data is neither copied nor read.

    Args:
        obj: What would be saved: a module, a state dict, a whole checkpoint.
        ghosts: Meta tensors in ``obj`` that stand for real ones.

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
    if _can_dry_run():
        return _dry_run(obj, ghosts)
    if ghosts is not None and ghosts.locations:
        raise RuntimeError("checkroom: the installed PyTorch cannot size tensors that do not exist yet")
    sink = _NullSink()
    _pytorch_save(obj, sink)
    return sink.size


def storage_sizes(obj: Any, *, ghosts: Ghosts | None = None) -> dict[int, int]:
    """The storages of an object: their identity and their bytes, in the order in which PyTorch would write them."""
    import torch.serialization

    sizes: dict[int, int] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            if isinstance(item, torch.storage.TypedStorage) or torch.is_storage(item):
                storage = _untyped(item)
                sizes[storage._cdata] = storage.nbytes()
                return "storage"
            return None

        def reducer_override(self, item: Any) -> Any:
            return _reduce_ghost(item, ghosts)

    Pickler(_NullSink(), protocol=torch.serialization.DEFAULT_PROTOCOL).dump(obj)
    return sizes


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


def _spied_save(
    obj: Any, sink: _Sink, on_size: Callable[[int], None], dialect: _Dialect, save: Callable[..., None]
) -> None:
    """``save`` (``torch.save``, or what stands under its name) into the sink; ``on_size`` before the first byte."""
    seen = _Seen()

    def on_dumped() -> None:
        assert seen.pickle_bytes is not None
        on_size(dialect.size(seen.pickle_bytes, list(seen.storages.items())))

    module = _pickle_module(seen, on_dumped=on_dumped, on_failure=sink.fail)
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
    dialect = _dialect()
    sizes: list[int] = []
    try:
        if dialect is None:
            raise RuntimeError("its zip is not the one that is known")
        plain, spied = io.BytesIO(), io.BytesIO()
        _pytorch_save(_probe(), plain)
        sink = _Sink(spied)
        _spied_save(
            _probe(), sink, lambda size: sizes.append(size if sink.written == 0 else -1), dialect, _pytorch_save
        )
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

    dialect = _dialect()
    if dialect is not None and _can_spy():
        _spied_save(obj, sink, announce, dialect, torch.save)
    else:
        if _can_dry_run():
            announce(_dry_run(obj))
        _first_error(sink, lambda: torch.save(obj, sink))  # type: ignore[arg-type]
    if announced and announced[0] != sink.written:
        logger.warning("checkroom: a file of %d bytes was announced as %d", sink.written, announced[0])
    return sink.written
