"""Parameter names put together by their leading parts: backbone, LoRA adapters, policy head, ..."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence

__all__ = ["ADAPTERS", "LORA", "group_labels"]

LORA, ADAPTERS = "LoRA adapters", "other adapters"
_FEWEST, _MOST = 3, 12


def group_labels(names: Sequence[tuple[str, ...]], sizes: Sequence[int]) -> list[str]:
    """A group for every tensor, 3 to 12 of them where the names allow it.

    As many leading parts of the names are taken as it needs for three groups. Where that makes more than twelve,
    numbered layers are put together by ranges (``net.0-4``), and what is still too much, the smallest, in one group.
    The last part is the tensor's own name and stays out. LoRA matrices and adapters have groups of their own.

    Args:
        names: The parts of each tensor's name.
        sizes: The bytes of each.

    Returns:
        The group of each tensor, such as ``"model.backbone"``; of tensors of the outermost module ``""``.
    """
    labels = [_adapter(parts) for parts in names]
    modules = [parts[:-1] for parts, label in zip(names, labels) if not label]
    own = len(set(filter(None, labels)))
    found = iter(_by_depth(modules, own))
    groups = [label or next(found) for label in labels]
    return _without_the_smallest(groups, sizes)


def _adapter(parts: Sequence[str]) -> str:
    if any("_lora_" in f"_{part.lower()}" for part in parts):
        return LORA
    return ADAPTERS if any("adapter" in part.lower() for part in parts) else ""


def _by_depth(modules: Sequence[tuple[str, ...]], own: int) -> list[str]:
    depth = len(os.path.commonprefix(modules))  # of tuples: the parts that all have in common
    for deeper in range(depth, max(map(len, modules), default=0) + 1):
        count, before = (len({parts[:cut] for parts in modules}) for cut in (deeper, depth))
        if count > before:
            depth = deeper
        if count + own >= _FEWEST:
            break
    cut = [parts[:depth] for parts in modules]
    if len(set(cut)) + own <= _MOST:
        return [".".join(parts) for parts in cut]
    return _with_ranges(cut, _MOST - own)


def _with_ranges(cut: Sequence[tuple[str, ...]], most: int) -> list[str]:
    """The same with numbered siblings in ranges, so that ``most`` groups come out if they can."""
    numbered: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for parts in cut:
        if _is_number(parts):
            numbered[parts[:-1]].add(int(parts[-1]))
    single = len({parts for parts in cut if not _is_number(parts)})
    ranges = max(1, (most - single) // max(1, len(numbered)))
    labels: dict[tuple[str, ...], str] = {}
    for parent, numbers in numbered.items():
        ordered = sorted(numbers)
        width = -(-len(ordered) // ranges)
        for start in range(0, len(ordered), width):
            part = ordered[start : start + width]
            name = str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}"
            labels.update({(*parent, str(number)): ".".join((*parent, name)) for number in part})
    return [labels.get(parts, ".".join(parts)) for parts in cut]


def _is_number(parts: tuple[str, ...]) -> bool:
    # The form that PyTorch gives to the parts of a list: another one, such as "007", would be another name.
    return bool(parts) and len(parts[-1]) < 10 and parts[-1].isdecimal() and str(int(parts[-1])) == parts[-1]


def _without_the_smallest(groups: list[str], sizes: Sequence[int]) -> list[str]:
    totals: Counter[str] = Counter()
    for group, size in zip(groups, sizes):
        totals[group] += size
    if len(totals) <= _MOST:
        return groups
    kept = {group for group, _ in totals.most_common(_MOST - 1)} | ({LORA, ADAPTERS} & totals.keys())
    rest = f"{len(totals) - len(kept)} smaller groups"
    return [group if group in kept else rest for group in groups]
