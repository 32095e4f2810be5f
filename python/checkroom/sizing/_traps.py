"""What makes a checkpoint larger than it need be, with its bytes.

Tensors are looked at where they are: nothing is copied, and values are read only to tell a copy from its original.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from checkroom._core import format_size
from checkroom._ghosts import Ghosts
from checkroom._pickling import Measured, measure
from checkroom.sizing._callback_states import finetuning_callback
from checkroom.sizing._ghost_step import is_lazy
from checkroom.sizing._types import Trap

__all__ = ["traps_of"]

logger = logging.getLogger("checkroom")

# What is less than a hundredth of the file, or than this, is nobody's worry.
_LEAST_BYTES = 4096
# Weights that are frozen by intent are worth a line from a tenth of the file on.
_FROZEN_SHARE = 10
# The zip takes some hundred bytes a tensor, and a small model is mostly zip.
_LEAST_STRUCTURE = 500_000
_SAMPLE = 4096
_KNOWN = ("state_dict", "optimizer_states")
_NAMES_OF_COPIES = ("ema", "averag", "shadow", "target", "momentum", "teacher", "swa")


def traps_of(trainer: Any, handed: Any, measured: Measured, ghosts: Ghosts) -> tuple[Trap, ...]:
    """What the checkpoint holds without need, the largest first.

    Args:
        trainer: The trainer.
        handed: What reaches ``torch.save``.
        measured: What that weighs.
        ghosts: Tensors in it that stand for real ones.
    """
    if not isinstance(handed, Mapping):
        return ()
    try:
        look = _Look(trainer, handed, measured, ghosts)
        found = [*look.views(), *look.elsewhere(), *look.ties(), *look.states_of_frozen(), *look.weights_twice()]
        found += [*look.frozen_weights(), *look.small_tensors()]
    except Exception as error:  # a tensor may be of any class; the size that is known must not be lost over it
        why = f"{type(error).__name__}: {error}"
        logger.info("checkroom: what makes the checkpoint larger was not looked for: %s", why)
        return ()
    return tuple(sorted(found, key=lambda trap: -trap.bytes))


class _Look:
    def __init__(self, trainer: Any, handed: Mapping[str, Any], measured: Measured, ghosts: Ghosts) -> None:
        self.trainer, self.module, self.handed = trainer, trainer.lightning_module, handed
        self.storages, self.total, self.ghosts = measured.storages, measured.total, ghosts
        self.least = max(_LEAST_BYTES, measured.total // 100)
        self.weights = dict(_tensors(handed.get("state_dict"), ""))
        self._copies: list[str] = []  # modules that are second copies

    def _weigh(self, identities: set[int]) -> int:
        return sum(self.storages.get(identity, 0) for identity in identities)

    # -- storages that are larger than what is used of them

    def views(self) -> Iterator[Trap]:
        used: dict[int, dict[Any, int]] = {}
        names: dict[int, str] = {}
        for key, value in self.handed.items():
            for name, tensor in _tensors(value, "" if key == "state_dict" else str(key)):
                identity = _identity(tensor)
                if identity in self.storages:
                    form = (tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
                    used.setdefault(identity, {})[form] = _used_bytes(tensor)
                    names.setdefault(identity, name)
        for identity, forms in used.items():
            size, kept = self.storages[identity], sum(forms.values())
            if size - kept >= self.least:
                yield Trap(
                    "view", size - kept,
                    f"{names[identity]} is a view that uses {format_size(kept)} and saves its whole storage of "
                    f"{format_size(size)}: keep a clone() of it",
                )  # fmt: skip

    # -- tensors that are neither weights nor optimizer states

    def elsewhere(self) -> Iterator[Trap]:
        seen = {_identity(tensor) for key in _KNOWN for _, tensor in _tensors(self.handed.get(key), "")}
        if self._weigh(self.storages.keys() - seen) < self.least:
            return
        known = {one for key in _KNOWN for one in self._met(self.handed.get(key))}
        own = Counter(self.storages[one] for one in self._met(self.handed.get("state_dict")))
        weights = sum(size * count for size, count in own.items())
        for name, value in self._entries(known):
            fresh = self._met(value) - known
            size = self._weigh(fresh)
            if size < self.least:
                continue
            known |= fresh
            both = own & Counter(self.storages[one] for one in fresh)
            if sum(each * count for each, count in both.items()) * 10 >= weights * 9:
                text = f"{name} holds a second copy of the weights, {format_size(size)} in every file"
                yield Trap("copy", size, text)
            else:
                yield Trap("tensors", size, f"{name} holds {format_size(size)} of tensors in every file")

    def _entries(self, known: set[int]) -> Iterator[tuple[str, Any]]:
        """Keys of the checkpoint that hold much beside what is known; where they are dicts, their entries."""
        for key, value in self.handed.items():
            if key in _KNOWN or self._weigh(self._met(value) - known) < self.least:
                continue
            if isinstance(value, Mapping):
                yield from ((f"{key}[{str(inner)!r}]", entry) for inner, entry in value.items())
            else:
                yield str(key), value

    def _met(self, value: Any) -> set[int]:
        """The storages that a value brings along, whatever objects they are in."""
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return set()
        return measure(value, self.ghosts).storages.keys() & self.storages.keys()

    # -- tensors that are one in the model and two in the file

    def ties(self) -> Iterator[Trap]:
        shared: dict[int, list[str]] = {}
        parameters = self.module.named_parameters(remove_duplicate=False)
        for name, tensor in itertools.chain(parameters, self.module.named_buffers(remove_duplicate=False)):
            identity = _identity(tensor)
            if identity is not None and name in self.weights:
                shared.setdefault(identity, []).append(name)
        for names in shared.values():
            found = {_identity(self.weights[name]) for name in names} - {None}
            sizes = sorted(self.storages.get(one, 0) for one in found if one is not None)
            if len(sizes) > 1 and sum(sizes[:-1]) >= self.least:
                extra = sum(sizes[:-1])
                yield Trap(
                    "tie", extra,
                    f"{' and '.join(names[:2])} are one tensor in the model and {len(sizes)} in the file, which takes "
                    f"{format_size(extra)} more",
                )  # fmt: skip

    # -- what belongs to parameters that are not trained

    def states_of_frozen(self) -> Iterator[Trap]:
        for optimizer in self.trainer.optimizers if "optimizer_states" in self.handed else ():
            states = getattr(optimizer, "state", {})
            frozen = [state for parameter, state in states.items() if not getattr(parameter, "requires_grad", True)]
            size = self._weigh({one for _, tensor in _tensors(frozen, "") if (one := _identity(tensor)) is not None})
            if size >= self.least:
                yield Trap(
                    "frozen states", size,
                    f"{type(optimizer).__name__} keeps {format_size(size)} of states for {len(frozen)} parameters that "
                    "are frozen now",
                )  # fmt: skip

    def weights_twice(self) -> Iterator[Trap]:
        """Modules without a trained parameter that are a copy of one that is trained: moving averages, teachers."""
        trained: dict[str, Counter[Any]] = {}
        parts = dict(self.module.named_modules())
        for name, part in parts.items():
            forms = Counter(_form(p) for p in part.parameters() if p.requires_grad and not is_lazy(p))
            if _bytes(forms) >= self.least:
                trained[name] = forms
        for name, part in parts.items():
            if any(_inside(name, copy) for copy in self._copies) or any(p.requires_grad for p in part.parameters()):
                continue
            tensors = [tensor for tensor in (*part.parameters(), *part.buffers()) if not is_lazy(tensor)]
            forms = Counter(map(_form, tensors))
            size = _bytes(forms)
            alike = []
            for original, theirs in trained.items() if size >= self.least else ():
                whole, both = _bytes(theirs), _bytes(forms & theirs)
                if size * 10 <= whole * 12 and both * 10 >= whole * 9:
                    alike.append((both, original))
            # What they have most of in common; of a module and the one around it the inner one, which comes later.
            for _, original in sorted(reversed(alike), key=lambda pair: -pair[0]):
                if _is_named_like_a_copy(name) or _have_equal_values(parts[original], tensors):
                    self._copies.append(name)
                    of = f"of {original}" if original else "of the weights"
                    yield Trap("copy", size, f"{name} is a second copy {of}, {format_size(size)} in every file")
                    break

    def frozen_weights(self) -> Iterator[Trap]:
        if finetuning_callback(self.trainer) is not None or not self.trainer.optimizers:
            return  # what is trained later has to be saved
        frozen = {
            _identity(self.weights[name]) for name, parameter in self.module.named_parameters()
            if not parameter.requires_grad and name in self.weights
            and not any(_inside(name, copy) for copy in self._copies)
        }  # fmt: skip
        size = self._weigh({one for one in frozen if one is not None})
        if size >= self.least and size * _FROZEN_SHARE >= self.total:
            yield Trap(
                "frozen weights", size,
                f"frozen weights are {format_size(size)} of every file; a state_dict() without them leaves "
                f"{format_size(self.total - size)}",
            )  # fmt: skip

    def small_tensors(self) -> Iterator[Trap]:
        data = sum(self.storages.values())
        structure = self.total - data
        if structure >= max(_LEAST_STRUCTURE, data):
            yield Trap(
                "small tensors", structure,
                f"{len(self.storages)} tensors of {format_size(data // max(1, len(self.storages)))} on average take "
                f"{format_size(structure)} of names and padding beside {format_size(data)} of data",
            )  # fmt: skip


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every tensor in dicts, lists and tuples, with the way there."""
    import torch

    waiting: list[tuple[str, Any]] = [(name, value)]
    seen: set[int] = set()
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, torch.Tensor):
            yield name, item
        elif isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            entries = item.items() if isinstance(item, Mapping) else enumerate(item)
            waiting.extend((f"{name}.{key}" if name else str(key), inner) for key, inner in reversed([*entries]))


