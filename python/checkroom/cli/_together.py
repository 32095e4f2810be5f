"""What runs need together that share one disk and save one after another: callbacks of one trainer."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["need_together"]


def need_together(rest: Sequence[int], need: Sequence[int]) -> int:
    """Bytes at the worst moment: one of them is at its peak, each of the others at rest.

    Args:
        rest: What each of them has at rest, at the most.
        need: What each of them needs alone, at the most.

    Example:
        >>> need_together([20, 30], [30, 35])  # 30 + 30, or 20 + 35
        60
    """
    everything = sum(rest)
    return max(everything - at_rest + alone for at_rest, alone in zip(rest, need))
