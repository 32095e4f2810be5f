"""The answer to "how big?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Bound", "CheckpointSize"]

Bound = Literal["exact", "at least", "at most", "estimate"]


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

    def __post_init__(self) -> None:
        if self.exact is not (self.bound == "exact"):
            raise ValueError(f"exact={self.exact} contradicts bound={self.bound!r}")
        if self.least == -1:
            object.__setattr__(self, "least", self.total if self.bound in ("exact", "at least") else 0)
        if self.most == -1:
            object.__setattr__(self, "most", self.total if self.bound in ("exact", "at most") else None)