def _identity(tensor: Any) -> int | None:
    try:
        identity: int = tensor.untyped_storage()._cdata
    except Exception:  # sparse and quantised tensors, and what is no tensor, have no storage of this kind
        return None
    return identity


def _used_bytes(tensor: Any) -> int:
    """Bytes of a storage that a tensor shows; what it repeats counts once."""
    used: int = tensor.element_size()
    for length, stride in zip(tensor.shape, tensor.stride()):
        used *= length if stride else min(length, 1)
    return used


def _form(tensor: Any) -> tuple[Any, Any, int]:
    return tuple(tensor.shape), tensor.dtype, tensor.element_size()


def _bytes(forms: Counter[Any]) -> int:
    total = 0
    for (shape, _, size), count in forms.items():
        for length in shape:
            size *= length
        total += size * count
    return total


def _inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _is_named_like_a_copy(name: str) -> bool:
    words = name.lower().replace(".", "_").split("_")
    return any(word.startswith(hint) for word in words for hint in _NAMES_OF_COPIES)


def _have_equal_values(original: Any, tensors: list[Any]) -> bool:
    """Is the original's largest tensor among these? A layer of the same form that was trained apart is no copy."""
    import torch

    trained = (p for p in original.parameters() if p.requires_grad and not is_lazy(p))
    largest = max(trained, key=lambda parameter: int(parameter.numel()))
    sample = _sample(largest)
    if largest.is_meta or sample.unique().numel() < 2:  # nothing but zeros are equal by chance
        return False
    alike = (tensor for tensor in tensors if _form(tensor) == _form(largest) and tensor.device == largest.device)
    return any(torch.equal(_sample(tensor), sample) for tensor in alike)


def _sample(tensor: Any) -> Any:
    """The last few thousand elements, without a copy: the first may be a padding of zeros."""
    part = tensor.detach()
    while part.dim() and part.numel() > _SAMPLE:
        row = part.numel() // part.shape[0]
        part = part[-max(1, _SAMPLE // row) :] if row <= _SAMPLE else part[-1]
    return part
