"""What the installed PyTorch writes around a pickle, and picklers that tell what passes through them.

Everything here rests on private parts of PyTorch: :func:`dialect` tries them on a small object first.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from checkroom._core import archive_size

__all__ = ["Dialect", "Ghosts", "Seen", "alignment", "dialect", "pickle_module", "probe"]

logger = logging.getLogger("checkroom")

_ALIGNMENT_RECORD = ".storage_alignment"


# ---------------------------------------------------------------- how the installed PyTorch writes


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


def probe() -> Any:
    import torch

    tensor = torch.zeros(3, device="cpu")
    return {"a": tensor, "b": tensor[:2], "c": torch.zeros(0, device="cpu")}


@functools.lru_cache(maxsize=1)
def dialect() -> Dialect | None:
    """The records of the installed PyTorch, read off a small file; ``None``: it writes something else."""
    import zipfile

    import torch

    file = io.BytesIO()
    try:
        torch.save(probe(), file)
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
        if device is None:
            return None
        # PyTorch tags every CPU storage with the same string object, which the pickle then holds once; on other
        # devices each storage has a string of its own.
        return sys.intern(device) if device == "cpu" else "".join(list(device))

    def reduce(self, tensor: Any) -> Any:
        """What a real tensor of this kind reduces to; ``NotImplemented``: it is not a ghost."""
        import torch

        if tensor.untyped_storage()._cdata not in self.locations:
            return NotImplemented
        if isinstance(tensor, torch.nn.Parameter):
            return torch._utils._rebuild_parameter, (tensor.data, tensor.requires_grad, OrderedDict())
        args: tuple[Any, ...] = (
            tensor.storage_offset(), tuple(tensor.size()), tensor.stride(), tensor.requires_grad, OrderedDict(),
        )  # fmt: skip
        if tensor.dtype in torch.storage._new_dtypes():
            return torch._utils._rebuild_tensor_v3, (tensor.untyped_storage(), *args, tensor.dtype)
        storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (storage, *args)


# ---------------------------------------------------------------- picklers that report


@dataclass
class Seen:
    """What one pickling pass has met."""

    storages: dict[str, int] = field(default_factory=dict)  # key -> bytes, in the order of the file
    identities: dict[int, int] = field(default_factory=dict)  # the same by the identity of the data
    pickle_bytes: int | None = None


def _untyped(storage: Any) -> Any:
    return getattr(storage, "_untyped_storage", storage)


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
                found = original(self, obj)
                if found is not None:
                    storage = _untyped(obj)
                    seen.storages[found[2]] = seen.identities[storage._cdata] = storage.nbytes()
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
