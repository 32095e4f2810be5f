"""The state dict that an optimizer will have, without a step of the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from checkroom._ghosts import Ghosts
from checkroom.sizing._findings import Findings, Span
from checkroom.sizing._ghost_step import is_lazy, is_pytorchs, replica, states_after_step, trainable
from checkroom.sizing._lbfgs import full_history

__all__ = ["Prediction", "predict_optimizer"]

_STATE_DICT_HOOKS = ("_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks")


@dataclass(frozen=True)
class Prediction:
    """The state dict of an optimizer, between two.

    Args:
        least: The smallest that it can be.
        most: The largest; the same object where nothing is open.
    """

    least: dict[str, Any]
    most: dict[str, Any]


def predict_optimizer(
    optimizer: Any,
    ghosts: Ghosts,
    findings: Findings,
    *,
    steps: Span,
    unfreezes: bool = False,
    joining: Sequence[Sequence[Any]] = (),
) -> Prediction:
    """The state dict of an optimizer once it has stepped.

    Args:
        optimizer: A ``torch.optim.Optimizer``.
        ghosts: Takes the tensors that do not exist yet.
        findings: Takes what the prediction rests on.
        steps: Steps that the run will have taken from now on.
        unfreezes: May its parameters that are frozen be trained later?
        joining: Parameters, by group, that may be added to it later.

    Returns:
        The prediction; an optimizer that has states already keeps them as they are.
    """
    name = type(optimizer).__name__
    if not is_pytorchs(optimizer):
        findings.unsure(f"{name} is not of torch.optim: its states are taken to stay as its first step leaves them")
    if any(getattr(optimizer, hooks, None) for hooks in _STATE_DICT_HOOKS):
        findings.unsure(f"the state_dict hooks of {name} are not run to find out what they change")
    twin = replica(optimizer)
    twin.state = _own_states(optimizer, steps, findings)
    state_dict: Callable[[Any], dict[str, Any]] = type(optimizer).state_dict
    before = state_dict(twin)
    if not steps.most:
        pass
    elif name == "LBFGS":
        _predict_lbfgs(optimizer, twin, ghosts, findings, steps)
    elif hasattr(optimizer, "consolidate_state_dict"):
        findings.larger(f"{name} holds its states on several ranks: they are not counted")
    else:
        _predict_states(optimizer, twin, ghosts, findings, steps)
    after = state_dict(twin)
    least = after if steps.least or not steps.most else before
    if not unfreezes:
        return Prediction(least, after)
    frozen = [p for group in twin.param_groups for p in group["params"] if p not in twin.state]
    for group in ([] if name == "LBFGS" else joining):
        settings = {key: value for key, value in twin.param_groups[0].items() if key not in ("params", "param_names")}
        twin.param_groups.append({**settings, "params": list(group)})
        frozen += group
    try:
        twin.state.update(states_after_step(_with_groups(optimizer, twin), twin, frozen, ghosts))
    except Exception as error:
        findings.larger(f"the states of parameters that are trained later are not counted: {error}")
    return Prediction(least, state_dict(twin))


def _with_groups(optimizer: Any, twin: Any) -> Any:
    """The optimizer with the groups of its twin."""
    lent = replica(optimizer)
    lent.param_groups = twin.param_groups
    return lent


def _own_states(optimizer: Any, steps: Span, findings: Findings) -> Any:
    """What it has already; counters that are plain numbers, which only some optimizers keep, are moved on."""
    states: Any = defaultdict(dict)
    for key, state in optimizer.state.items():
        states[key] = state
        if isinstance(state, dict) and type(state.get("step")) is int and is_pytorchs(optimizer):
            states[key] = {**state, "step": state["step"] + steps.most}
            _note_open_count(optimizer, steps, findings)
    return states


def _note_open_count(optimizer: Any, steps: Span, findings: Findings) -> None:
    if steps.least < steps.most:
        findings.smaller(f"{type(optimizer).__name__} counts its steps, of which the number is open")


def _predict_states(optimizer: Any, twin: Any, ghosts: Ghosts, findings: Findings, steps: Span) -> None:
    name = type(optimizer).__name__
    without = [p for p in trainable(optimizer) if p not in optimizer.state and not is_lazy(p)]
    if not without:
        return
    try:
        if name == "SparseAdam":
            states = {p: _sparse_adam(p, ghosts, steps) for p in without}
            _note_open_count(optimizer, steps, findings)
        else:
            states = states_after_step(optimizer, twin, without, ghosts)
    except Exception as error:  # an optimizer may do anything in its step
        if not optimizer.state:
            findings.larger(
                f"{name} cannot be stepped without memory ({type(error).__name__}: {error}): its states are not counted"
            )
        return
    if not states:
        return
    if not optimizer.state:
        twin.state.update(states)
        findings.assume("every trainable parameter gets a gradient")
        return
    # It has stepped, and these had no gradient.
    count = sum(p in states for p in without)
    findings.larger(
        f"{count} of {len(trainable(optimizer))} trainable parameters of {name} have had no gradient: "
        "the states that they get with their first one are not counted"
    )


def _sparse_adam(parameter: Any, ghosts: Ghosts, steps: Span) -> dict[str, Any]:
    """Its step needs sparse gradients, which PyTorch cannot do without memory."""
    import torch

    def like() -> Any:
        blank = torch.empty_strided(parameter.shape, parameter.stride(), dtype=parameter.dtype, device="meta")
        return ghosts.add(blank, str(parameter.device))

    return {"step": steps.most, "exp_avg": like(), "exp_avg_sq": like()}


def _predict_lbfgs(optimizer: Any, twin: Any, ghosts: Ghosts, findings: Findings, steps: Span) -> None:
    state: Any = next(iter(optimizer.state.values()), {})
    taken = state.get("n_iter", 0) if isinstance(state, dict) else 0
    twin.state = defaultdict(dict, full_history(optimizer, ghosts, taken + steps.most))
    findings.smaller("LBFGS is counted with its full history, to which it grows")
