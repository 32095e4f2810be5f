"""The one pickling pass: PyTorch's own, watched by a Pickler that notes every storage, and the exact size from it.

PyTorch's ``_save`` does the pickling, always. For an object that is not written it runs over a recorder in place of
its zip writer: a dry run, which reads no tensor data. This rests on private parts of PyTorch. At first use they are
tried on a small object; where they do not fit the installed PyTorch, sizes come from a save that throws its bytes away.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import logging
import pickle
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from checkroom._core import archive_size
from checkroom._ghosts import Ghosts
from checkroom._torch_zip import alignment, dialect, probe, pytorch_save

__all__ = ["Measured", "Seen", "can_measure", "exact_size", "measure", "pickle_module"]

logger = logging.getLogger("checkroom")


# ---------------------------------------------------------------- a Pickler that reports

# Nine of ten objects in a checkpoint. PyTorch is not asked whether they are storages: that takes a fifth of the pass.
_NO_STORAGE = frozenset(
    {type(None), bool, int, float, str, bytes, tuple, list, dict, collections.OrderedDict, type, types.FunctionType}
)


@dataclass
class Seen:
    """What one pickling pass has met.

    Args:
        storages: Bytes of each storage by its key, in the order of the file.
        identities: The same by the identity of the data.
        pickle_bytes: The length of the pickle, once it is complete.
        holds: Are the storages themselves wanted?
        held: Each storage by its key, where they are.
    """

    storages: dict[str, int] = field(default_factory=dict)
    identities: dict[int, int] = field(default_factory=dict)
    pickle_bytes: int | None = None
    holds: bool = False
    held: dict[str, Any] = field(default_factory=dict)


def pickle_module(
    seen: Seen,
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
                if type(obj) in _NO_STORAGE:
                    return None
                found = original(self, obj)
                if found is not None:
                    storage = getattr(obj, "_untyped_storage", obj)
                    seen.storages[found[2]] = seen.identities[storage._cdata] = storage.nbytes()
                    if seen.holds:
                        seen.held[found[2]] = storage
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

    if ghosts is None:
        return types.SimpleNamespace(__name__="pickle", Pickler=Pickler)
    reduce = ghosts.reduce

    class GhostPickler(Pickler):
        def reducer_override(self, obj: Any) -> Any:
            return reduce(obj)

    return types.SimpleNamespace(__name__="pickle", Pickler=GhostPickler)


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
    """The file that ``torch.save`` would write, by PyTorch's own ``_save`` over a recorder.

    Args:
        obj: What would be saved.
        ghosts: Meta tensors in ``obj`` that stand for real ones.

    Raises:
        RuntimeError: The installed PyTorch writes in a way that is not known.
        Exception: What ``torch.save`` itself would raise, such as ``pickle.PicklingError``.
    """
    import torch.serialization

    known = dialect()
    if known is None:
        raise RuntimeError("checkroom: the zip of the installed PyTorch is not the one that is known")
    recorder, seen = _Recorder(), Seen()
    module = pickle_module(seen, ghosts=ghosts)
    skip_data = getattr(torch.serialization, "skip_data", contextlib.nullcontext)
    with skip_data():
        protocol = torch.serialization.DEFAULT_PROTOCOL
        torch.serialization._save(obj, recorder, module, protocol, False)  # type: ignore[no-untyped-call]
    total = archive_size([*recorder.records, *known.trailer], alignment=alignment())
    return Measured(total, seen.identities)


@functools.lru_cache(maxsize=1)
def can_measure() -> bool:
    """Does :func:`measure` fit the installed PyTorch? Tried once."""
    try:
        file = io.BytesIO()
        pytorch_save(probe(), file)
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
    sink = _NullSink()
    pytorch_save(obj, sink)
    return sink.size
