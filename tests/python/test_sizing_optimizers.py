"""The state dict that an optimizer will have, beside the one that it has after a real step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import optim  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_pre_hook  # noqa: E402

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import exact_size, measure  # noqa: E402
from checkroom.sizing._findings import Findings, Span  # noqa: E402
from checkroom.sizing._optimizers import predict_optimizer  # noqa: E402

NAMES = sorted(
    name for name, kind in vars(optim).items()
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and name not in ("Optimizer", "LBFGS", "SparseAdam")
)  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {} for name in NAMES},
    "SGD, momentum": {"momentum": 0.9},
    "SGD, nesterov": {"momentum": 0.9, "nesterov": True},
    "SGD, fused": {"momentum": 0.9, "fused": True},
    "Adam, amsgrad": {"amsgrad": True},
    "Adam, fused": {"fused": True},
    "Adam, foreach": {"foreach": True},
    "Adam, maximize": {"maximize": True},
    "Adam, tensor lr": {"lr": torch.tensor(0.001)},
    "AdamW, amsgrad": {"amsgrad": True},
    "Adagrad, initial": {"initial_accumulator_value": 0.1},
    "Adagrad, fused": {"fused": True},
    "RMSprop, centered": {"momentum": 0.9, "centered": True},
    "NAdam, decoupled": {"decoupled_weight_decay": True},
    "Adamax, foreach": {"foreach": True},
    "Rprop, foreach": {"foreach": True},
}


def a_model(dtype: Any = torch.float32) -> Any:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(3, size, bias=False) for size in (3, 3, 3, 5)]
    return torch.nn.Sequential(*layers).to(dtype=dtype)


def step(optimizer: Any, parameters: Any) -> None:
    for p in parameters:
        p.grad = torch.ones_like(p)
    optimizer.step()


def predicted(optimizer: Any, **more: Any) -> tuple[int, int, Findings]:
    ghosts, findings = Ghosts(), Findings()
    found = predict_optimizer(optimizer, ghosts, findings, **{"steps": Span(1, 1), **more})
    return measure(found.least, ghosts).total, measure(found.most, ghosts).total, findings


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_what_a_step_leaves(case: str, dtype: Any) -> None:
    model = a_model(dtype)
    optimizer = getattr(optim, case.partition(",")[0])(model.parameters(), **SETTINGS[case])
    before = exact_size(optimizer.state_dict())
    least, most, findings = predicted(optimizer)
    assert exact_size(optimizer.state_dict()) == before
    step(optimizer, model.parameters())
    assert least == most == exact_size(optimizer.state_dict())
    assert findings.notes == []
    # And once it has stepped, it is what it is.
    assert predicted(optimizer)[:2] == (least, most)


def test_sparse_gradients_need_no_memory_either() -> None:
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = optim.SparseAdam(embedding.parameters())
    least, most, findings = predicted(optimizer, steps=Span(1, 1))
    later = predicted(optimizer, steps=Span(300, 300))[0]
    embedding(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    assert least == most == exact_size(optimizer.state_dict()) and findings.notes == []
    for _ in range(299):
        optimizer.step()
    assert later == exact_size(optimizer.state_dict())
    assert predicted(optimizer, steps=Span(5, 5))[0] == later and optimizer.state_dict()["state"][0]["step"] == 300


def test_groups_names_and_frozen_parameters_are_kept() -> None:
    model = a_model()
    model[0].weight.requires_grad_(False)
    named = list(model.named_parameters())
    optimizer = optim.Adam([{"params": named[:2]}, {"params": named[2:], "lr": 0.1, "amsgrad": True}])
    least, most, _ = predicted(optimizer)
    step(optimizer, [p for _, p in named[1:]])
    assert least == most == exact_size(optimizer.state_dict())


def test_parameters_that_had_no_gradient_are_not_counted_and_named() -> None:
    model = a_model()
    optimizer = optim.AdamW(model.parameters())
    before, _, findings = predicted(optimizer)
    assert findings.assumes == ["every trainable parameter gets a gradient"]
    step(optimizer, list(model.parameters())[:1])
    least, most, findings = predicted(optimizer)
    assert least == most == exact_size(optimizer.state_dict()) < before
    assert "3 of 4 trainable parameters of AdamW have had no gradient" in findings.notes[0]
    assert findings.bound(least, most)[0] == "at least"


def test_no_gradient_is_needed_for_an_optimizer_without_states() -> None:
    model = a_model()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step(optimizer, list(model.parameters())[:1])
    assert predicted(optimizer)[2].notes == []


@pytest.mark.parametrize("held", ["outside", "frozen"])
def test_parameters_that_are_trained_later_are_counted_at_the_most(held: str) -> None:
    model = a_model()
    late = list(model[0].parameters())
    for p in late:
        p.requires_grad_(False)
    inside = [p for p in model.parameters() if held == "frozen" or p not in set(late)]
    optimizer = optim.Adam(inside)
    joining = [late] if held == "outside" else []
    least, most, _ = predicted(optimizer, unfreezes=True, joining=joining)
    step(optimizer, [p for p in model.parameters() if p.requires_grad])
    assert least == exact_size(optimizer.state_dict())
    for p in late:
        p.requires_grad_(True)
    if held == "outside":
        optimizer.add_param_group({"params": late})
    step(optimizer, model.parameters())
    assert most == exact_size(optimizer.state_dict()) > least


# ---------------------------------------------------------------- optimizers of others


class Mine(optim.SGD):
    """A user's own."""

    reach: Callable[[Any], None] = staticmethod(lambda self: None)

    def step(self, closure: Any = None) -> Any:
        self.reach(self)
        return super().step(closure)


