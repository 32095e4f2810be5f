"""What Lightning's own callbacks will have saved about themselves."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from lightning.pytorch.callbacks import EarlyStopping, Timer  # noqa: E402
from sizing_runs import HOOKS, Hooks, Tiny, fit, loader, trainer  # noqa: E402

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import measure  # noqa: E402
from checkroom.sizing._callback_states import Ahead, advance_callbacks, joining_parameters  # noqa: E402
from checkroom.sizing._counters import counters_of  # noqa: E402
from checkroom.sizing._findings import Findings  # noqa: E402
from checkroom.sizing._moment import moment_of  # noqa: E402
from checkroom.sizing._run import Run  # noqa: E402


class Compares(Hooks):
    """Foretells the callbacks' states for the end of each epoch and of each batch, and compares."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.ahead: dict[Any, tuple[Findings, int, int]] = {}
        self.seen: dict[Any, tuple[str, int, int, int]] = {}

    def at(self, trainer: Any, hook: str) -> None:
        states = {one.state_key: one.state_dict() for one in trainer.callbacks if one.state_dict()}
        if hook == "train_start":
            run = Run(trainer)
            for epoch in range(self.epochs):
                before = run.before(epoch).steps
                for step in range(before + 1, before + run.steps(epoch, run.length or 0) + 1):
                    for at in HOOKS[:3]:
                        self._foretell(trainer, run, states, epoch, step, at)
        place = (trainer.current_epoch, trainer.global_step, hook)
        if place in self.ahead:
            findings, least, most = self.ahead[place]
            self.seen[place] = (findings.bound(least, most)[0], least, measure(states).total, most)

    def _foretell(self, trainer: Any, run: Run, states: Any, epoch: int, step: int, hook: Any) -> None:
        try:
            moment = moment_of(run, epoch, step, hook)
        except ValueError:
            return
        ghosts, findings = Ghosts(), Findings()
        ahead = Ahead(trainer, run, moment, counters_of(run, trainer, moment), ghosts, findings)
        least, most, settings = advance_callbacks(states, ahead)
        totals = []
        for end, found in (("least", least), ("most", most)):
            for container, key, span in settings:
                container[key] = getattr(span, end)
            totals.append(measure(found, ghosts).total)
        self.ahead[epoch, step, hook] = (findings, *totals)


def compared(*callbacks: Any, module: Any = None, epochs: int = 3, **settings: Any) -> dict[Any, Any]:
    config = pytest.importorskip("torch.utils.serialization.config")
    watch = Compares(epochs)
    with config.patch("save.storage_alignment", 1):  # no padding hides a byte
        fit(trainer(*callbacks, watch, max_epochs=epochs, **{"num_sanity_val_steps": 0, **settings}),
            module or Tiny(), loader(3), loader(1))  # fmt: skip
    assert len(watch.seen) >= epochs * 4
    for place, (_, _, real, _) in watch.seen.items():
        findings, *totals = watch.ahead[place]
        _, _, least, most = findings.bound(*sorted(totals))
        assert least <= real and (most is None or real <= most)
    return watch.seen


@pytest.mark.parametrize("sanity", [0, 1])
def test_the_times_of_stages_that_have_begun_are_longer(sanity: int) -> None:
    seen = compared(Timer(), num_sanity_val_steps=sanity)
    assert all(bound == "exact" or least == most for bound, least, _, most in seen.values())
    sizes = [real for _, _, real, _ in seen.values()]
    assert (min(sizes) < max(sizes)) == (sanity == 0)  # the first validation makes it longer


@pytest.mark.parametrize("settings", [{}, {"check_on_train_epoch_end": False}], ids=str)
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_early_stopping(settings: dict[str, Any], precision: str) -> None:
    class Double(Tiny):
        def training_step(self, batch: Any, index: int) -> Any:
            return super().training_step(batch.to(self.dtype), index)

    seen = compared(EarlyStopping("val_loss", patience=9, **settings), module=Double(), precision=precision)
    open_ = [place for place, (_, least, _, most) in seen.items() if least != most]
    # Where any callback may save, it is open only in the hook in which the first score is looked at.
    assert set(open_) <= {(0, 3, "train_epoch_end"), (0, 3, "validation_end")}
    assert bool(open_) == (precision == "64-true")


@pytest.mark.skipif(not hasattr(EarlyStopping("val_loss"), "stopping_reason_message"), reason="it is not noted why")
def test_a_stop_that_may_come_makes_it_a_bound() -> None:
    seen = compared(EarlyStopping("val_loss", patience=2))
    assert {epoch: bound for (epoch, _, hook), (bound, *_) in seen.items() if hook == "train_epoch_end"} == {
        0: "exact", 1: "at least", 2: "at least"
    }  # fmt: skip


def test_callbacks_that_stop_by_one_metric_may_share_its_score() -> None:
    seen = compared(EarlyStopping("val_loss", patience=9), EarlyStopping("val_loss", patience=9, mode="max"))
    assert {bound for bound, *_ in seen.values()} == {"at most"}


@pytest.mark.skipif(not hasattr(pl.callbacks, "WeightAveraging"), reason="this Lightning has no WeightAveraging")
def test_averages() -> None:
    class Sometimes(pl.callbacks.WeightAveraging):
        def should_update(self, step_idx: Any = None, epoch_idx: Any = None) -> bool:
            return step_idx is not None and step_idx % 4 == 0

    for callback in (pl.callbacks.WeightAveraging(), pl.callbacks.EMAWeightAveraging(update_every_n_steps=2)):
        seen = compared(callback)
        assert all(least == most for _, least, _, most in seen.values())
    compared(Sometimes())


def test_a_state_of_a_users_own_is_taken_as_it_is() -> None:
    class Mine(pl.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"a": 1}

    assert {bound for bound, *_ in compared(Mine()).values()} == {"estimate"}


class Frozen(Tiny):
    """A backbone that is frozen at first, inside of the optimizer or outside."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.backbone, self.inside = torch.nn.Linear(1, 1), inside

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(self.backbone(batch)).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters() if self.inside else self.layer.parameters())


@pytest.mark.parametrize("inside", [False, True])
def test_groups_that_a_finetuning_notes(inside: bool) -> None:
    seen = compared(pl.callbacks.BackboneFinetuning(2), module=Frozen(inside), epochs=4)
    assert seen[0, 3, "train_epoch_end"][1] == seen[0, 3, "train_epoch_end"][2]
    assert seen[3, 12, "train_epoch_end"][2] <= seen[3, 12, "train_epoch_end"][3]


def test_parameters_that_may_join_an_optimizer() -> None:
    class Own(pl.callbacks.BaseFinetuning):
        pass

    module = Frozen(False)
    run = type("Trainer", (), {"lightning_module": module, "optimizers": [module.configure_optimizers()]})()
    for callbacks, groups in (([], []), ([pl.callbacks.BackboneFinetuning()], [2]), ([Own()], [1, 1])):
        run.callbacks = callbacks
        assert [len(group) for group in joining_parameters(run)] == groups
