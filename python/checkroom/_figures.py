"""The figures of a preflight as plain values: bytes as integers, and the run spec to play the run ahead again.

They travel in the verdict file of a rehearsal; ``docs/formats.md`` says what each key means.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checkroom import _core
from checkroom._core import KeepBest, KeepEvery, KeepLast, RunSpec
from checkroom._options import keep_rule

__all__ = ["Span", "figure", "keep_arguments", "preflight_figures", "spec_arguments", "spec_from"]


@dataclass(frozen=True)
class Span:
    """The least and the most of a figure."""

    least: int
    most: int


def preflight_figures(
    ours: Any,
    alone: Any,
    space: _core.FreeSpace,
    admission: _core.Admission,
    *,
    exact: bool,
    floor: int,
    cap: int | None,
    used: int,
    own: int,
    traps: Sequence[Any] = (),
) -> dict[str, Any]:
    """What a preflight found, for programs.

    Args:
        ours: The run, played ahead: a ``Forecast``, or what stands for one.
        alone: The same with Lightning's own writer.
        space: What the filesystem has.
        admission: The decision that the verdict follows from.
        exact: Is the size of a checkpoint exact?
        floor: Bytes that stay free.
        cap: Bytes that the directory may hold; ``None``: no cap.
        used: Bytes that it holds of others.
        own: Bytes that it holds of this run: they make room for its next files.
        traps: What makes a checkpoint larger than it need be: values of ``sizing.Trap``.
    """
    return {
        "checkpoint_bytes": ours.spec.checkpoint_bytes,
        "exact": exact,
        "files": _range(ours, "files"),
        "at_rest_bytes": _range(ours, "at_rest_bytes"),
        "peak_bytes": {"checkroom": _range(ours, "peak_bytes"), "lightning": _range(alone, "peak_bytes")},
        "written_bytes": {"checkroom": _range(ours, "written_bytes"), "lightning": _range(alone, "written_bytes")},
        "free_bytes": space.available,
        "filesystem": space.filesystem,
        "device": space.device,
        "floor_bytes": floor,
        "cap_bytes": cap,
        "used_bytes": used,
        "own_bytes": own,
        "need_bytes": admission.need,
        "have_bytes": admission.have,
        "short_by_bytes": admission.short_by,
        "limit": admission.limit,
        "traps": [{"kind": trap.kind, "bytes": trap.bytes, "text": trap.text} for trap in traps],
        "run_spec": spec_arguments(ours.spec.replace(max_size=cap)),
    }


def spec_arguments(spec: RunSpec) -> dict[str, Any]:
    """The arguments that make this run spec again; ``keep`` as the mappings that ``ModelCheckpoint`` takes.

    Example:
        >>> from checkroom import KeepLast, RunSpec
        >>> arguments = spec_arguments(RunSpec(max_epochs=2, keep=[KeepLast(3)]))
        >>> arguments["max_epochs"], arguments["keep"]
        (2, [{'last': 3}])
    """
    names = [name for name, member in inspect.getmembers(RunSpec) if isinstance(member, property)]
    names.remove("save_count")  # follows from the others
    return {**{name: getattr(spec, name) for name in names}, "keep": [keep_arguments(rule) for rule in spec.keep]}


def spec_from(arguments: Mapping[str, Any]) -> RunSpec:
    """The run spec that these arguments make: the inverse of ``spec_arguments``.

    Raises:
        TypeError: An argument is not one of a run spec.
        ValueError: A wrong value.

    Example:
        >>> from checkroom import KeepLast, RunSpec
        >>> spec = RunSpec(max_epochs=2, keep=[KeepLast(3)])
        >>> spec_from(spec_arguments(spec)) == spec
        True
    """
    return RunSpec(**{**arguments, "keep": [keep_rule(rule) for rule in arguments["keep"]]})


def keep_arguments(rule: KeepLast | KeepEvery | KeepBest) -> dict[str, Any]:
    """The mapping that stands for a rule in a YAML file: the inverse of ``keep_rule``.

    Example:
        >>> from checkroom import KeepEvery
        >>> keep_arguments(KeepEvery(epochs=10))
        {'every': {'epochs': 10}}
    """
    if isinstance(rule, KeepLast):
        return {"last": rule.n}
    if isinstance(rule, KeepEvery):
        given = {"epochs": rule.epochs, "steps": rule.steps, "hours": rule.hours}
        return {"every": {unit: value for unit, value in given.items() if value is not None}}
    return {"best": {"k": rule.k, "monitor": rule.monitor, "mode": rule.mode}}


def figure(played: Any, name: str) -> Any:
    """A figure of a forecast; ``None`` where a run without an end that can be counted does not have it."""
    try:
        return getattr(played, name)
    except ValueError:
        return None


def _range(played: Any, name: str) -> dict[str, int] | None:
    range_ = figure(played, name)
    return None if range_ is None else {"least": range_.least, "most": range_.most}
