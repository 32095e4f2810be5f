"""Whose the states of a saved optimizer are: proved, or left open."""

from __future__ import annotations

import io
import random
from collections import Counter
from typing import Any

import pytest

from checkroom.sizing._state_owners import State, Weight, owned_states

torch = pytest.importorskip("torch")

from checkroom.sizing import from_checkpoint  # noqa: E402


def weights(**shapes: tuple[int, ...] | None) -> list[Weight]:
    """Tensors ``a_x`` of the group ``a``."""
    return [Weight(name, shape, name.partition("_")[0]) for name, shape in shapes.items()]


def state(shape: tuple[int, ...] | None, size: int = 8, name: str | None = None) -> tuple[State, int]:
    return State(None, name, shape), size


def test_as_many_states_as_tensors_of_a_shape() -> None:
    found = owned_states([state((2,)), state((2,)), state((3,), 12)], weights(a_x=(2,), b_x=(2,), b_y=(3,)))
    assert found == {"a": 8, "b": 20}


def test_tensors_of_a_shape_in_one_group() -> None:
    assert owned_states([state((2,))], weights(a_x=(2,), a_y=(2,), b_x=(3,))) == {"a": 8, "b": 0}


def test_fewer_states_than_tensors_leave_only_their_groups_open() -> None:
    found = owned_states([state((2,)), state((5,), 20)], weights(a_x=(2,), b_x=(2,), b_y=(5,), c_x=(5, 1), d_x=(7,)))
    assert found == {"a": None, "b": None, "c": 0, "d": 0}


@pytest.mark.parametrize("states", [
    [state((2,), 8), state((2,), 12)],  # of different sizes: which has which?
    [state((2,)), state((2,)), state((2,))],  # more than tensors
    [state((9,))],  # of no tensor
    [state(None)],
], ids=str)  # fmt: skip
def test_what_contradicts_leaves_all_open(states: Any) -> None:
    assert owned_states(states, weights(a_x=(2,), b_x=(2,))) == {"a": None, "b": None}


def test_a_tensor_of_unknown_shape_may_have_any_state() -> None:
    assert owned_states([state((2,))], weights(a_x=(2,), b_x=None)) == {"a": None, "b": None}
    assert owned_states([], weights(a_x=(2,), b_x=None)) == {"a": 0, "b": 0}


def test_names_decide_where_they_are_given() -> None:
    found = owned_states([state((2,), name="b_x"), state((2,))], weights(a_x=(2,), b_x=(2,)))
    assert found == {"a": 8, "b": 8}
    assert owned_states([state((3,), name="b_x")], weights(a_x=(2,), b_x=(2,))) == {"a": None, "b": None}
    assert owned_states([state(None, name="b_x")], weights(a_x=(2,), b_x=(2,))) == {"a": 0, "b": 8}


# ---------------------------------------------------------------- against the optimizers themselves

OPTIMIZERS = [
    torch.optim.AdamW, torch.optim.Adam, torch.optim.Adagrad, torch.optim.Adamax, torch.optim.NAdam,
    torch.optim.Adadelta, torch.optim.RMSprop, torch.optim.Rprop, torch.optim.ASGD, torch.optim.SGD,
]  # fmt: skip
if hasattr(torch.optim, "Adafactor"):
    OPTIMIZERS.append(torch.optim.Adafactor)


class Net(torch.nn.Module):
    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        for name in chance.sample(["a", "b", "c", "d"], chance.randint(3, 4)):
            size = chance.choice([2, 3])
            kinds: list[Any] = [torch.nn.Linear(size, chance.choice([2, 3])), torch.nn.BatchNorm1d(size)]
            self.add_module(name, torch.nn.Sequential(*chance.choices(kinds, k=chance.randint(1, 2))))


