"""What ``checkroom advise`` answers: the core's advice on the run of a request, beside what its own policies need.

Values in, values out: no I/O, no tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from checkroom._core import Advice, Configuration, Forecast, RunSpec, advise, forecast
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._estimate_report import run_spec
from checkroom.cli._estimate_request import EstimateRequest
from checkroom.cli._policy import Policy

__all__ = ["AdviceReport", "Option", "Own", "advice_report"]


@dataclass(frozen=True)
class Own:
    """One of the request's own policies: what it needs, at the most, with checkroom."""

    policy: Policy
    configuration: Configuration


@dataclass(frozen=True)
class Option:
    """A configuration that fits, with its forecast.

    Attributes:
        configuration: The arguments, and what they need.
        played: Their forecast.
        lightning_peak_bytes: The peak with Lightning alone; ``None``: it does not have these arguments.
    """

    configuration: Configuration
    played: Forecast
    lightning_peak_bytes: int | None


@dataclass(frozen=True)
class AdviceReport:
    """The answer. ``own`` is empty where nothing was said about a policy."""

    request: EstimateRequest
    spec: RunSpec
    advice: Advice
    own: tuple[Own, ...]
    options: tuple[Option, ...]

    @property
    def fits(self) -> bool:
        """Does anything fit, of what was tried?"""
        return self.advice.short_by == 0


def advice_report(request: EstimateRequest) -> AdviceReport:
    """Asks the core.

    Raises:
        CommandError: The free space is missing, or the core refuses the run; its text quotes the value.
    """
    free = request.free
    if free is None:
        raise CommandError("no space to fit into (give --free PATH or SIZE, for example --free 50GB)")
    if free.bytes is None:
        raise CommandError(f"--free: the filesystem of {quoted(free.path)} does not say what is free (give a size)")
    have = max(0, free.bytes - free.floor)
    try:
        specs = [run_spec(request, policy, request.max_epochs) for policy in request.policies]
        spec = specs[0] if len(specs) == 1 else run_spec(request, _common(request.policies), request.max_epochs)
        advice = advise(spec, have)
        said = [(policy, spec) for policy, spec in zip(request.policies, specs) if policy.arguments]
        own = tuple(Own(policy, advise(spec, have).own) for policy, spec in said)
        options = tuple(_option(configuration) for configuration in advice.options)
    except (ValueError, OverflowError) as error:
        raise CommandError(str(error)) from None
    return AdviceReport(request, spec, advice, own, options)


def _common(policies: tuple[Policy, ...]) -> Policy:
    """What several policies are about: the metric of the first one that names one."""
    metric = next((policy for policy in policies if policy.get("monitor") is not None), None)
    if metric is None:
        return Policy("the run")
    known = (("monitor", metric.get("monitor")), ("mode", metric.get("mode")))
    return Policy("the run", tuple((key, value) for key, value in known if value is not None))


def _option(configuration: Configuration) -> Option:
    spec = configuration.spec
    same = not spec.keep and spec.max_size is None
    alone = forecast(spec.replace(writer="lightning")).peak_bytes.most if same else None
    return Option(configuration, forecast(spec), alone)
