"""Models without memory: a size for what no machine here could hold."""

from __future__ import annotations

import resource
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from lightning.pytorch.strategies import SingleDeviceStrategy  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from checkroom.sizing import CheckpointSize, predict_checkpoint  # noqa: E402


class Stays(SingleDeviceStrategy):  # type: ignore[misc]
    """What has no memory cannot be moved."""

    def model_to_device(self) -> None:
        pass

    def teardown(self) -> None:
        pass


class Model(pl.LightningModule):
    def __init__(self, width: int, layers: int, device: str) -> None:
        super().__init__()
        with torch.device(device):
            self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])
            self.tied = nn.Linear(width, width)
        self.tied.weight = self.layers[0].weight

    def training_step(self, batch: Any, _index: int) -> Any:
        return sum(parameter.sum() for parameter in self.parameters())

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters())


class Stop(Exception):
    pass


class Ask(pl.Callback):
    size: CheckpointSize

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.size = predict_checkpoint(trainer)
        raise Stop


def predicted(model: Model) -> CheckpointSize:
    ask = Ask()
    trainer = pl.Trainer(
        max_epochs=2, strategy=Stays(device=torch.device("cpu")), callbacks=[ask], logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    with pytest.raises(Stop):
        trainer.fit(model, DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2))
    return ask.size


def test_it_is_that_of_the_same_model_with_memory() -> None:
    real, ghost = predicted(Model(64, 20, "cpu")), predicted(Model(64, 20, "meta"))
    assert (ghost.total, ghost.weights, ghost.optimizer, ghost.exact) == (
        real.total, real.weights, real.optimizer, real.exact,
    )  # fmt: skip
    assert "weights on the meta device will lie on cpu" in ghost.assumes
    assert "weights on the meta device will lie on cpu" not in real.assumes


def test_sixty_seven_billion_parameters_take_no_memory() -> None:
    model = Model(28_952, 80, "meta")
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count > 67_000_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = predicted(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert size.weights == 4 * count
    assert size.optimizer == 2 * 4 * count + 4 * len(list(model.parameters()))
    assert 0 < size.other < 1_000_000
