"""Strategies whose dump is a collective are not asked for one: elements are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from lightning.pytorch import strategies  # noqa: E402

from checkroom.sizing._elements import from_elements, reason_to_count  # noqa: E402


def trainer_with(strategy: Any, optimizer: Any = torch.optim.AdamW, world_size: int = 1, **settings: Any) -> Any:
    module = torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.BatchNorm1d(10))
    optimizers = [optimizer(module.parameters(), **settings)]
    return SimpleNamespace(strategy=strategy, lightning_module=module, optimizers=optimizers, world_size=world_size)


@pytest.mark.parametrize("name", ["SingleDeviceStrategy", "DDPStrategy"])
def test_plain_strategies_can_be_asked(name: str) -> None:
    kind = getattr(strategies, name)
    assert reason_to_count(trainer_with(kind(torch.device("cpu")) if "Single" in name else kind())) is None


@pytest.mark.parametrize("name", ["FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"])
def test_sharded_strategies_cannot(name: str) -> None:
    strategy = object.__new__(getattr(strategies, name))  # without a process group, which nothing here needs
    assert reason_to_count(trainer_with(strategy)) == f"{name} shards or gathers states on its own"


def test_a_strategy_of_a_users_own_cannot_where_it_writes_by_itself() -> None:
    class Writes(strategies.SingleDeviceStrategy):
        def save_checkpoint(self, *args: Any, **more: Any) -> None:
            pass

    assert "Writes" in str(reason_to_count(trainer_with(Writes(torch.device("cpu")))))


def test_distributed_tensors_cannot() -> None:
    class DTensor(torch.Tensor):
        pass

    trainer = trainer_with(strategies.SingleDeviceStrategy(torch.device("cpu")))
    trainer.lightning_module[0].weight = torch.nn.Parameter(torch.zeros(10, 10).as_subclass(DTensor))
    assert reason_to_count(trainer) == "the parameters are distributed tensors"


@pytest.mark.parametrize(
    ("optimizer", "settings", "states"),
    [
        (torch.optim.SGD, {"lr": 0.1}, 0),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, 1),
        (torch.optim.AdamW, {}, 2),
        (torch.optim.Adam, {"amsgrad": True}, 3),
    ],
)
def test_elements_are_counted(optimizer: Any, settings: dict[str, Any], states: int) -> None:
    size = from_elements(trainer_with(None, optimizer, **settings), False, "it shards")
    assert size.weights == 4 * (110 + 20 + 20) + 8  # two layers, two statistics, one counter
    assert size.optimizer == states * 4 * 130
    assert (size.exact, size.bound, size.total) == (False, "estimate", size.weights + size.optimizer)
    assert size.notes == ("it shards: counted from elements, without asking for its states",)


def test_a_rank_with_a_part_stands_for_all() -> None:
    class FlatParameter(torch.nn.Parameter):
        pass

    trainer = trainer_with(None, world_size=4)
    trainer.lightning_module = torch.nn.Module()
    trainer.lightning_module.flat = FlatParameter(torch.zeros(25))
    trainer.optimizers = [torch.optim.AdamW(trainer.lightning_module.parameters())]
    size = from_elements(trainer, False, "it shards")
    assert (size.weights, size.optimizer) == (4 * 100, 4 * 200)
    assert from_elements(trainer, True, "it shards").optimizer == 0


def test_a_partitioned_parameter_knows_its_size() -> None:
    trainer = trainer_with(None)
    trainer.lightning_module[0].weight.data = torch.zeros(0)
    trainer.lightning_module[0].weight.ds_numel = 100
    assert from_elements(trainer, True, "it shards").weights == 4 * (110 + 20 + 20) + 8
