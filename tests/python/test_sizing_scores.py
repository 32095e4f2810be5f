"""A score that has not been logged yet is like the one that will be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import Hooks, Tiny, fit, loader, trainer  # noqa: E402

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import exact_size, measure  # noqa: E402
from checkroom.sizing._scores import logged_metrics, score_like  # noqa: E402


class Logs(Tiny):
    """Logs its score as a number, or as a tensor of a type of its own."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self.score = score

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch.to(self.dtype)).sum()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", self.score)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
def test_before_it_is_logged_it_has_the_default_precision(precision: str) -> None:
    sizes = []

    class Watch(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_start":
                assert logged_metrics(trainer) == {}
                sizes.append(exact_size(score_like(trainer, "val_loss", Ghosts())))
            if hook == "train_epoch_end":
                sizes.append(exact_size(trainer.callback_metrics["val_loss"].clone()))

    fit(trainer(Watch(), max_epochs=1, precision=precision, num_sanity_val_steps=0), Logs(0.5), loader(1), loader(1))
    assert sizes[0] == sizes[1]


def test_once_it_is_logged_it_is_like_that() -> None:
    kinds = []

    class Watch(Hooks):
        def at(self, trainer: Any, hook: str) -> None:
            if hook == "train_epoch_end":
                kinds.append(score_like(trainer, "val_loss", Ghosts()).dtype)

    score = torch.tensor(0.5, dtype=torch.float64)
    fit(trainer(Watch(), max_epochs=1, num_sanity_val_steps=0), Logs(score), loader(1), loader(1))
    assert kinds == [torch.float64]


def trainer_on(device: str) -> Any:
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(strategy=strategy, precision="32-true", _logger_connector=SimpleNamespace())


def test_epoch_and_step_are_whole_numbers() -> None:
    assert score_like(trainer_on("cpu"), "step", Ghosts()).dtype == torch.int64


def test_on_an_accelerator_it_is_a_ghost() -> None:
    ghosts = Ghosts()
    score = score_like(trainer_on("cuda:0"), "val_loss", ghosts)
    assert score.is_meta and ghosts.locations[score.untyped_storage()._cdata] == "cuda:0"
    assert measure(score, ghosts).total > 0


def test_asking_computes_nothing() -> None:
    class Connector:
        _callback_metrics = {"a": torch.tensor(1.0)}

        @property
        def callback_metrics(self) -> Any:
            pytest.fail("that may be a collective")

    assert list(logged_metrics(SimpleNamespace(_logger_connector=Connector()))) == ["a"]
