"""Names of checkpoint files, as Lightning makes them of a pattern."""

from __future__ import annotations

import re

__all__ = ["doubled_metric_names"]


def doubled_metric_names(filename: str) -> tuple[str, ...]:
    """The names that stand before their own field, which Lightning would insert a second time.

    Args:
        filename: ``ModelCheckpoint``'s ``filename``.

    Returns:
        ``("val_loss",)`` for ``"val_loss={val_loss:.3f}"``, which becomes ``val_loss=val_loss=0.960``.

    Example:
        >>> doubled_metric_names("epoch_{epoch:02d}-{val_loss:.3f}")
        ('epoch',)
    """
    names = []
    for match in re.finditer(r"\{([^{}:!\[]+)", filename):
        before = filename[: match.start()].rstrip("=_-: ")
        if before.endswith(match.group(1)):
            names.append(match.group(1))
    return tuple(dict.fromkeys(names))
