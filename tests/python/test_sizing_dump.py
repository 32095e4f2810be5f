"""A dump that leaves no trace, and what a user's code makes of the prediction."""

from __future__ import annotations

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")
numpy = pytest.importorskip("numpy")

from lightning.pytorch.plugins.io import AsyncCheckpointIO, TorchCheckpointIO  # noqa: E402
from sizing_runs import Hooks, Tiny, fit, loader, trainer  # noqa: E402

from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom._pickling import exact_size, measure  # noqa: E402
from checkroom.sizing._dump import as_handed_over, quiet_dump  # noqa: E402
from checkroom.sizing._findings import Findings  # noqa: E402


class Dumps(Hooks):
    """Dumps quietly before the first batch."""

    def __init__(self, weights_only: bool = False) -> None:
        self.weights_only, self.findings, self.checkpoint = weights_only, Findings(), {}

    def at(self, trainer: Any, hook: str) -> None:
        if hook == "train_start":
            before = _states()
            self.checkpoint = quiet_dump(
                trainer, self.weights_only, lambda optimizer: {"of": type(optimizer).__name__}, self.findings
            )
            assert repr(_states()) == repr(before)


def _states() -> Any:
    return random.getstate(), numpy.random.get_state(), torch.get_rng_state().tolist()


def dumped(module: Any, *callbacks: Any, weights_only: bool = False, **settings: Any) -> Dumps:
    watch = Dumps(weights_only)
    run = trainer(*callbacks, watch, max_epochs=1, num_sanity_val_steps=0, **settings)
    fit(run, module, *(() if isinstance(module, WithData) else (loader(1), loader(1))))
    return watch


class WithData(Tiny):
    def train_dataloader(self) -> Any:
        return loader(1)

    val_dataloader = train_dataloader


def test_it_is_lightnings_own_with_other_optimizer_states() -> None:
    watch = dumped(Tiny())
    assert watch.checkpoint["optimizer_states"] == [{"of": "SGD"}]
    assert {"epoch", "global_step", "state_dict", "loops", "callbacks", "lr_schedulers"} <= watch.checkpoint.keys()
    assert watch.findings.notes == []
    assert "callbacks" not in dumped(Tiny(), weights_only=True).checkpoint


def test_random_numbers_that_a_state_draws_are_given_back() -> None:
    class Draws(Tiny):
        def state_dict(self, *args: Any, **more: Any) -> Any:
            random.random(), numpy.random.rand(), torch.rand(1)
            return super().state_dict(*args, **more)

    dumped(Draws())


def test_the_profile_lists_no_dump() -> None:
    class Stateful(pl.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"a": 1}

    profiler = pl.profilers.SimpleProfiler()
    watch = dumped(Tiny(), Stateful(), profiler=profiler)
    assert watch.checkpoint["callbacks"]
    assert not [name for name in profiler.recorded_durations if "state_dict" in name or "save_checkpoint" in name]


def test_no_descriptor_runs_and_nothing_stays_behind() -> None:
    class Guarded(Tiny):
        def __setattr__(self, name: str, value: Any) -> None:
            assert name != "on_save_checkpoint"
            super().__setattr__(name, value)

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            pytest.fail("it was run")

    module = Guarded()
    dumped(module)
    assert "on_save_checkpoint" not in vars(module)


