"""How the parts of a checkpoint that exists share its bytes: by its keys, and by the parts of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from checkroom.sizing._name_groups import group_labels
from checkroom.sizing._scan import Container, PickleError, Storage
from checkroom.sizing._state_owners import State, Weight, owned_states, saved_states, weight_of
from checkroom.sizing._types import CheckpointSize, KeyShare, ModuleShare, Split

__all__ = ["size_of"]

_WEIGHTS = frozenset({"state_dict", "model", "model_state_dict", "module"})
_OPTIMIZERS = frozenset({"optimizer_states", "optimizer", "optimizers", "optimizer_state_dict"})

# Names have a handful of parts. Only a file made for the purpose has more, which are then not taken apart.
_MOST_PARTS = 32
_DEEPEST_DICT = 8


def size_of(root: Any, sizes: Mapping[str, int], total: int) -> CheckpointSize:
    """The size of a file and its split; each storage counts where it is met first.

    Args:
        root: The structure of its pickle.
        sizes: Bytes of each storage, by its key.
        total: Bytes of the file.

    Raises:
        PickleError: A storage is missing.
    """
    tensors = _Tensors(sizes)
    by_key: list[KeyShare] = []
    leaves: list[_Leaf] = []
    states: list[tuple[State, int]] = []
    shares = {"weights": 0, "optimizer": 0, "other": 0}
    for share, key, value in _parts(root):
        before = tensors.bytes
        if share == "weights":
            leaves += [_Leaf(parts, leaf, tensors.take(leaf)) for parts, leaf in _leaves(value)]
        elif share == "optimizer":
            states += [(state, tensors.take(state.entry)) for state in saved_states(value)]
        tensors.take(value)
        by_key.append(KeyShare(key, tensors.bytes - before))
        shares[share] += tensors.bytes - before
    by_module = _by_module(leaves, states)
    split = Split(
        by_key=tuple(by_key),
        by_module=tuple(by_module),
        not_told_apart=shares["optimizer"] - sum(each.optimizer or 0 for each in by_module),
        other_tensors=shares["other"],
        structure=total - sum(shares.values()),
    )
    weights, optimizer = shares["weights"], shares["optimizer"]
    other = total - weights - optimizer
    return CheckpointSize(total=total, weights=weights, optimizer=optimizer, other=other, split=split)


class _Leaf(NamedTuple):
    """Something in a state dict: the parts of its name, itself, and the bytes that are counted for it."""

    parts: tuple[str, ...]
    value: Any
    bytes: int


class _Tensors:
    """Counts storages, each the first time that it is met."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.bytes = 0
        self._sizes = sizes
        self._seen: set[int] = set()
        self._counted: set[str] = set()

    def take(self, value: Any) -> int:
        """Bytes of what is below a value and was not counted before."""
        before = self.bytes
        for storage in _storages(value, self._seen):
            if storage.key in self._counted:
                continue
            self._counted.add(storage.key)
            if storage.key not in self._sizes:
                raise PickleError(f"its storage {storage.key!r} is missing")
            self.bytes += self._sizes[storage.key]
        return self.bytes - before


def _parts(root: Any) -> Iterator[tuple[str, str, Any]]:
    """What a file holds: the share that it belongs to, its key, itself."""
    pairs = list(root.pairs()) if isinstance(root, Container) else []
    keys = {key for key, _ in pairs if isinstance(key, str)}
    if not keys & (_WEIGHTS | _OPTIMIZERS):
        yield "weights", "", root
        return
    for key, value in pairs:
        name = _text(key)
        yield "weights" if name in _WEIGHTS else "optimizer" if name in _OPTIMIZERS else "other", name, value


def _leaves(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What a state dict holds, in order, with the parts of its name; dicts inside of it are opened."""
    waiting: list[tuple[int, tuple[str, ...], Any]] = [(0, (), value)]
    seen: set[int] = set()
    while waiting:
        depth, parts, item = waiting.pop()
        if not isinstance(item, Container) or not item.entries or depth == _DEEPEST_DICT or id(item) in seen:
            yield parts, item
            continue
        seen.add(id(item))
        for key, inner in reversed(item.entries):
            waiting.append((depth + 1, (*parts, *_text(key).split(".", _MOST_PARTS)), inner))


def _text(key: Any) -> str:
    """A key to show. Numbers of any length are none: writing one out takes time by the square of its length."""
    if isinstance(key, int):
        return str(key) if key.bit_length() < 64 else "?"
    return key if isinstance(key, str) else "?"


def _storages(value: Any, seen: set[int]) -> Iterator[Storage]:
    """Every storage below a value, in order; what was walked before is not walked again."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Storage):
            yield item
        elif isinstance(item, Container) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(reversed(item.children))


def _by_module(leaves: list[_Leaf], states: list[tuple[State, int]]) -> list[ModuleShare]:
    labels = group_labels([leaf.parts for leaf in leaves], [leaf.bytes for leaf in leaves])
    weights: Counter[str] = Counter()
    trained: dict[object, Weight] = {}
    for leaf, label in zip(leaves, labels):
        weights[label] += leaf.bytes
        found = weight_of(".".join(leaf.parts), leaf.value, label)
        if found is not None:
            trained.setdefault(found[1], found[0])
    owned = owned_states(states, list(trained.values()))
    return [ModuleShare(label, size, owned.get(label, 0)) for label, size in weights.items()]
