"""The whole numbers of a scheduler's state, beside those of one that was really stepped."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.optim import lr_scheduler as lr  # noqa: E402

from checkroom.sizing._findings import Findings, Span  # noqa: E402
from checkroom.sizing._schedulers import advance_schedulers  # noqa: E402

KINDS: dict[str, Any] = {
    "StepLR": lambda o: lr.StepLR(o, 2),
    "MultiStepLR": lambda o: lr.MultiStepLR(o, [2, 5]),
    "ConstantLR": lr.ConstantLR,
    "LinearLR": lr.LinearLR,
    "ExponentialLR": lambda o: lr.ExponentialLR(o, 0.9),
    "PolynomialLR": lr.PolynomialLR,
    "CosineAnnealingLR": lambda o: lr.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: lr.CosineAnnealingWarmRestarts(o, 3, 2),
    "CosineAnnealingWarmRestarts, equal": lambda o: lr.CosineAnnealingWarmRestarts(o, 4),
    "CyclicLR": lambda o: lr.CyclicLR(o, 0.01, 0.1, cycle_momentum=False),
    "OneCycleLR": lambda o: lr.OneCycleLR(o, 0.1, total_steps=400),
    "LambdaLR": lambda o: lr.LambdaLR(o, lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda o: lr.MultiplicativeLR(o, lambda epoch: 0.9),
    "ReduceLROnPlateau": lambda o: lr.ReduceLROnPlateau(o, patience=3, cooldown=2),
    "SequentialLR": lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.StepLR(o, 1), lr.ExponentialLR(o, 0.9)], [2, 5]),
    "ChainedScheduler": lambda o: lr.ChainedScheduler([lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)]),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.1),
}


def an_optimizer(**settings: Any) -> Any:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], **{"lr": 0.1, **settings})


class Module:
    """A user's module, which leaves the stepping to Lightning."""

    __module__ = "lightning.pytorch.core.module"


def trainer_with(scheduler: Any, module: Any = None) -> Any:
    config = SimpleNamespace(scheduler=scheduler)
    return SimpleNamespace(lr_scheduler_configs=[config], lightning_module=module or Module())


def numbers(value: Any) -> list[Any]:
    """All whole numbers of a state, and nothing of the rest but its shape."""
    if isinstance(value, dict):
        return [(key, numbers(item)) for key, item in value.items() if not callable(item)]
    if isinstance(value, (list, tuple)):
        return [numbers(item) for item in value]
    return [value if type(value) is int else type(value).__name__]


def within(real: list[Any], least: list[Any], most: list[Any]) -> bool:
    if isinstance(real, (list, tuple)):
        return len(real) == len(least) and all(map(within, real, least, most))
    return least <= real <= most if isinstance(real, int) and not isinstance(real, bool) else real == least


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.filterwarnings("ignore")
def test_a_state_is_foretold(kind: str, before: int) -> None:
    scheduler = KINDS[kind](an_optimizer())

    def step() -> None:
        scheduler.optimizer.step() if hasattr(scheduler, "optimizer") else None
        scheduler.step(0.5) if kind == "ReduceLROnPlateau" else scheduler.step()

    for _ in range(before):
        step()
    for more in (1, 2, 3, 5, 8, 13, 24):
        states, findings = [copy.deepcopy(scheduler.state_dict())], Findings()
        ahead = copy.deepcopy(scheduler) if kind != "SequentialLR" else None
        settings = advance_schedulers(states, trainer_with(scheduler), (Span(more, more),), findings)
        ends = []
        for end in ("least", "most"):
            for container, key, span in settings:
                container[key] = getattr(span, end)
            ends.append(numbers(copy.deepcopy(states[0])))
        assert findings.notes == []
        real = _after(kind, before + more) if ahead is None else _stepped(ahead, more)
        assert within(numbers(real), *ends), (more, real, ends)
        exact = ("last_epoch", "T_i", "T_cur")
        assert all(span.least == span.most for _, key, span in settings if key in exact)


def _stepped(scheduler: Any, times: int) -> Any:
    for _ in range(times):
        scheduler.step(0.5) if isinstance(scheduler, lr.ReduceLROnPlateau) else scheduler.step()
    return scheduler.state_dict()


def _after(kind: str, times: int) -> Any:
    return _stepped(KINDS[kind](an_optimizer()), times)


def test_a_scheduler_of_a_users_own_is_not_known() -> None:
    class Warmup(lr.LRScheduler):
        def get_lr(self) -> list[float]:
            return [0.1]

    findings, scheduler = Findings(), Warmup(an_optimizer())
    assert advance_schedulers([scheduler.state_dict()], trainer_with(scheduler), (Span(1, 1),), findings) == []
    assert "Warmup is not of PyTorch" in findings.notes[0]


def test_what_a_user_steps_or_hands_in_is_not_known() -> None:
    class Own:
        def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
            pass

    class Factor:
        def __call__(self, epoch: int) -> float:
            return 0.9

    for make, module, settings, note in (
        (KINDS["StepLR"], Own(), {}, "Own.lr_scheduler_step decides"),
        (lambda o: lr.LambdaLR(o, Factor()), None, {}, "a callable object"),
        (KINDS["ExponentialLR"], None, {"lr": 1}, "a whole number"),
    ):
        findings, scheduler = Findings(), make(an_optimizer(**settings))
        if settings:
            scheduler.optimizer.param_groups[0]["lr"] = 1
        advance_schedulers([scheduler.state_dict()], trainer_with(scheduler, module), (Span(1, 1),), findings)
        assert any(note in text for text in findings.notes), note
