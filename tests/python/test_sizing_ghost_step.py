"""A step without memory: what it costs, what it answers, what stays shared."""

from __future__ import annotations

import resource
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import exact_size, measure  # noqa: E402
from checkroom.sizing._ghost_step import replica, states_after_step, values_within  # noqa: E402


def states_of(optimizer: Any, ghosts: Ghosts) -> Any:
    twin = replica(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    twin.state = states_after_step(optimizer, twin, parameters, ghosts)
    return type(optimizer).state_dict(twin)


def test_a_large_model_costs_no_memory() -> None:
    with torch.device("meta"):
        model = torch.nn.ModuleList([torch.nn.Linear(8192, 8192) for _ in range(40)])
    ghosts = Ghosts()
    for p in model.parameters():
        ghosts.add(p.data, "cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state = states_of(torch.optim.AdamW(model.parameters()), ghosts)
    elements = sum(p.numel() for p in model.parameters())
    for values in state["state"].values():
        for value in values.values():
            if value.is_meta:
                ghosts.add(value, "cpu")
    assert measure(state, ghosts).total > 2 * 4 * elements > 20_000_000_000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2 * 4 * elements // 100


def test_only_one_parameter_of_each_kind_is_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped = []
    original = torch.optim.AdamW._init_group

    def count(self: Any, group: Any, *rest: Any) -> Any:
        stepped.append(len(group["params"]))
        return original(self, group, *rest)

    monkeypatch.setattr(torch.optim.AdamW, "_init_group", count)
    parameters = [torch.nn.Parameter(torch.zeros(1 + index % 3)) for index in range(300)]
    assert len(states_of(torch.optim.AdamW(parameters), Ghosts())["state"]) == 300
    assert stepped == [3]


class Branches(torch.optim.Optimizer):
    """Looks at a norm, keeps a state that two parameters share, a view, and something beside its parameters."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    def step(self, closure: Any = None) -> None:
        self.state["steps"] = torch.zeros(1, dtype=torch.long)
        for group in self.param_groups:
            shared = torch.zeros(10, device=group["params"][0].device)
            group["noted"] = (1, "text")
            for p in group["params"]:
                if float(p.grad.norm()) > 0 and bool((p.grad.sum() > 0).item()):
                    self.state[p].update(shared=shared, view=shared[2:5], own=torch.zeros_like(p))


def test_what_a_step_shares_stays_shared() -> None:
    parameters = [torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(2, 3))]
    ghosts = Ghosts()
    predicted = measure(states_of(Branches(parameters), ghosts), ghosts).total
    optimizer = Branches(parameters)
    for p in parameters:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert predicted == exact_size(optimizer.state_dict())


def test_a_step_that_raises_is_not_hidden() -> None:
    class Raises(Branches):
        def step(self, closure: Any = None) -> None:
            raise KeyError("what the step raises")

    with pytest.raises(KeyError, match="what the step raises"):
        states_of(Raises([torch.nn.Parameter(torch.ones(1))]), Ghosts())


def test_what_containers_hold_is_found_once() -> None:
    value: dict[str, Any] = {"a": [1, (2, {3})]}
    value["itself"] = value
    assert sorted(item for item in values_within(value) if isinstance(item, int)) == [1, 2, 3]
