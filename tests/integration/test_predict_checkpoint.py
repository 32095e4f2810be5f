"""The size of a checkpoint, predicted before the first batch, beside the file of the first, second and tenth epoch."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")
numpy = pytest.importorskip("numpy")

from _sizing import EPOCHS, Model, Watch, assert_promise_kept, fit, loader, trainer  # noqa: E402
from lightning.pytorch import callbacks  # noqa: E402
from lightning.pytorch.callbacks import EarlyStopping, Timer  # noqa: E402
from torch import optim  # noqa: E402
from torch.optim import lr_scheduler as lr  # noqa: E402

from checkroom import sizing  # noqa: E402


def scheduled(make: Callable[[Any], Any], **config: Any) -> Callable[[Any], Any]:
    def configure(model: Any) -> Any:
        optimizer = optim.AdamW(model.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), **config}}

    return configure


def groups(model: Any) -> Any:
    return optim.Adam([{"params": model.net[0].parameters()}, {"params": model.net[2].parameters(), "lr": 0.1}])


PLAIN = ("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop")
OPTIMIZERS = {
    **{name: lambda m, name=name: getattr(optim, name)(m.parameters()) for name in PLAIN},
    "SGD": lambda m: optim.SGD(m.parameters(), lr=0.1),
    "SGD with momentum": lambda m: optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "groups": groups,
    "RMSprop, centered": lambda m: optim.RMSprop(m.parameters(), momentum=0.9, centered=True),
    "Adam, fused": lambda m: optim.Adam(m.parameters(), fused=True),
}
SCHEDULERS = {
    "StepLR": scheduled(lambda o: lr.StepLR(o, 1)),
    "OneCycle": scheduled(lambda o: lr.OneCycleLR(o, 0.1, total_steps=40), interval="step"),
    "Cosine": scheduled(lambda o: lr.CosineAnnealingLR(o, 10)),
    "WarmRestarts": scheduled(lambda o: lr.CosineAnnealingWarmRestarts(o, 3, 2)),
    "Plateau": scheduled(lambda o: lr.ReduceLROnPlateau(o), monitor="val_loss"),
    "Sequential": scheduled(lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)], [1])),
    "Lambda": scheduled(lambda o: lr.LambdaLR(o, lambda epoch: 0.9**epoch)),
}
CONFIGURED: dict[str, Callable[[Any], Any]] = {**OPTIMIZERS, **SCHEDULERS}


def assert_exact(watch: Watch) -> None:
    assert watch.totals == watch.written and set(watch.written) == set(watch.epochs)
    for size in watch.predicted.values():
        assert size.exact and size.notes == () and size.least == size.most == size.total
        assert size.weights + size.optimizer + size.other == size.total


@pytest.mark.parametrize("case", CONFIGURED)
def test_optimizers_and_schedulers_are_exact(tmp_path: Path, case: str) -> None:
    assert_exact(fit(tmp_path, configure=CONFIGURED[case]))


def optional(name: str) -> Any:
    """A callback that only some versions of Lightning have."""
    kind = getattr(callbacks, name, None)
    return pytest.param((kind,), {}, id=name, marks=pytest.mark.skipif(kind is None, reason=f"there is no {name}"))


@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        optional("WeightAveraging"),
        optional("EMAWeightAveraging"),
        pytest.param((lambda: EarlyStopping("val_loss", patience=20), Timer), {}, id="EarlyStopping and Timer"),
        pytest.param((lambda: EarlyStopping("val_loss", patience=20),), {"precision": "64-true"}, id="64-true"),
        pytest.param((), {"precision": "bf16-mixed"}, id="bf16-mixed"),
        pytest.param((), {"precision": "bf16-true"}, id="bf16-true"),
        pytest.param((), {"precision": "16-true"}, id="16-true"),
        pytest.param((), {"accumulate_grad_batches": 3}, id="accumulation"),
        pytest.param((lambda: callbacks.GradientAccumulationScheduler({0: 1, 4: 2}),), {}, id="accumulation later"),
        pytest.param((), {"weights_only": True}, id="weights only"),
        pytest.param((), {"limit_train_batches": 1, "num_sanity_val_steps": 1}, id="limited"),
    ],
)
def test_callbacks_and_precisions_are_exact(tmp_path: Path, made: Any, arguments: dict[str, Any]) -> None:
    watch = fit(tmp_path, *(make() for make in made), **arguments)
    if arguments.get("precision") == "64-true":  # whether the score of the first check is in it depends on who saves
        first = watch.predicted.pop(0)
        assert_promise_kept(first, watch.written.pop(0))
        watch.epochs = watch.epochs[1:]
    assert_exact(watch)


def test_muon_is_exact(tmp_path: Path) -> None:
    if not hasattr(optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    model = Model(lambda m: optim.Muon(m.parameters()))
    model.net = torch.nn.Sequential(torch.nn.Linear(4, 8, bias=False), torch.nn.Linear(8, 1, bias=False))
    assert_exact(fit(tmp_path, model=model))


def test_sparse_gradients_are_exact(tmp_path: Path) -> None:
    class Embeds(Model):
        def training_step(self, batch: Any, _index: int) -> Any:
            return self.net(torch.tensor([1, 2])).sum()

    model = Embeds(lambda m: optim.SparseAdam(m.parameters()))
    model.net = torch.nn.Embedding(10, 4, sparse=True)
    assert_exact(fit(tmp_path, model=model))


def test_frozen_parameters_have_no_states(tmp_path: Path) -> None:
    model = Model()
    model.net[0].requires_grad_(False)
    assert_exact(fit(tmp_path, model=model, epochs=(0, 1), max_epochs=2))


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self) -> Any:
        return iter([[torch.ones(2, 4)]] * 2)


def test_an_iterable_dataset_is_exact_where_its_length_is_told(tmp_path: Path) -> None:
    data = torch.utils.data.DataLoader(Endless(), batch_size=None)
    watch = fit(tmp_path, data=data)
    assert watch.predicted[9].bound == "at most" and watch.predicted[9].total - watch.written[9] <= 512
    for epoch in EPOCHS:
        assert_promise_kept(watch.predicted[epoch], watch.written[epoch])
    limited = fit(tmp_path, data=data, limit_train_batches=2)
    assert limited.totals == limited.written


def test_the_state_of_a_datamodule_is_taken_as_it_is(tmp_path: Path) -> None:
    class Data(pl.LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader()

        def val_dataloader(self) -> Any:
            return loader(1)

        def state_dict(self) -> dict[str, Any]:
            return {"seen": 3}

    watch = fit(tmp_path, data=Data())
    assert watch.totals == watch.written
    assert all(size.bound == "estimate" and "Data.state_dict" in size.notes[0] for size in watch.predicted.values())


class TwoPlayers(Model):
    """As a GAN: each of two optimizers steps once a batch."""

    def __init__(self, configure: Callable[[Any], Any]) -> None:
        super().__init__(configure)
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, index))
            optimizer.step()


@pytest.mark.parametrize("second", ["Adam", "Muon"])
def test_two_optimizers_that_are_stepped_by_hand(tmp_path: Path, second: str) -> None:
    if not hasattr(optim, second):
        pytest.skip(f"this PyTorch has no {second}")
    kind = getattr(optim, second)
    model = TwoPlayers(lambda m: [optim.AdamW([*m.net[0].parameters(), m.net[2].bias]), kind([m.net[2].weight])])
    watch = fit(tmp_path, model=model)
    assert watch.totals == watch.written
    assert all(size.bound == "estimate" for size in watch.predicted.values())
    assert "every batch is taken to step each optimizer once" in watch.predicted[0].notes[0]


# ---------------------------------------------------------------- where it is a bound


def test_a_users_hook_makes_it_a_bound_and_is_not_run(tmp_path: Path) -> None:
    ran = []

    class Adds(Model):
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            ran.append(self.trainer.global_step)
            checkpoint["mine"] = torch.zeros(1000)

    watch = fit(tmp_path, model=Adds(), epochs=(0,), max_epochs=1)
    size = watch.predicted[0]
    assert ran == [watch.epochs[0] + len(loader())]
    assert size.bound == "at least" and "Adds.on_save_checkpoint may add to it" in size.notes[0]
    assert watch.written[0] - 4096 - 512 < size.total < watch.written[0]


def test_a_backbone_that_unfreezes_later_is_counted_from_the_start(tmp_path: Path) -> None:
    class Fine(Model):
        def __init__(self) -> None:
            super().__init__(lambda m: optim.AdamW(m.net.parameters()))
            self.backbone = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))

        def training_step(self, batch: Any, index: int) -> Any:
            return self.net(self.backbone(batch[0])).square().mean()

    watch = fit(tmp_path, callbacks.BackboneFinetuning(3), model=Fine(), epochs=(0, 5), max_epochs=6)
    for epoch, size in watch.predicted.items():
        assert size.bound == "at most" and "BackboneFinetuning may train more" in size.notes[0]
        assert_promise_kept(size, watch.written[epoch])
    assert watch.written[0] == watch.predicted[0].least and watch.written[5] == watch.predicted[5].total


def test_averaging_that_begins_later_is_an_estimate(tmp_path: Path) -> None:
    watch = fit(tmp_path, callbacks.StochasticWeightAveraging(0.01, swa_epoch_start=3), epochs=(0, 5), max_epochs=6)
    assert watch.predicted[0].exact and watch.totals[0] == watch.written[0]
    assert watch.predicted[5].bound == "estimate" and "StochasticWeightAveraging" in watch.predicted[5].notes[0]
    assert watch.totals[5] < watch.written[5]


def test_a_stop_is_noted_in_the_last_checkpoint(tmp_path: Path) -> None:
    class Worse(Model):
        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("val_loss", float(self.current_epoch))

    class Saves(pl.callbacks.ModelCheckpoint):
        pass

    saves = Saves(dirpath=tmp_path, save_top_k=-1, filename="{epoch}")
    watch = fit(tmp_path, EarlyStopping("val_loss", patience=2), saves, model=Worse(), epochs=(0, 1, 2),
                enable_checkpointing=True)
    noted = hasattr(EarlyStopping("val_loss"), "stopping_reason_message")  # since Lightning 2.6
    bounds = [size.bound for size in watch.predicted.values()]
    assert bounds == ["exact", *(["at least"] * 2 if noted else ["exact"] * 2)]
    for epoch, size in watch.predicted.items():
        assert_promise_kept(size, (tmp_path / f"epoch={epoch}.ckpt").stat().st_size)
    assert (watch.totals[2] < (tmp_path / "epoch=2.ckpt").stat().st_size) == noted


def test_parameters_without_a_shape_are_not_counted(tmp_path: Path) -> None:
    class Lazy(Model):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.Linear(8, 1))

        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("val_loss", self.net(batch[0]).mean())

    watch = fit(tmp_path, model=Lazy(), epochs=(0,), max_epochs=1)
    size = watch.predicted[0]
    assert size.bound == "at least" and "2 parameters get their shape with the first batch" in size.notes[0]
    assert size.total < watch.written[0]
    assert_exact(fit(tmp_path, model=Lazy(), epochs=(0,), max_epochs=1, num_sanity_val_steps=1))


def test_lbfgs_is_counted_with_its_full_history(tmp_path: Path) -> None:
    watch = fit(tmp_path, configure=lambda m: optim.LBFGS(m.parameters(), history_size=4, max_iter=2))
    for epoch, size in watch.predicted.items():
        assert size.bound == "at most" and "LBFGS is counted with its full history" in size.notes[0]
        assert_promise_kept(size, watch.written[epoch])
    assert watch.written[0] < watch.written[9] and watch.totals[9] - watch.written[9] <= 64


def test_an_optimizer_of_others_is_an_estimate(tmp_path: Path) -> None:
    class Lion(optim.Optimizer):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, {"lr": 1e-4})

        def step(self, closure: Any = None) -> Any:
            loss = closure() if closure is not None else None
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                        p.data.add_(average.lerp(p.grad, 0.1).sign(), alpha=-group["lr"])
            return loss

    watch = fit(tmp_path, configure=lambda m: Lion(m.parameters()), epochs=(0, 1), max_epochs=2)
    assert watch.totals == watch.written
    assert all(size.bound == "estimate" and "Lion is not of torch.optim" in size.notes[0]
               for size in watch.predicted.values())


def test_ties_that_an_asynchronous_writer_loses_are_counted(tmp_path: Path) -> None:
    class Tied(Model):
        def __init__(self) -> None:
            super().__init__()
            self.twin = torch.nn.Linear(4, 8)
            self.twin.weight = self.net[0].weight

        def training_step(self, batch: Any, index: int) -> Any:
            return super().training_step(batch, index) + self.twin(batch[0]).mean()

    class Late(Watch):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.save_checkpoint(self.folder / "0.ckpt")  # written in the background

    writer = pl.plugins.io.AsyncCheckpointIO()
    sizes = []
    for plugins in ([writer], []):
        watch = Late(tmp_path, (0,))
        run = trainer(watch, max_epochs=1, plugins=plugins)
        run.fit(Tied(), loader(), loader(1))
        sizes.append((tmp_path / "0.ckpt").stat().st_size)
        assert watch.totals[0] == sizes[-1]
    assert sizes[0] > sizes[1]


def test_a_strategy_that_shards_is_counted_from_elements() -> None:
    class Sharded(pl.strategies.SingleDeviceStrategy):
        def optimizer_state(self, optimizer: Any) -> Any:
            pytest.fail("a collective was asked for")

    sizes = []

    class Ask(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            sizes.append(sizing.predict_checkpoint(trainer))

    run = trainer(Ask(), max_epochs=1)
    run.strategy.__class__ = Sharded
    run.fit(Model(), loader(), loader(1))
    assert sizes[0].bound == "estimate" and "Sharded shards or gathers states on its own" in sizes[0].notes[0]
    assert sizes[0].optimizer == 2 * 4 * sum(p.numel() for p in Model().parameters())


# ---------------------------------------------------------------- the run itself


class Draws(Model):
    """Draws from every generator, and keeps its losses."""

    def __init__(self) -> None:
        super().__init__(scheduled(lambda o: lr.StepLR(o, 1)))
        self.losses: list[float] = []

    def training_step(self, batch: Any, index: int) -> Any:
        loss = super().training_step(batch, index) * (torch.rand(()) + random.random() + numpy.random.rand())
        self.losses.append(float(loss.detach()))
        return loss


class Asks(pl.Callback):
    """Predicts wherever it can, or nowhere."""

    def __init__(self, asks: bool) -> None:
        self.asks, self.sizes = asks, []

    def ask(self, trainer: Any, *_: Any) -> None:
        if self.asks and not trainer.sanity_checking:
            self.sizes.append(sizing.predict_checkpoint(trainer, epoch=trainer.current_epoch))

    on_train_start = on_train_batch_end = on_validation_end = on_train_epoch_end = ask


def _trace(asks: bool) -> tuple[Any, ...]:
    """All that a run leaves: losses, weights, optimizer states, random numbers, and what its profile lists."""
    torch.manual_seed(1), random.seed(1), numpy.random.seed(1)
    watch, model, profiler = Asks(asks), Draws(), pl.profilers.SimpleProfiler()
    run = trainer(EarlyStopping("val_loss"), watch, max_epochs=3, profiler=profiler)
    run.fit(model, loader(), loader(1))
    assert len(watch.sizes) == asks * (1 + 3 * (len(loader()) + 2))
    listed = {name: len(times) for name, times in profiler.recorded_durations.items()}
    state = io.BytesIO()
    torch.save(run._checkpoint_connector.dump_checkpoint(False), state)
    modes = [(name, part.training, sorted(vars(part))) for name, part in model.named_modules()]
    drawn = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    return model.losses, state.getvalue(), drawn, listed, modes, [p.grad is None for p in model.parameters()]


def test_a_run_is_bit_identical_with_and_without_the_prediction() -> None:
    with_it, without = _trace(True), _trace(False)
    assert len(without[0]) == 3 * len(loader())
    assert with_it == without


def test_many_small_parameters_are_quick_and_exact(tmp_path: Path) -> None:
    model = Model()
    model.many = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1 + index % 5)) for index in range(400)])
    model.training_step = lambda batch: sum(p.sum() for p in model.parameters())
    watch = fit(tmp_path, model=model, epochs=(0,), max_epochs=1)
    assert_exact(watch)


def test_a_trainer_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no model yet"):
        sizing.predict_checkpoint(trainer())


def test_the_other_package_is_sized_alike(tmp_path: Path) -> None:
    other = pytest.importorskip("pytorch_lightning")

    class Small(other.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, _index: int) -> Any:
            return self.layer(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return optim.Adam(self.parameters())

    class Asks(other.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.size = sizing.predict_checkpoint(trainer)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            trainer.save_checkpoint(tmp_path / "0.ckpt")

    asks = Asks()
    run = other.Trainer(
        callbacks=[asks, other.callbacks.Timer()], max_epochs=1, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    run.fit(Small(), loader())
    assert asks.size.exact and asks.size.total == (tmp_path / "0.ckpt").stat().st_size
