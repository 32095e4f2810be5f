"""What ``checkroom estimate`` answers: every figure is read off a forecast of the request.

Values in, values out: no I/O, no tables, no colours. Bytes are integers, times seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from checkroom import format_size
from checkroom._core import Forecast, Range, RunSpec, forecast, need_of
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._estimate_request import EstimateRequest, Strategy
from checkroom.cli._policy import Policy
from checkroom.cli._together import need_together
from checkroom.cli._values import MOST_COUNT

__all__ = [
    "EstimateReport", "Fit", "Peak", "PolicyReport", "Row", "Scaling", "Scenario", "Span", "StrategyReport", "Verdict",
    "estimate",
]

_WRITERS: tuple[Literal["lightning"], Literal["checkroom"]] = ("lightning", "checkroom")

# More saves than this take seconds to play ahead, and no disk holds them.
_MOST_SAVES = 10_000_000


@dataclass(frozen=True)
class Span:
    """From the least to the most."""

    least: int
    most: int

    def __add__(self, other: int) -> Span:
        if self.most + other > MOST_COUNT:
            raise OverflowError("a sum of bytes does not fit into 64 bits")
        return Span(self.least + other, self.most + other)


@dataclass(frozen=True)
class Peak:
    """The most that checkpoints occupy at the worst moment inside a save."""

    lightning: int
    checkroom: int


@dataclass(frozen=True)
class Row:
    """One policy for one length of the run."""

    epochs: int
    files: Span
    checkpoint_bytes: Span
    peak_bytes: Peak
    tensorboard_bytes: int
    csv_bytes: int
    total_bytes: Span
    seconds: float | None


@dataclass(frozen=True)
class PolicyReport:
    """One policy for every length asked about."""

    policy: Policy
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Scaling:
    """The run over ``factor`` times as much data."""

    factor: int
    dataset_bytes: int | None
    dataset_files: int | None
    steps_per_epoch: int
    epochs: int
    seconds: float | None
    tensorboard_bytes: int
    csv_bytes: int
    checkpoint_bytes: Span


@dataclass(frozen=True)
class Scenario:
    """All that one policy's run puts on the disk: model files, data, checkpoints, logs, the rest."""

    policy: str
    epochs: int
    model_files_bytes: int
    dataset_bytes: int
    checkpoint_bytes: Span
    tensorboard_bytes: int
    csv_bytes: int
    misc_bytes: int
    total_bytes: Span


@dataclass(frozen=True)
class StrategyReport:
    """A policy over a range of lengths; an open range is computed at its first length."""

    strategy: Strategy
    files: Span
    checkpoint_bytes: Span
    peak_bytes: Peak


@dataclass(frozen=True)
class Fit:
    """Does it fit? ``need`` is the peak and the logs, ``have`` the free space above the floor."""

    need: int
    have: int | None
    stops_at_epoch: int | None = None

    @property
    def short_by(self) -> int:
        """The bytes that are missing."""
        return 0 if self.have is None else max(0, self.need - self.have)

    @property
    def enough(self) -> bool | None:
        """``None``: the filesystem does not say what it has."""
        return None if self.have is None else self.need <= self.have


@dataclass(frozen=True)
class Verdict:
    """One policy against the free space."""

    policy: str
    epochs: int
    lightning: Fit
    checkroom: Fit


@dataclass(frozen=True)
class EstimateReport:
    """The answer, and the request that it answers."""

    request: EstimateRequest
    policies: tuple[PolicyReport, ...]
    scaling: tuple[Scaling, ...]
    scenarios: tuple[Scenario, ...]
    strategies: tuple[StrategyReport, ...]
    verdicts: tuple[Verdict, ...]


