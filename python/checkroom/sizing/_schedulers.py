"""What a learning rate scheduler's state will be after so many more updates, as far as its size goes.

Learning rates are floats and always take the same room; only whole numbers grow.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from checkroom.sizing._findings import Findings, Span
from checkroom.sizing._owners import is_lightnings

__all__ = ["Setting", "advance_schedulers"]

# A container, its key, and the whole number that will be there.
Setting = tuple[dict[str, Any], str, Span]


def advance_schedulers(
    states: list[Any], trainer: Any, updates: tuple[Span, ...], findings: Findings
) -> list[Setting]:
    """What to set in the states of a trainer's schedulers.

    Args:
        states: Their state dicts, of which the containers are nobody else's.
        trainer: The trainer.
        updates: Updates of each between now and then.
        findings: Takes what may come differently.
    """
    settings: list[Setting] = []
    for state, config, count in zip(states, trainer.lr_scheduler_configs, updates):
        scheduler = config.scheduler
        name = type(scheduler).__name__
        if not is_lightnings(trainer.lightning_module, "lr_scheduler_step"):
            findings.unsure(f"{type(trainer.lightning_module).__name__}.lr_scheduler_step decides how {name} counts")
        if type(scheduler).__module__.split(".")[0] != "torch":
            findings.unsure(f"{name} is not of PyTorch: its state is taken to stay as long as it is")
            continue
        callables = [*state.get("lr_lambdas", ()), state.get("_scale_fn_custom")]
        if any(one is not None for one in callables):
            findings.unsure(f"{name} saves a callable object, which is taken to stay as it is")
        if any(type(group["lr"]) is int for group in scheduler.optimizer.param_groups):
            findings.unsure(f"a learning rate of {name} is a whole number, which an update makes a longer one")
        settings += _advance(state, count)
    return settings


def _advance(state: Any, count: Span) -> list[Setting]:
    """Settings for one scheduler's state, and for those of the schedulers that it is made of."""
    if not isinstance(state, dict):
        return []
    settings: list[Setting] = []

    def put(key: str, span: Span) -> None:
        if type(state.get(key)) is int:
            settings.append((state, key, span))

    last = state.get("last_epoch", 0)
    if "_milestones" in state and "_schedulers" in state:  # one after the other
        put("last_epoch", Span(last, last).plus(count))
        for index, inner in enumerate(state["_schedulers"]):
            settings += _advance_one_of_several(inner, index, state["_milestones"], last, count)
        return settings
    if "_schedulers" in state:  # all together
        return [setting for inner in state["_schedulers"] for setting in _advance(inner, count)]
    if "T_cur" in state and "T_mult" in state:
        cycles = [_restarts(state, more) for more in count]
        put("T_cur", Span(0, max(length for _, length in cycles)) if count.least < count.most else _span(cycles[0][0]))
        put("T_i", Span(cycles[0][1], cycles[1][1]))
        put("last_epoch", Span(last, last).plus(count))
        return settings
    put("last_epoch", Span(last, last).plus(count))
    put("_step_count", _span(state.get("_step_count", 0)).plus(count))
    if "num_bad_epochs" in state:  # what the metric does is not known
        put("num_bad_epochs", Span(0, max(state["num_bad_epochs"], min(state["patience"], last + count.most))))
        put("cooldown_counter", Span(0, max(state["cooldown_counter"], state["cooldown"])))
    return settings


def _span(value: int) -> Span:
    return Span(value, value)


def _advance_one_of_several(
    inner: Any, index: int, milestones: list[int], last: int, count: Span
) -> list[Setting]:
    """One scheduler of a sequence: it counts from its own milestone until the next one."""
    if not isinstance(inner, dict) or "_schedulers" in inner:
        return []

    def active(outer: int) -> bool:
        return bisect_right(milestones, outer) >= index

    def position(outer: int) -> int:
        start = milestones[index - 1] if index else 0
        end = milestones[index] if index < len(milestones) else outer + 1
        return max(start, min(outer, end - 1)) - start

    now = inner.get("last_epoch", 0)
    after = [position(last + more) if active(last + more) else now for more in count]
    settings: list[Setting] = []
    if type(now) is int:
        settings.append((inner, "last_epoch", Span(min(after), max(after))))
    if type(inner.get("_step_count")) is int:
        # Whether the step at a milestone is counted depends on the version of PyTorch.
        taken = [abs(value - max(0, now)) for value in after]
        steps = inner["_step_count"]
        settings.append((inner, "_step_count", Span(steps + max(0, min(taken) - 1), steps + max(taken) + 1)))
    return settings


def _restarts(state: dict[str, Any], more: int) -> tuple[int, int]:
    """Place in the cycle and its length, of CosineAnnealingWarmRestarts after so many more updates."""
    at, length, factor = state["T_cur"] + more, state["T_i"], state["T_mult"]
    if factor == 1:
        return at % length, length
    while at >= length:
        at, length = at - length, length * factor
    return at, length