def stepped(net: Any, chance: random.Random, kind: Any) -> list[Any]:
    """Optimizers of random parts of a net, in random order, of which some parameters have had a gradient."""
    parameters = [p for p in net.parameters() if chance.random() < 0.8]
    if chance.random() < 0.5:
        chance.shuffle(parameters)
    options = {"momentum": 0.9} if kind in (torch.optim.SGD, torch.optim.RMSprop) else {}
    cut = chance.choice([0, 0, len(parameters) // 2])
    made = [kind(part, lr=0.01, **options) for part in (parameters[:cut], parameters[cut:]) if part]
    for parameter in parameters:
        if chance.random() < 0.9:
            parameter.grad = torch.ones_like(parameter)
    for optimizer in made:
        optimizer.step()
    return made


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_told_apart_is_true(kind: Any, tmp_path: Any) -> None:
    chance = random.Random(kind.__name__)
    told = 0
    for _ in range(25):
        net = Net(chance)
        optimizers = stepped(net, chance, kind)
        torch.save({"state_dict": net.state_dict(), "optimizer_states": [o.state_dict() for o in optimizers]},
                   tmp_path / "a.ckpt")  # fmt: skip
        split = from_checkpoint(tmp_path / "a.ckpt").split
        names = {parameter: name for name, parameter in net.named_parameters()}
        truth: Counter[str] = Counter()
        for optimizer in optimizers:
            for parameter, kept in optimizer.state.items():
                size = sum(v.untyped_storage().nbytes() for v in kept.values() if isinstance(v, torch.Tensor))
                group = max((one.name for one in split.by_module if names[parameter].startswith(one.name)), key=len)
                truth[group] += size
        for one in split.by_module:
            assert one.optimizer in (None, truth[one.name]), (one, truth)
            told += one.optimizer is not None
        assert split.not_told_apart == truth.total() - sum(one.optimizer or 0 for one in split.by_module)
    assert told > 10


def saved(obj: Any, tmp_path: Any) -> Any:
    file = io.BytesIO()
    torch.save(obj, file)
    (tmp_path / "a.ckpt").write_bytes(file.getvalue())
    return from_checkpoint(tmp_path / "a.ckpt").split


def three() -> Any:
    return torch.nn.ModuleDict({name: torch.nn.Linear(4, 4) for name in "abc"})


def test_names_that_the_optimizer_was_given_are_used(tmp_path: Any) -> None:
    net = three()
    named = [(name, parameter) for name, parameter in net.named_parameters() if name.startswith("b")]
    try:
        optimizer = torch.optim.AdamW(named)
    except TypeError:
        pytest.skip("this PyTorch keeps no names in an optimizer")
    net["b"].weight.grad = torch.ones(4, 4)
    optimizer.step()
    split = saved({"state_dict": net.state_dict(), "optimizer_states": [optimizer.state_dict()]}, tmp_path)
    assert [one.optimizer for one in split.by_module] == [0, 132, 0]


def test_states_under_names_are_theirs(tmp_path: Any) -> None:
    net = three()
    states = {"state": {"c.bias": {"exp_avg": torch.zeros(4)}}, "param_groups": [{"params": ["c.bias"]}]}
    split = saved({"model": net.state_dict(), "optimizer": states}, tmp_path)
    assert [one.optimizer for one in split.by_module] == [0, 0, 16]


@pytest.mark.parametrize("make", [
    lambda net: torch.optim.LBFGS(net.parameters(), max_iter=3),
    lambda net: torch.optim.AdamW(net["b"].parameters()),
], ids=["one state for all", "a third of what has these shapes"])  # fmt: skip
def test_what_nothing_proves_is_one_row(make: Any, tmp_path: Any) -> None:
    net = three()
    optimizer = make(net)

    def loss() -> Any:
        optimizer.zero_grad()
        value = sum(part(torch.ones(1, 4)).square().sum() for part in net.values())
        value.backward()
        return value

    optimizer.step(loss)
    split = saved({"state_dict": net.state_dict(), "optimizer_states": [optimizer.state_dict()]}, tmp_path)
    assert [one.optimizer for one in split.by_module] == [None] * 3
    assert split.not_told_apart > 100


def test_factored_states_of_another_form_are_left_open(tmp_path: Any) -> None:
    """Rows and columns of a square matrix look like the states of a vector."""
    net = three()
    vector = {"exp_avg_sq_row": torch.zeros(4), "exp_avg_sq_col": torch.zeros(4), "step": 1}
    states = {"state": {0: vector}, "param_groups": [{"params": [0]}]}
    split = saved({"state_dict": net.state_dict(), "optimizer_states": [states]}, tmp_path)
    assert {one.optimizer for one in split.by_module} == {None}