def estimate(request: EstimateRequest) -> EstimateReport:
    """Plays every policy of the request ahead.

    Raises:
        CommandError: The core refuses a run, or its bytes do not fit into 64 bits; the text quotes the value.
    """
    try:
        return EstimateReport(
            request,
            tuple(
                PolicyReport(policy, tuple(_row(request, policy, epochs) for epochs in request.epochs))
                for policy in request.policies
            ),
            tuple(_scaling(request, factor) for factor in request.scale_dataset),
            tuple(_scenario(request, policy) for policy in request.policies) if _has_fixed_parts(request) else (),
            tuple(_strategy(request, strategy) for strategy in request.strategies),
            _verdicts(request) if request.free is not None else (),
        )
    except OverflowError:
        what, size = max(_given_sizes(request), key=lambda pair: pair[1])
        raise CommandError(
            f"the run's bytes add up to more than 9.2 EB: of the sizes given, the {what} is the largest, "
            f"{quoted(format_size(size))} (give smaller sizes, or fewer epochs)"
        ) from None
    except ValueError as error:
        raise CommandError(str(error)) from None


def _given_sizes(request: EstimateRequest) -> Iterator[tuple[str, int]]:
    yield "checkpoint", request.checkpoint.most
    yield "dataset", request.dataset.bytes if request.dataset else 0
    yield "model files", request.model_files_bytes
    yield "misc", request.misc_bytes
    yield "TensorBoard log of an epoch", request.logs.tensorboard_per_epoch
    yield "CSV log of an epoch", request.logs.csv_per_epoch


def _has_fixed_parts(request: EstimateRequest) -> bool:
    return bool(request.dataset or request.model_files_bytes or request.misc_bytes)


def run_spec(
    request: EstimateRequest,
    policy: Policy,
    epochs: int,
    *,
    writer: Literal["checkroom", "lightning"] = "checkroom",
    most: bool = True,
    factor: int = 1,
) -> RunSpec:
    """The run that one policy makes of the request.

    Args:
        request: What was asked.
        policy: When it saves and what it keeps.
        epochs: How long it is.
        writer: Who writes the files.
        most: With the largest that one checkpoint may weigh, or else the smallest.
        factor: Over how many times the data.
    """
    size = request.checkpoint
    full = size.most if most else size.least
    weights_only = (full, full) if size.weights_only is None else size.weights_only
    arguments: dict[str, Any] = {
        "max_epochs": epochs,
        "steps_per_epoch": request.steps.scaled(factor),
        "seconds_per_step": request.steps.seconds,
        "checkpoint_bytes": full,
        "weights_only_bytes": weights_only[most],
        "tensorboard_bytes_per_epoch": request.logs.tensorboard_per_epoch,
        "csv_bytes_per_epoch": request.logs.csv_per_epoch,
        "log_steps_per_epoch": request.logs.steps,
        "dataset_bytes": request.dataset.bytes * factor if request.dataset else 0,
        "model_files_bytes": request.model_files_bytes,
        "misc_bytes": request.misc_bytes,
        "writer": writer,
        "lightning_version": request.lightning_version,
        **dict(request.trainer),
        **policy.run_spec,
    }
    spec = RunSpec(**arguments)
    try:
        saves = spec.save_count
    except OverflowError:
        raise CommandError(
            f"policy {policy.name}: {quoted(spec.steps_per_epoch)} steps in each of {epochs} epochs are too many to "
            f"play ahead (give fewer)"
        ) from None
    except ValueError as error:
        raise CommandError(f"policy {policy.name}: {error} (save less often, or ask for fewer epochs)") from None
    if saves is not None and saves > _MOST_SAVES:
        raise CommandError(
            f"policy {policy.name}: {saves} saves are too many to play ahead (save less often, or ask for fewer epochs)"
        )
    return spec


def _played(request: EstimateRequest, policy: Policy, epochs: int, **how: Any) -> tuple[Forecast, Forecast]:
    """The forecasts for the smallest and for the largest checkpoint: one where its size is known."""
    high = forecast(run_spec(request, policy, epochs, **how))
    if request.checkpoint.least == request.checkpoint.most:
        return high, high
    return forecast(run_spec(request, policy, epochs, most=False, **how)), high


def _span(played: tuple[Forecast, Forecast], figure: Callable[[Forecast], Range]) -> Span:
    low, high = played
    return Span(figure(low).least, figure(high).most)


def _peak(request: EstimateRequest, policy: Policy, epochs: int) -> Peak:
    return Peak(
        lightning=forecast(run_spec(request, policy, epochs, writer="lightning")).peak_bytes.most,
        checkroom=forecast(run_spec(request, policy, epochs)).peak_bytes.most,
    )


