"""The size of a checkpoint from a few numbers, without a script and without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checkroom.sizing._types import CheckpointSize

__all__ = ["DTYPES", "OPTIMIZERS", "OptimizerStates", "from_parameters"]

# Bytes of one element.
DTYPES = {
    "float64": 8, "double": 8, "fp64": 8, "64": 8,
    "float32": 4, "float": 4, "fp32": 4, "32": 4, "tf32": 4,
    "bfloat16": 2, "bf16": 2,
    "float16": 2, "half": 2, "fp16": 2, "16": 2,
    "float8": 1, "fp8": 1, "int8": 1, "8": 1,
}  # fmt: skip


@dataclass(frozen=True)
class OptimizerStates:
    """What an optimizer keeps for each parameter that it trains.

    Args:
        full: Tensors of the parameter's own shape and type.
        scalars: Tensors of one float32, such as ``step``.
    """

    full: int
    scalars: int


# torch.optim's own, with their default arguments unless the name says otherwise.
OPTIMIZERS = {
    "none": OptimizerStates(0, 0),
    "sgd": OptimizerStates(0, 0),
    "sgd-momentum": OptimizerStates(1, 0),
    "adam": OptimizerStates(2, 1),
    "adamw": OptimizerStates(2, 1),
    "adam-amsgrad": OptimizerStates(3, 1),
    "adamw-amsgrad": OptimizerStates(3, 1),
    "adamax": OptimizerStates(2, 1),
    "nadam": OptimizerStates(2, 2),
    "radam": OptimizerStates(2, 1),
    "rmsprop": OptimizerStates(1, 1),
    "rmsprop-momentum": OptimizerStates(2, 1),
    "rprop": OptimizerStates(2, 1),
    "adagrad": OptimizerStates(1, 1),
    "adadelta": OptimizerStates(2, 1),
    "asgd": OptimizerStates(1, 3),
    "muon": OptimizerStates(1, 0),
    "lion": OptimizerStates(1, 0),
}

# Fitted on files of PyTorch 2.13 and Lightning 2.6: what a tensor costs beside its data (zip header, padding, directory
# entry, pickled description, name) and what a file costs without any tensor.
_RECORD_BYTES = 275
_NAME_BYTES = 36
_FILE_BYTES = 3_300
# The same for the range: the shortest names at the luckiest alignment, and long names at the worst.
_LEAST_RECORD_BYTES = 200
_MOST_RECORD_BYTES = 420
_LEAST_FILE_BYTES = 1_200
_MOST_FILE_BYTES = 20_000
# Buffers, such as the statistics of a BatchNorm, are no parameters but are saved: by at most this part of the weights.
_MOST_BUFFERS = 0.01
# How far the number of tensors may be from the usual one of a model of this size, where it is not given.
_TENSORS_FACTOR = 8


def from_parameters(
    parameters: int,
    *,
    trainable: int | None = None,
    dtype: str = "float32",
    optimizer: str = "adamw",
    tensors: int | None = None,
) -> CheckpointSize:
    """Estimates the checkpoint of a model that is known by its number of parameters only.

    Weights count ``parameters`` elements, the optimizer's states ``trainable`` elements each, both of ``dtype``. What
    every tensor costs beside its data is a constant that was fitted on files of usual models: read ``least`` and
    ``most`` of the result as the range. Where mixed precision trains (Lightning's ``"bf16-mixed"``), weights and states
    are kept in float32: give that.

    Args:
        parameters: Elements of all weights, frozen ones included.
        trainable: Elements that the optimizer trains; all by default.
        dtype: The type in which weights and states are kept: ``"float32"``, ``"bf16"``, ``"fp16"``, ...
        optimizer: ``"adamw"``, ``"sgd"``, ``"sgd-momentum"``, ... or ``"none"`` for a file of weights alone.
        tensors: How many tensors hold the parameters; by default what is usual for models of this size.

    Returns:
        An estimate, in bytes, with its range.

    Raises:
        ValueError: A number is negative or contradicts another, or a name is unknown; it is quoted.

    Example:
        >>> size = from_parameters(7_000_000_000, trainable=40_000_000, dtype="bf16")
        >>> size.weights, size.optimizer, size.bound
        (14000000000, 160000000, 'estimate')
        >>> size.least <= size.total <= size.most
        True
    """
    if parameters < 0:
        raise ValueError(f"{parameters} parameters: a count cannot be negative")
    trained = parameters if trainable is None else trainable
    if not 0 <= trained <= parameters:
        raise ValueError(f"{trained} trainable of {parameters} parameters: from none to all is possible")
    if tensors is not None and tensors < (1 if parameters else 0):
        raise ValueError(f"{tensors} tensors for {parameters} parameters: at least one is needed")
    width = _look_up(dtype, DTYPES, "dtype")
    states = _look_up(optimizer, OPTIMIZERS, "optimizer")

    count = tensors if tensors is not None else _usual_tensors(parameters)
    fewest, most = count, count
    if tensors is None:
        fewest, most = max(1, count // _TENSORS_FACTOR), count * _TENSORS_FACTOR
    weights = parameters * width
    data = weights + trained * width * states.full

    def records(of: int) -> int:
        """Tensors in the file, the optimizer's included."""
        trained_tensors = 0 if parameters == 0 else -(-of * trained // parameters)
        return of + int(trained_tensors * (states.full + states.scalars))

    overhead = records(count) * _RECORD_BYTES + count * _NAME_BYTES + _FILE_BYTES
    notes = ["a closed form: the constants were fitted on usual models, buffers and hyperparameters are not counted"]
    if tensors is None:
        notes.append(f"the number of tensors is not known: {count} are usual at this size")
    if trained < parameters:
        notes.append("trainable parameters are taken to be of the same type as the others")
    return CheckpointSize(
        total=data + overhead,
        weights=weights,
        optimizer=data - weights,
        other=overhead,
        exact=False,
        bound="estimate",
        notes=tuple(notes),
        least=data + records(fewest) * _LEAST_RECORD_BYTES + _LEAST_FILE_BYTES,
        most=data + records(most) * _MOST_RECORD_BYTES + _MOST_FILE_BYTES + int(weights * _MOST_BUFFERS),
    )


def _usual_tensors(parameters: int) -> int:
    """How many tensors hold so many parameters in usual models: 150 for GPT-2 small, 300 at 7B, 450 at 70B."""
    return max(1, round(5 * parameters**0.18)) if parameters else 0


def _look_up(name: str, table: dict[str, Any], kind: str) -> Any:
    key = name.lower().removeprefix("torch.").replace("_", "-") if kind == "optimizer" else name.lower()
    found = table.get(key.removeprefix("torch."))
    if found is None:
        raise ValueError(f"{kind} {name!r} is not known: one of {', '.join(sorted(table))}")
    return found
