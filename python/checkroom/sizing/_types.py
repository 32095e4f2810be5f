"""The answer to "how big?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Bound", "CheckpointSize", "KeyShare", "ModuleShare", "Split", "Trap"]

Bound = Literal["exact", "at least", "at most", "estimate"]


@dataclass(frozen=True)
class KeyShare:
    """What one top-level key of a checkpoint takes.

    Args:
        key: Such as ``"state_dict"``; of a file that is itself a state dict ``""``.
        bytes: Its tensor data that no key before it holds as well, in bytes. What else it holds is in the pickle.
    """

    key: str
    bytes: int


@dataclass(frozen=True)
class ModuleShare:
    """What one part of the model takes.

    Args:
        name: The leading parts of its parameters' names, such as ``"model.backbone"``; of those of the outermost
            module ``""``.
        weights: Its tensor data, in bytes. A tensor with several names counts under the first.
        optimizer: The optimizers' states for it, in bytes; ``None``: they could not be told apart.
    """

    name: str
    weights: int
    optimizer: int | None


@dataclass(frozen=True)
class Split:
    """How the parts of a file share its bytes.

    The bytes of ``by_key`` and ``structure`` add up to the file's size. So do weights and optimizer of ``by_module``,
    ``not_told_apart``, ``other_tensors`` and ``structure``.

    Args:
        by_key: The top-level keys, in their order.
        by_module: The parts of the model, in the order of the weights.
        not_told_apart: Bytes of the optimizers' states of which it is not proved whose they are.
        other_tensors: Bytes of tensors that are neither weights nor optimizer states.
        structure: The pickle and the zip around it, in bytes.

    Example:
        >>> split = Split((KeyShare("state_dict", 40), KeyShare("loops", 0)), (ModuleShare("net", 40, 0),), 0, 0, 900)
        >>> sum(share.bytes for share in split.by_key) + split.structure
        940
    """

    by_key: tuple[KeyShare, ...]
    by_module: tuple[ModuleShare, ...]
    not_told_apart: int
    other_tensors: int
    structure: int


TrapKind = Literal["view", "tensors", "copy", "tie", "frozen states", "frozen weights", "small tensors"]


@dataclass(frozen=True)
class Trap:
    """Something that makes a checkpoint larger than it need be.

    Args:
        kind: ``"view"``: a tensor that drags a larger storage along; ``"tensors"``: tensors that are neither weights
            nor optimizer states, such as one in the hyperparameters; ``"copy"``: the weights a second time;
            ``"tie"``: one tensor of the model that is several in the file; ``"frozen states"``: optimizer states of
            parameters that are not trained any more; ``"frozen weights"``; ``"small tensors"``: more zip than data.
        bytes: What it takes in every file.
        text: The same for a person to read.
    """

    kind: TrapKind
    bytes: int
    text: str


@dataclass(frozen=True)
class CheckpointSize:
    """The size of one checkpoint file and its shares, all in bytes.

    Args:
        total: The whole file.
        weights: Tensor data of the model.
        optimizer: Tensor data of the optimizers' states.
        other: The rest: other tensors, the pickled structure and the zip around it.
        exact: Is ``total`` exact to the byte?
        bound: What ``total`` is: ``"exact"``, ``"at least"``, ``"at most"`` or an ``"estimate"``.
        notes: Why it is not exact, for a person to read.
        least: The smallest that the file can be, as far as known; 0 where nothing is known.
        most: The largest that it can be; ``None`` where nothing is known.
        assumes: What the figure takes for granted and cannot be known yet, for a person to read.
        split: How its parts share the bytes; only of a file that exists.
        traps: What makes the file larger than it need be, the largest first; only of a trainer's checkpoint.

    Example:
        >>> size = CheckpointSize(total=1500, weights=400, optimizer=800, other=300)
        >>> size.exact, size.bound, size.least, size.most
        (True, 'exact', 1500, 1500)
    """

    total: int
    weights: int
    optimizer: int
    other: int
    exact: bool = True
    bound: Bound = "exact"
    notes: tuple[str, ...] = ()
    least: int = -1
    most: int | None = -1
    assumes: tuple[str, ...] = ()
    split: Split | None = None
    traps: tuple[Trap, ...] = ()

    def __post_init__(self) -> None:
        if self.exact is not (self.bound == "exact"):
            raise ValueError(f"exact={self.exact} contradicts bound={self.bound!r}")
        if self.least == -1:
            object.__setattr__(self, "least", self.total if self.bound in ("exact", "at least") else 0)
        if self.most == -1:
            object.__setattr__(self, "most", self.total if self.bound in ("exact", "at most") else None)
