"""How large one checkpoint is: stated, read from a file, or worked out from the model's parameters."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkroom import format_size
from checkroom.cli import _values
from checkroom.cli._errors import CommandError, one_line, quoted
from checkroom.cli._values import Given

if TYPE_CHECKING:
    from checkroom import sizing

__all__ = ["SIZE_KEYS", "CheckpointSize", "checkpoint_size"]

_SOURCES = ("checkpoint_size", "from_checkpoint", "parameters")
_PARAMETER_KEYS = ("trainable", "dtype", "optimizer")
SIZE_KEYS = (*_SOURCES, *_PARAMETER_KEYS, "weights_only_size")

_WAYS = "--checkpoint-size 6.9GB, --from-checkpoint FILE, or --parameters 7B --dtype bf16 --optimizer adamw"
_PARAMETERS_HINT = "write for example 7B, 40M or 124000000"


@dataclass(frozen=True)
class CheckpointSize:
    """One checkpoint, in bytes.

    Attributes:
        least, total, most: The estimate and its bounds; all alike where the size is known.
        weights_only: The bounds of the same without optimizer states; ``None``: unknown.
        source: For the reader: where the figure comes from.
        notes: What the reader should know about it.
        split: What is in the file that it was read from; ``None``: there is none.
    """

    least: int
    total: int
    most: int
    weights_only: tuple[int, int] | None
    source: str
    notes: tuple[str, ...] = ()
    split: sizing.Split | None = None


def checkpoint_size(values: Mapping[str, Given]) -> CheckpointSize:
    """The size from the one source that is given.

    Raises:
        CommandError: No source or several, a value that makes no sense, a file that is no checkpoint.
    """
    present = [key for key in _SOURCES if key in values]
    if not present:
        raise CommandError(f"no size of a checkpoint (give {_WAYS})")
    if len(present) > 1:
        listed = " and ".join(f"{values[key].where} {quoted(values[key].value)}" for key in present)
        raise CommandError(f"{listed} both say how large a checkpoint is (keep one of them)")
    stray = [key for key in _PARAMETER_KEYS if key in values]
    if stray and present != ["parameters"]:
        given = values[stray[0]]
        raise CommandError(f"{given.where}: {quoted(given.value)} needs --parameters (for example --parameters 7B)")
    if present == ["checkpoint_size"]:
        result = _stated(values["checkpoint_size"])
    elif present == ["from_checkpoint"]:
        result = _from_checkpoint(values["from_checkpoint"])
    else:
        result = _from_parameters(values)
    if "weights_only_size" in values:
        stated = values["weights_only_size"]
        weights_only = _positive(stated)
        if weights_only > result.most:
            raise CommandError(
                f"{stated.where}: {quoted(stated.value)} is more than a whole checkpoint, {format_size(result.most)} "
                f"(give the size without optimizer states)"
            )
        return dataclasses.replace(result, weights_only=(weights_only, weights_only))
    return result


def _positive(given: Given) -> int:
    value = _values.size(given)
    if value == 0:
        raise CommandError(f"{given.where}: a checkpoint of no bytes: {quoted(given.value)} (write for example 6.9GB)")
    return value


def _stated(given: Given) -> CheckpointSize:
    value = _positive(given)
    return CheckpointSize(value, value, value, None, "given")


def _from_checkpoint(given: Given) -> CheckpointSize:
    from checkroom import sizing

    path = _values.path_of(given)
    hint = "give the path of a .ckpt file, or --checkpoint-size"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # A pipe or a device: to open one may wait for ever.
            raise CommandError(f"{given.where}: not a file: {quoted(path)} ({hint})")
        size = sizing.from_checkpoint(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(f"{given.where}: {quoted(path)}: {reason} ({hint})") from None
    except (ValueError, OverflowError) as error:
        raise CommandError(f"{given.where}: {error} ({hint})") from None
    # Lightning leaves out the optimizer's states, and a little of the structure that described them.
    weights_only = size.total - size.optimizer
    return CheckpointSize(
        size.total, size.total, size.total, (weights_only, weights_only), f"as {one_line(str(path))}", split=size.split
    )


def _from_parameters(values: Mapping[str, Given]) -> CheckpointSize:
    from checkroom import sizing

    given = values["parameters"]
    parameters = _values.count(given, hint=_PARAMETERS_HINT)
    trainable = _values.count(values["trainable"], hint=_PARAMETERS_HINT) if "trainable" in values else None
    if trainable is not None and trainable > parameters:
        where = values["trainable"]
        raise CommandError(
            f"{where.where}: {quoted(where.value)} is more than all {quoted(given.value)} parameters "
            f"(give at most these)"
        )
    words: dict[str, Any] = {key: _values.text_of(values[key]) for key in ("dtype", "optimizer") if key in values}
    try:
        size = sizing.from_parameters(parameters, trainable=trainable, **words)
        weights = sizing.from_parameters(parameters, **{**words, "optimizer": "none"})
    except (ValueError, OverflowError) as error:
        source = next((values[key] for key in words if str(error).startswith(key)), given)
        raise CommandError(f"{source.where}: {error}") from None
    known, weights_known = _bounds(size), _bounds(weights)
    if known[1] > _values.MOST_COUNT:
        raise CommandError(f"{given.where}: too large a number: {quoted(given.value)} ({_PARAMETERS_HINT})")
    origin = f"estimated from {one_line(str(given.value))} parameters"
    return CheckpointSize(known[0], size.total, known[1], weights_known, origin, size.notes)


def _bounds(size: sizing.CheckpointSize) -> tuple[int, int]:
    return size.least, size.total if size.most is None else size.most
