"""LBFGS is counted with its full history: never less than it has, and to the byte once it has it."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import exact_size, measure  # noqa: E402
from checkroom.sizing._findings import Findings, Span  # noqa: E402
from checkroom.sizing._lbfgs import most_evaluations  # noqa: E402
from checkroom.sizing._optimizers import predict_optimizer  # noqa: E402


@pytest.mark.parametrize("settings", [
    {"history_size": 3, "max_iter": 1}, {"history_size": 4, "max_iter": 5}, {"history_size": 100},
    {"history_size": 3, "line_search_fn": "strong_wolfe"},
])  # fmt: skip
def test_it_is_never_larger_than_foretold(settings: dict[str, Any]) -> None:
    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    data, optimizer = torch.randn(20, 4), torch.optim.LBFGS(model.parameters(), lr=0.01, **settings)
    evaluations: list[int] = []

    def closure() -> Any:
        evaluations[-1] += 1
        optimizer.zero_grad()
        loss = (model(data) - data.sum(1, keepdim=True).sin()).square().mean()
        loss.backward()
        return loss

    steps, equal = 12, False
    sizes = []
    for ahead in range(1, steps + 1):
        ghosts, findings = Ghosts(), Findings()
        found = predict_optimizer(optimizer, ghosts, findings, steps=Span(ahead, ahead))
        sizes.append(measure(found.most, ghosts).total)
    assert findings.bound(sizes[0], sizes[0])[0] == "at most"
    for size in sizes:
        evaluations.append(0)
        optimizer.step(closure)
        real = exact_size(optimizer.state_dict())
        assert real <= size
        equal = equal or real == size
    assert max(evaluations) <= most_evaluations(optimizer)
    full = len(optimizer.state[optimizer._params[0]]["old_dirs"]) == settings["history_size"]
    if full and "line_search_fn" not in settings:
        assert equal
