"""What Lightning's own callbacks will have saved about themselves at a later moment; of a user's nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from checkroom._ghosts import Ghosts
from checkroom.sizing._counters import Counters
from checkroom.sizing._findings import Findings, Span
from checkroom.sizing._moment import Moment
from checkroom.sizing._owners import is_lightnings, named
from checkroom.sizing._run import Run
from checkroom.sizing._schedulers import Setting
from checkroom.sizing._scores import score_like

__all__ = ["Ahead", "advance_callbacks", "finetuning_callback", "joining_parameters"]

_State = dict[str, Any]
# Averages take in each step, or one of a few: so many are looked through for the last one.
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Ahead:
    """What the rules go by.

    Args:
        trainer: The trainer.
        run: Its run.
        moment: When.
        counters: What will have been counted by then.
        ghosts: Takes scores that lie on an accelerator.
        findings: Takes what may come differently.
        saver: The ModelCheckpoint that saves, which Lightning calls after all others; ``None``: anybody.
    """

    trainer: Any
    run: Run
    moment: Moment
    counters: Counters
    ghosts: Ghosts
    findings: Findings
    saver: Any = None


def advance_callbacks(
    states: dict[str, Any], ahead: Ahead, known: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Any], list[Setting]]:
    """What a checkpoint's ``callbacks`` will hold.

    Args:
        states: State key -> state, as they are now; they are not changed.
        ahead: When, and of which run.
        known: State keys of which the caller knows better.

    Returns:
        The states at the least and at the most, and whole numbers that are left to be set in them.
    """
    least, most = dict(states), dict(states)
    settings: list[Setting] = []
    for callback in ahead.trainer.callbacks:
        key = callback.state_key
        state = states.get(key)
        if not isinstance(state, dict) or key in known:
            continue
        if not is_lightnings(callback, "state_dict"):
            ahead.findings.unsure(f"{type(callback).__name__}.state_dict is taken to stay as long as it is")
            continue
        rule = next((rule for name, rule in _RULES.items() if named(callback, name)), None)
        if rule is not None:
            least[key], most[key], more = rule(callback, dict(state), ahead)
            settings += more
    return least, most, settings


_Ruling = tuple[_State, _State, list[Setting]]


def _early_stopping(callback: Any, state: _State, ahead: Ahead) -> _Ruling:
    run, epoch = ahead.run, ahead.moment.epoch.most
    checks = 1
    if not callback._check_on_train_epoch_end:
        checks = 1 + run.validations(epoch, run.length or 0)
    may_stop = callback.wait_count + checks * (epoch + 1 - run.epoch) >= callback.patience
    thresholds = (callback.stopping_threshold, callback.divergence_threshold)
    if "stopping_reason_message" in state:
        if may_stop or any(limit is not None for limit in thresholds):
            ahead.findings.larger("EarlyStopping notes in the last checkpoint why it stopped")
        elif callback.check_finite:
            ahead.findings.assume(f"{callback.monitor} is finite")
    twins = [one for one in ahead.trainer.callbacks if named(one, "EarlyStopping") and one.monitor == callback.monitor]
    if len(twins) > 1:
        ahead.findings.smaller(f"callbacks that stop by {callback.monitor} may share the score that they note")
    most = state
    if state["best_score"].isinf():  # that of the first check is better
        scored = {**state, "best_score": score_like(ahead.trainer, callback.monitor, ahead.ghosts)}
        checked = _has_checked(callback, ahead)
        state, most = (state if checked is not True else scored), (state if checked is False else scored)
    spans = {
        "wait_count": Span(0, max(callback.patience, callback.wait_count)),
        "stopped_epoch": Span(0, max(state["stopped_epoch"], epoch if may_stop else 0)),
    }
    return state, most, [(one, key, span) for one in (state, most) for key, span in spans.items()]


def _has_checked(callback: Any, ahead: Ahead) -> bool | None:
    """Will it have looked at its metric by then? ``None``: maybe."""
    moment = ahead.moment
    if not callback._check_on_train_epoch_end:
        if ahead.run.has_validated or ahead.run.validates_in(ahead.run.epoch, moment.epoch.least):
            return True
        before = ahead.saver is None and moment.at("validation_end")
        return None if before else ahead.counters.validated
    if moment.epoch.least > ahead.run.epoch or moment.hooks == ("train_end",):
        return True
    if moment.at("train_epoch_end"):
        return True if moment.hooks == ("train_epoch_end",) and ahead.saver is not None else None
    return False


def _timer(callback: Any, state: _State, ahead: Ahead) -> _Ruling:
    least, most = dict(state["time_elapsed"]), dict(state["time_elapsed"])
    validated = ahead.counters.validated
    # A stage that has not begun counts a whole 0.
    for elapsed, began in ((least, validated is True), (most, validated is not False)):
        elapsed["train"] = float(elapsed["train"])
        if began:
            elapsed["validate"] = float(elapsed["validate"])
    return {**state, "time_elapsed": least}, {**state, "time_elapsed": most}, []


def _weight_averaging(callback: Any, state: _State, ahead: Ahead) -> _Ruling:
    least, most = ahead.counters.spans[("global_step",)]
    now, current = ahead.trainer.global_step, state["latest_update_step"]
    far = most - now > _MOST_STEPS and not callback.should_update(step_idx=most - 1)
    if far or not is_lightnings(callback, "should_update"):
        return state, state, [(state, "latest_update_step", Span(0, most))]

    def last(step: int) -> int:
        """The last step until that one which it takes into its average."""
        ahead_of = range(step, max(now - 1, step - _MOST_STEPS, 0), -1)
        return next((one for one in ahead_of if callback.should_update(step_idx=one - 1)), current)

    before = ahead.saver is None and ahead.moment.at("train_batch_end")  # who saves may come before it
    first, final = last(least - 1 if before else least), last(most)
    if first <= now:
        first = min(first, current)
    return state, state, [(state, "latest_update_step", Span(min(first, final), final))]


def _stochastic_weight_averaging(callback: Any, state: _State, ahead: Ahead) -> _Ruling:
    start = callback.swa_start
    if ahead.moment.epoch.most >= (start if isinstance(start, int) else 0):
        ahead.findings.unsure("StochasticWeightAveraging puts a scheduler of its own in place of the others")
    return state, state, []


def _finetuning(callback: Any, state: _State, ahead: Ahead) -> _Ruling:
    # It notes the groups of the optimizers when the first epoch begins, and those that join when they do.
    trainer = ahead.trainer
    names = {parameter: name for name, parameter in trainer.lightning_module.named_parameters()}
    known = dict(state["internal_optimizer_metadata"])
    for index, optimizer in enumerate(trainer.optimizers):
        if index not in known:
            known[index] = [_noted(group, group["params"], names) for group in optimizer.param_groups]
    most = dict(known)
    for group in joining_parameters(trainer):
        most[0] = [*most[0], _noted(trainer.optimizers[0].param_groups[0], group, names)]
    fuller = {**state, "internal_optimizer_metadata": most}
    if "previous_backbone_lr" in state:
        fuller["previous_backbone_lr"] = 1.0
    return {**state, "internal_optimizer_metadata": known}, fuller, []


def _noted(group: dict[str, Any], parameters: list[Any], names: dict[Any, str]) -> dict[str, Any]:
    settings = {key: value for key, value in group.items() if key != "params"}
    return {**settings, "params": [names.get(parameter, "") for parameter in parameters]}


_RULES: dict[str, Callable[[Any, _State, Ahead], _Ruling]] = {
    "EarlyStopping": _early_stopping,
    "Timer": _timer,
    "WeightAveraging": _weight_averaging,
    "StochasticWeightAveraging": _stochastic_weight_averaging,
    "BaseFinetuning": _finetuning,
}


def finetuning_callback(trainer: Any) -> Any:
    """The callback that may train more parameters later; ``None``: there is none."""
    return next((one for one in trainer.callbacks if named(one, "BaseFinetuning")), None)


def joining_parameters(trainer: Any) -> list[list[Any]]:
    """Parameters, by group, that a finetuning callback may add to the first optimizer later."""
    callback = finetuning_callback(trainer)
    if callback is None or not trainer.optimizers:
        return []
    held = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    missing = [p for p in trainer.lightning_module.parameters() if id(p) not in held]
    if type(callback).__name__ == "BackboneFinetuning":  # all of them at once
        return [missing] if missing else []
    return [[parameter] for parameter in missing]
