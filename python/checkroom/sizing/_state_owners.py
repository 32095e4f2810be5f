"""Which part of a model the states of a saved optimizer belong to, where that can be proved."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from checkroom.sizing._scan import Container, Global, Storage

__all__ = ["State", "Weight", "owned_states", "saved_states", "weight_of"]

Shape = tuple[int, ...]

# What PyTorch's optimizers keep in the shape of the parameter.
_LIKE_THE_PARAMETER = frozenset({
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "acc_delta",
    "sum", "prev", "step_size", "ax", "variance",
})  # fmt: skip
_REBUILD = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")
_REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
_WHOLE_NUMBERS = tuple(f"torch.{kind}Storage" for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool"))
_STATISTICS = ("running_mean", "running_var")  # of a normalisation layer: the forward pass writes them


@dataclass(frozen=True)
class Weight:
    """A tensor that an optimizer may train.

    Args:
        name: Its whole name.
        shape: Its shape; ``None``: not a plain tensor.
        group: The group that its name belongs to.
    """

    name: str
    shape: Shape | None
    group: str


@dataclass(frozen=True)
class State:
    """What an optimizer keeps for one parameter.

    Args:
        entry: Where its tensors lie.
        name: The parameter's name; ``None``: the file does not say.
        shape: The parameter's shape, as its states show it; ``None``: they do not.
    """

    entry: Any
    name: str | None
    shape: Shape | None


def weight_of(name: str, value: Any, group: str) -> tuple[Weight, object] | None:
    """A tensor of a state dict and what tells whether another name is the same one; ``None``: nothing trains it."""
    found = _tensor(value)
    if found is None:
        return Weight(name, None, group), object()
    shape, storage, offset = found
    if storage.kind in _WHOLE_NUMBERS or name.rpartition(".")[2] in _STATISTICS:
        return None
    return Weight(name, shape, group), (storage.key, offset, shape)


def saved_states(value: Any) -> Iterator[State]:
    """The states in one ``Optimizer.state_dict()`` or in a list of them, in order."""
    listed = isinstance(value, Container) and not value.entries
    for one in value.children if listed else [value]:
        parts = _named(one)
        names = _names(parts.get("param_groups"))
        states = parts.get("state")
        for index, entry in states.pairs() if isinstance(states, Container) else ():
            name = index if isinstance(index, str) else names.get(index) if isinstance(index, int) else None
            yield State(entry, name, _shape_of_parameter(entry))


def owned_states(states: Sequence[tuple[State, int]], weights: Sequence[Weight]) -> dict[str, int | None]:
    """The bytes of states for each group of weights.

    A state that names its parameter belongs to it. Of the others only the shape is known: where as many states as
    tensors have it, each of them has one; where all tensors of that shape are of one group, the states are of that
    group. Nothing is concluded from the order.

    Args:
        states: The states, and the bytes of each.
        weights: All that may be trained, each tensor once.

    Returns:
        The bytes by group; ``None``: some states may or may not be of this group.
    """
    known: Counter[str] = Counter()
    groups = {weight.group for weight in weights}
    unsure: set[str] = set()
    by_name = {weight.name: weight for weight in weights}
    sizes: dict[Shape | None, list[int]] = defaultdict(list)
    claimed: set[str] = set()
    for state, size in states:
        weight = by_name.get(state.name) if state.name is not None else None
        if weight is not None and state.shape in (None, weight.shape):
            known[weight.group] += size
            claimed.add(weight.name)
        elif size:
            sizes[state.shape].append(size)
    owners: dict[Shape | None, list[Weight]] = defaultdict(list)
    for weight in weights:
        if weight.name not in claimed:
            owners[weight.shape].append(weight)
    # What has no known shape may belong to any tensor, or any tensor's states to it.
    if None in sizes or (sizes and None in owners):
        return dict.fromkeys(groups)
    for shape, each in sizes.items():
        having = owners[shape]
        theirs = {weight.group for weight in having}
        if len(each) > len(having):
            return dict.fromkeys(groups)
        if len(theirs) == 1:
            known[having[0].group] += sum(each)
        elif len(each) == len(having) and len(set(each)) == 1:
            for weight in having:
                known[weight.group] += each[0]
        else:
            unsure |= theirs
    return {group: None if group in unsure else known[group] for group in groups}


def _tensor(value: Any) -> tuple[Shape, Storage, Any] | None:
    function, arguments = _call(value)
    if function == _REBUILD_PARAMETER and arguments:
        function, arguments = _call(arguments[0])
    if function not in _REBUILD or len(arguments) < 3:
        return None
    storage, offset, shape = arguments[:3]
    if not isinstance(storage, Storage) or not isinstance(offset, int) or not isinstance(shape, Container):
        return None
    lengths = [length for length in shape.children if isinstance(length, int)]
    return (tuple(lengths), storage, offset) if len(lengths) == len(shape.children) else None


def _call(value: Any) -> tuple[str, list[Any]]:
    """The function and the arguments of what a call would have made."""
    if isinstance(value, Container) and len(value.children) >= 2:
        function, arguments = value.children[:2]
        if isinstance(function, Global) and isinstance(arguments, Container):
            return function.name, arguments.children
    return "", []


def _named(value: Any) -> dict[str, Any]:
    """What a dict holds under texts."""
    return {key: item for key, item in value.pairs() if isinstance(key, str)} if isinstance(value, Container) else {}


def _names(param_groups: Any) -> dict[int, str]:
    """Names of parameters by their index, where the optimizer was given names."""
    found: dict[int, str] = {}
    for group in param_groups.children if isinstance(param_groups, Container) else ():
        parts = _named(group)
        indices, names = parts.get("params"), parts.get("param_names")
        if isinstance(indices, Container) and isinstance(names, Container):
            pairs = zip(indices.children, names.children)
            found.update((index, name) for index, name in pairs if isinstance(index, int) and isinstance(name, str))
    return found


def _shape_of_parameter(entry: Any) -> Shape | None:
    tensors = {key: _tensor(value) for key, value in _named(entry).items()}
    shapes = {key: found[0] for key, found in tensors.items() if found is not None}
    alike = {shape for key, shape in shapes.items() if key in _LIKE_THE_PARAMETER}
    if len(alike) == 1:
        return alike.pop()
    rows, columns = shapes.get("row_var"), shapes.get("col_var")  # Adafactor: (n, 1) and (1, m) for (n, m)
    if not alike and rows and columns and len(rows) == len(columns):
        return (*rows[:-1], columns[-1])
    return None
