"""The size of a checkpoint, predicted before the first batch, beside the file that is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from lightning.pytorch.callbacks import EarlyStopping, Timer  # noqa: E402
from torch import optim  # noqa: E402
from torch.optim import lr_scheduler as lr  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from checkroom import sizing  # noqa: E402

BATCHES = 3


class Model(pl.LightningModule):
    def __init__(self, configure: Callable[[Any], Any]) -> None:
        super().__init__()
        self.configure = configure
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", 1.0 / (1 + self.current_epoch))

    def configure_optimizers(self) -> Any:
        return self.configure(self)


class Predict(pl.Callback):
    """Predicts before the first batch, saves at the end of each epoch, and keeps both figures."""

    def __init__(self, folder: Path, weights_only: bool = False, epochs: int = 2) -> None:
        self.folder, self.weights_only, self.epochs = folder, weights_only, epochs
        self.predicted: list[sizing.CheckpointSize] = []
        self.written: list[int] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for epoch in range(self.epochs):
            self.predicted.append(sizing.predict_checkpoint(trainer, weights_only=self.weights_only, epoch=epoch))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            path = self.folder / f"{len(self.written)}.ckpt"
            trainer.save_checkpoint(path, self.weights_only)
            self.written.append(path.stat().st_size)


def fit(folder: Path, configure: Callable[[Any], Any], *, weights_only: bool = False, callbacks: tuple[Any, ...] = (),
        model: Any = None, predict: bool = True, **arguments: Any) -> tuple[Predict, Any]:
    torch.manual_seed(3)
    model = model or Model(configure)
    watch = Predict(folder, weights_only)
    data = DataLoader(TensorDataset(torch.randn(2 * BATCHES, 4)), batch_size=2)
    defaults: dict[str, Any] = {"max_epochs": 2, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(
        **{**defaults, **arguments}, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[*callbacks, *((watch,) if predict else ())],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, data, data)
    return watch, model


def scheduled(make: Callable[[Any], Any], **config: Any) -> Callable[[Any], Any]:
    def configure(model: Any) -> Any:
        optimizer = optim.AdamW(model.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), **config}}

    return configure


def groups(model: Any) -> Any:
    return optim.Adam([{"params": model.net[0].parameters()}, {"params": model.net[2].parameters(), "lr": 0.1}])


def two_optimizers_as_one(model: Any) -> Any:
    return optim.RMSprop(model.parameters(), momentum=0.9, centered=True)


CASES: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda m: optim.SGD(m.parameters(), lr=0.1),
    "SGD with momentum": lambda m: optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "Adam": lambda m: optim.Adam(m.parameters()),
    "Adam, amsgrad": lambda m: optim.Adam(m.parameters(), amsgrad=True),
    "AdamW": lambda m: optim.AdamW(m.parameters()),
    "RMSprop": lambda m: optim.RMSprop(m.parameters()),
    "RMSprop, centered": two_optimizers_as_one,
    "Adagrad": lambda m: optim.Adagrad(m.parameters()),
    "Adadelta": lambda m: optim.Adadelta(m.parameters()),
    "Adamax": lambda m: optim.Adamax(m.parameters()),
    "NAdam": lambda m: optim.NAdam(m.parameters()),
    "RAdam": lambda m: optim.RAdam(m.parameters()),
    "Adafactor": lambda m: optim.Adafactor(m.parameters()),
    "groups": groups,
    "StepLR": scheduled(lambda o: lr.StepLR(o, 1)),
    "OneCycle": scheduled(lambda o: lr.OneCycleLR(o, 0.1, total_steps=2 * BATCHES + 1), interval="step"),
    "Cosine": scheduled(lambda o: lr.CosineAnnealingLR(o, 10)),
    "Plateau": scheduled(lambda o: lr.ReduceLROnPlateau(o), monitor="val_loss"),
    "Sequential": scheduled(lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)], [1])),
    "Lambda": scheduled(lambda o: lr.LambdaLR(o, lambda epoch: 0.9**epoch)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_prediction_is_exact(tmp_path: Path, case: str) -> None:
    watch, _ = fit(tmp_path, CASES[case])
    assert [size.total for size in watch.predicted] == watch.written
    assert all(size.exact and size.notes == () for size in watch.predicted)
    for size in watch.predicted:
        assert size.weights + size.optimizer + size.other == size.total


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("bf16-mixed", {"precision": "bf16-mixed"}),
        ("64-true", {"precision": "64-true"}),
        ("accumulation", {"accumulate_grad_batches": 2}),
        ("limited", {"limit_train_batches": 2, "limit_val_batches": 1}),
        ("callbacks", {"callbacks": (EarlyStopping("val_loss"), Timer())}),
        ("weights only", {"weights_only": True}),
    ],
)
def test_the_prediction_is_exact_with(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    watch, _ = fit(tmp_path, CASES["AdamW"], **arguments)
    assert [size.total for size in watch.predicted] == watch.written


def test_a_run_is_bit_identical_with_and_without_the_prediction(tmp_path: Path) -> None:
    with_it, without = (
        fit(tmp_path, CASES["Adam"], predict=predict, max_epochs=3)[1].state_dict() for predict in (True, False)
    )
    assert all(torch.equal(with_it[key], without[key]) for key in without)


def test_a_users_hook_makes_it_a_bound_and_is_not_run(tmp_path: Path) -> None:
    class Adds(Model):
        runs = 0

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            type(self).runs += 1
            checkpoint["mine"] = torch.zeros(1000)

    seen = []

    class Count(pl.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            seen.append(Adds.runs)
            seen.append(sizing.predict_checkpoint(trainer))
            seen.append(Adds.runs)

    watch, _ = fit(tmp_path, CASES["AdamW"], model=Adds(CASES["AdamW"]), callbacks=(Count(),))
    before, size, after = seen
    assert before == after == 0
    assert not size.exact and size.bound == "at least" and "Adds.on_save_checkpoint" in size.notes[0]
    assert size.total <= watch.written[0]


def test_an_optimizer_that_cannot_be_stepped_ahead_makes_it_a_bound(tmp_path: Path) -> None:
    class Strange(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for p in group["params"]:
                    p.detach().numpy()  # needs memory
            return super().step(closure)

    watch, _ = fit(tmp_path, lambda m: Strange(m.parameters(), lr=0.1, momentum=0.9))
    assert not watch.predicted[0].exact and "Strange" in watch.predicted[0].notes[0]
    assert watch.predicted[0].total <= watch.written[0]


def test_lbfgs_is_a_bound(tmp_path: Path) -> None:
    watch, _ = fit(tmp_path, lambda m: optim.LBFGS(m.parameters()))
    assert watch.predicted[0].bound == "at least"
    assert watch.predicted[0].total <= watch.written[0]


def test_parameters_that_are_frozen_have_no_states(tmp_path: Path) -> None:
    model = Model(CASES["AdamW"])
    model.net[0].requires_grad_(False)
    watch, _ = fit(tmp_path, CASES["AdamW"], model=model)
    assert [size.total for size in watch.predicted] == watch.written


def test_large_models_cost_no_memory() -> None:
    from checkroom._ghosts import Ghosts
    from checkroom._pickling import measure
    from checkroom.sizing._optimizers import predicted_state_dict

    with torch.device("meta"):
        model = torch.nn.ModuleList([torch.nn.Linear(8192, 8192) for _ in range(40)])
    ghosts = Ghosts()
    state = predicted_state_dict(optim.AdamW(model.parameters()), ghosts)
    elements = sum(p.numel() for p in model.parameters())
    for values in state["state"].values():
        for value in values.values():
            if value.is_meta:
                ghosts.locations[value.untyped_storage()._cdata] = "cpu"
    assert measure(state, ghosts).total > 2 * 4 * elements > 20_000_000_000