def _row(request: EstimateRequest, policy: Policy, epochs: int) -> Row:
    played = _played(request, policy, epochs)
    high = played[1]
    return Row(
        epochs=epochs,
        files=_span(played, lambda each: each.files),
        checkpoint_bytes=_span(played, lambda each: each.at_rest_bytes),
        peak_bytes=_peak(request, policy, epochs),
        tensorboard_bytes=high.tensorboard_bytes,
        csv_bytes=high.csv_bytes,
        total_bytes=_span(played, lambda each: each.total_bytes),
        seconds=high.seconds,
    )


def _scaling(request: EstimateRequest, factor: int) -> Scaling:
    # Neither logs nor time depend on the policy: the first one stands for all.
    spec = run_spec(request, request.policies[0], request.max_epochs, factor=factor)
    played = forecast(spec)
    dataset = request.dataset
    return Scaling(
        factor=factor,
        dataset_bytes=spec.dataset_bytes if dataset else None,
        dataset_files=dataset.files * factor if dataset and dataset.files is not None else None,
        steps_per_epoch=spec.steps_per_epoch or 0,
        epochs=request.max_epochs,
        seconds=played.seconds,
        tensorboard_bytes=played.tensorboard_bytes,
        csv_bytes=played.csv_bytes,
        checkpoint_bytes=Span(request.checkpoint.least, spec.checkpoint_bytes),
    )


def _scenario(request: EstimateRequest, policy: Policy) -> Scenario:
    played = _played(request, policy, request.max_epochs)
    high = played[1]
    return Scenario(
        policy=policy.name,
        epochs=request.max_epochs,
        model_files_bytes=high.spec.model_files_bytes,
        dataset_bytes=high.spec.dataset_bytes,
        checkpoint_bytes=_span(played, lambda each: each.at_rest_bytes),
        tensorboard_bytes=high.tensorboard_bytes,
        csv_bytes=high.csv_bytes,
        misc_bytes=high.spec.misc_bytes,
        total_bytes=_span(played, lambda each: each.total_bytes) + high.fixed_bytes,
    )


def _strategy(request: EstimateRequest, strategy: Strategy) -> StrategyReport:
    rows = [_row(request, strategy.policy, epochs) for epochs in (strategy.first, strategy.last) if epochs is not None]
    return StrategyReport(
        strategy,
        files=Span(min(row.files.least for row in rows), max(row.files.most for row in rows)),
        checkpoint_bytes=Span(
            min(row.checkpoint_bytes.least for row in rows), max(row.checkpoint_bytes.most for row in rows)
        ),
        peak_bytes=Peak(
            max(row.peak_bytes.lightning for row in rows), max(row.peak_bytes.checkroom for row in rows)
        ),
    )


def _verdicts(request: EstimateRequest) -> tuple[Verdict, ...]:
    verdicts = [
        Verdict(policy.name, request.max_epochs, *(_fit(request, (policy,), writer) for writer in _WRITERS))
        for policy in request.policies
    ]
    if request.together:
        fits = (_fit(request, request.policies, writer) for writer in _WRITERS)
        verdicts.append(Verdict("all together", request.max_epochs, *fits))
    return tuple(verdicts)


def _fit(request: EstimateRequest, policies: tuple[Policy, ...], writer: Literal["checkroom", "lightning"]) -> Fit:
    """Whether policies that act in one run fit: they save in turn, so one of them at a time is at its peak."""
    specs = [run_spec(request, policy, request.max_epochs, writer=writer) for policy in policies]
    need = (Span(0, 0) + need_together([_at_rest(spec) for spec in specs], [_need(spec) for spec in specs])).most
    free = request.free
    if free is None or free.bytes is None:
        return Fit(need, None)
    have = max(0, free.bytes - free.floor)
    if need <= have or len(specs) > 1:
        return Fit(need, have)
    last = forecast(specs[0]).epochs_until_full(have)
    return Fit(need, have, None if last is None else last + 1)


def _at_rest(spec: RunSpec) -> int:
    return forecast(spec).at_rest_bytes.most


def _need(spec: RunSpec) -> int:
    need = need_of(spec)
    if need is None:  # an estimate is of a number of epochs, so that there is a bound
        raise ValueError("a run without an end needs more than any disk has (give its epochs)")
    return need