HOOKS: dict[str, Any] = {
    "adds": (lambda self, checkpoint: checkpoint.update(mine=torch.zeros(9)), "may add to it"),
    "takes away": (lambda self, checkpoint: checkpoint.pop("optimizer_states"), "may change what is there"),
    "replaces": (lambda self, checkpoint: checkpoint.__setitem__("state_dict", {}), "may change what is there"),
    "hands on": (lambda self, checkpoint: super(Tiny, self).on_save_checkpoint(checkpoint), "may change what is there"),
    "inside": (lambda self, checkpoint: [checkpoint.pop(key) for key in ()], "may change what is there"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_users_hook_is_not_run(hook: str) -> None:
    code, note = HOOKS[hook]
    module = type("Hooked", (Tiny,), {"on_save_checkpoint": code})()
    watch = dumped(module)
    assert [note in text and "Hooked.on_save_checkpoint" in text for text in watch.findings.notes] == [True]
    bound = watch.findings.bound(1, 1)[0]
    assert bound == ("at least" if hook == "adds" else "estimate")


def test_a_hook_on_the_object_and_one_of_a_callback_are_found() -> None:
    class Adds(pl.Callback):
        def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
            checkpoint["mine"] = 1

    module = Tiny()
    module.on_save_checkpoint = lambda checkpoint: checkpoint.update(own=1)
    watch = dumped(module, Adds())
    assert [text.partition(".")[0] for text in watch.findings.notes] == ["Tiny", "Adds"]
    assert "mine" not in watch.checkpoint and "own" not in watch.checkpoint
    # Weights alone come without the callbacks' hooks.
    assert len(dumped(module, Adds(), weights_only=True).findings.notes) == 1


def test_pruning_is_not_tried_out() -> None:
    watch = dumped(Tiny(), pl.callbacks.ModelPruning("l1_unstructured", parameter_names=["weight"], amount=0.5))
    assert any("ModelPruning" in note for note in watch.findings.notes)


def test_states_that_only_a_user_knows_are_named() -> None:
    class Data(pl.LightningDataModule):
        def state_dict(self) -> dict[str, Any]:
            return {"seen": 1}

        def train_dataloader(self) -> Any:
            return loader(1)

    class Extra(torch.nn.Module):
        def get_extra_state(self) -> Any:
            return {"a": 1}

        def set_extra_state(self, state: Any) -> None:
            pass

    module = Tiny()
    module.extra = Extra()
    watch = Dumps()
    fit(trainer(watch, max_epochs=1, num_sanity_val_steps=0, limit_val_batches=0), module, Data())
    assert [note.partition(" is taken")[0] for note in watch.findings.notes] == [
        "Data.state_dict", "the extra state of extra"
    ]  # fmt: skip


def test_a_loader_with_a_state_is_named() -> None:
    class Stateful(torch.utils.data.DataLoader):
        def state_dict(self) -> dict[str, Any]:
            return {"at": 1}

        def load_state_dict(self, state: Any) -> None:
            pass

    watch = Dumps()
    fit(trainer(watch, max_epochs=1, num_sanity_val_steps=0), Tiny(), Stateful(torch.zeros(1, 1)), loader(1))
    assert any("the state of the data loader" in note for note in watch.findings.notes)


def test_a_metric_whose_lists_are_saved_grows() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    module = Tiny()
    module.metric = torchmetrics.CatMetric()
    assert dumped(module).findings.notes == []
    module = Tiny()
    module.metric = torchmetrics.CatMetric()
    module.metric.persistent(True)
    watch = dumped(module)
    assert watch.findings.notes == ["the metric metric keeps lists that grow"]
    assert watch.findings.bound(1, 1)[0] == "at least"


# ---------------------------------------------------------------- on the way to the file


class Of:
    """What as_handed_over asks of a trainer."""

    def __init__(self, writer: Any) -> None:
        self.strategy = type("Strategy", (), {"checkpoint_io": writer})()
        self.callbacks: list[Any] = []


def test_a_plain_writer_gets_the_dict_itself() -> None:
    checkpoint, findings = {"a": torch.ones(3)}, Findings()
    assert as_handed_over(Of(TorchCheckpointIO()), checkpoint, Ghosts(), findings) is checkpoint
    assert findings.notes == []


def test_an_asynchronous_writer_gets_clones_that_have_lost_their_ties(tmp_path: Any) -> None:
    weight = torch.ones(1000)
    quantised = torch.quantize_per_tensor(torch.ones(9), 0.1, 0, torch.qint8)
    checkpoint = {"a": weight, "tied": weight, "view": weight[3:5], "text": ["x", 1], "quantised": quantised}
    writer, ghosts = AsyncCheckpointIO(TorchCheckpointIO()), Ghosts()
    size = measure(as_handed_over(Of(writer), checkpoint, ghosts, Findings()), ghosts).total
    writer.save_checkpoint(checkpoint, tmp_path / "a.ckpt")
    writer.teardown()
    assert size == (tmp_path / "a.ckpt").stat().st_size > exact_size(checkpoint) + 3900


def test_a_writer_of_a_users_own_is_not_known() -> None:
    class Compresses:
        pass

    findings = Findings()
    as_handed_over(Of(Compresses()), {}, Ghosts(), findings)
    assert findings.notes == ["Compresses decides itself what it writes"]
