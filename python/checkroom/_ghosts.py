"""Tensors that do not exist yet: on the meta device, without memory, pickled as if they were real."""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Ghosts"]


@dataclass
class Ghosts:
    """Meta tensors that stand for real ones.

    Args:
        locations: The device of each ghost, by its storage.
        home: Where what is on the meta device now will lie once it has memory.
    """

    locations: dict[int, str] = field(default_factory=dict)
    home: str = "cpu"
    _alive: list[Any] = field(default_factory=list)  # a storage's identity is its own only while it lives

    def add(self, tensor: Any, device: str) -> Any:
        """This meta tensor stands for one on ``device``; returns the tensor."""
        self._alive.append(tensor)
        self.locations[tensor.untyped_storage()._cdata] = self.home if device == "meta" else device
        return tensor

    def location(self, storage: Any) -> str | None:
        """Where the storage would lie; ``None``: it is not a ghost."""
        device = self.locations.get(storage._cdata)
        if device is None:
            return None
        # PyTorch names every CPU storage by one and the same string, which the pickle then holds once; on other
        # devices each storage has a string of its own.
        return sys.intern(device) if device == "cpu" else "".join(list(device))

    def reduce(self, value: Any) -> Any:
        """What a real tensor of this kind reduces to; ``NotImplemented``: it is not a ghost."""
        import torch

        if not isinstance(value, torch.Tensor) or not value.is_meta:
            return NotImplemented
        if value.untyped_storage()._cdata not in self.locations:
            return NotImplemented
        if isinstance(value, torch.nn.Parameter):
            return torch._utils._rebuild_parameter, (value.data, value.requires_grad, OrderedDict())
        args: tuple[Any, ...] = (
            value.storage_offset(), tuple(value.size()), value.stride(), value.requires_grad, OrderedDict(),
        )  # fmt: skip
        if value.dtype in torch.storage._new_dtypes():
            return torch._utils._rebuild_tensor_v3, (value.untyped_storage(), *args, value.dtype)
        storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=value.untyped_storage(), dtype=value.dtype, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (storage, *args)