def test_an_optimizer_of_others_is_an_estimate() -> None:
    model = a_model()
    optimizer = Mine(model.parameters(), lr=0.1, momentum=0.9)
    least, most, findings = predicted(optimizer)
    step(optimizer, model.parameters())
    assert least == most == exact_size(optimizer.state_dict())
    assert findings.bound(least, most)[0] == "estimate" and "Mine is not of torch.optim" in findings.notes[0]


def test_an_optimizer_that_needs_memory_is_counted_without_its_states() -> None:
    class Strange(Mine):
        @staticmethod
        def reach(self: Any) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.detach().numpy()

    model = a_model()
    optimizer = Strange(model.parameters(), lr=0.1, momentum=0.9)
    least, _, findings = predicted(optimizer)
    assert any("Strange cannot be stepped without memory" in note for note in findings.notes)
    step(optimizer, model.parameters())
    assert least < exact_size(optimizer.state_dict())


@pytest.mark.parametrize("held", ["optimizer", "parameters", "module"])
def test_an_optimizer_that_reaches_real_tensors_is_not_stepped(held: str) -> None:
    model = a_model()
    optimizer = Mine(model.parameters(), lr=0.1)
    inner = optim.SGD(model.parameters(), lr=0.1)
    optimizer.held = {"optimizer": [inner], "parameters": {"all": tuple(model.parameters())}, "module": model}[held]
    optimizer.reach = lambda self: pytest.fail("it was stepped")
    _, _, findings = predicted(optimizer)
    assert any("a step could change what its held holds" in note for note in findings.notes)


def test_states_on_several_ranks_are_not_asked_for() -> None:
    class Sharded(Mine):
        def consolidate_state_dict(self) -> None:
            pytest.fail("a collective")

    _, _, findings = predicted(Sharded(a_model().parameters(), lr=0.1, momentum=0.9))
    assert any("holds its states on several ranks" in note for note in findings.notes)


def test_nothing_of_the_real_one_changes_and_no_hook_runs() -> None:
    model = a_model()
    optimizer = optim.AdamW(model.parameters())
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1)  # wraps step on the instance
    ran: list[str] = []
    optimizer.register_step_pre_hook(lambda *args: ran.append("step"))
    optimizer.register_step_post_hook(lambda *args: ran.append("step"))
    everywhere = register_optimizer_step_pre_hook(lambda *args: ran.append("all"))
    weights, groups = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    wrapped = optimizer.step
    torch.manual_seed(5)
    random_state = torch.get_rng_state()
    try:
        predicted(optimizer)
    finally:
        everywhere.remove()
    assert ran == [] and optimizer.state == {} and optimizer.step is wrapped and scheduler.last_epoch == 0
    assert optimizer.state_dict() == groups and torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_hooks_of_a_state_dict_are_not_run_and_named() -> None:
    optimizer = optim.AdamW(a_model().parameters())
    optimizer.register_state_dict_post_hook(lambda *args: pytest.fail("it was run"))
    assert any("the state_dict hooks of AdamW" in note for note in predicted(optimizer)[2].notes)
