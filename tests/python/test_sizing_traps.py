"""What makes a checkpoint larger than it need be: found before the first batch, with the bytes that the file has."""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from lightning.pytorch.plugins.io import AsyncCheckpointIO  # noqa: E402
from sizing_runs import fit, trainer  # noqa: E402

from checkroom.lightning import ModelCheckpoint  # noqa: E402
from checkroom.sizing import Trap, predict_checkpoint  # noqa: E402
from checkroom.sizing._traps import _sample  # noqa: E402

# The names and the padding of a few tensors more.
STRUCTURE = 3000


class Net(pl.LightningModule):
    """Some 290 kB of weights, and states twice as large."""

    def __init__(self, **hyper: Any) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 24))

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.net(batch).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad])


class Told(ModelCheckpoint):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{"min_free": 0, **more})
        self.told: list[str] = []

    def _say(self, text: str) -> None:
        self.told.append(text)

    _warn = _say

    def on_train_start(self, trainer: Any, module: Any) -> None:
        super().on_train_start(trainer, module)
        self.traps = self._sizes.traps


class Run:
    """One epoch of a module: what was found before it, and the file after it."""

    def __init__(self, folder: Any, module: Any, *callbacks: Any, ckpt_path: Any = None, **settings: Any) -> None:
        self.checkpoint = Told(folder, filename="a", enable_version_counter=False)
        run = trainer(self.checkpoint, *callbacks, enable_checkpointing=True, limit_val_batches=0,
                      **{"max_epochs": 1, **settings})  # fmt: skip
        more = {} if ckpt_path is None else {"ckpt_path": ckpt_path}
        fit(run, module, torch.utils.data.DataLoader(torch.randn(4, 256), batch_size=2), **more)
        self.file = os.path.join(folder, "a.ckpt")
        self.bytes = os.path.getsize(self.file)
        self.traps: tuple[Trap, ...] = self.checkpoint.traps
        (self.text,) = [text for text in self.checkpoint.told if text.startswith("checkroom preflight")]

    def one(self, kind: str) -> Trap:
        """The only thing that was found; the preflight shows it."""
        (trap,) = self.traps
        assert trap.kind == kind
        assert f"note            {trap.text}\n" in self.text + "\n"
        return trap


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("clean"), Net())


def test_a_clean_model_has_none(clean: Run) -> None:
    assert clean.traps == ()
    assert "note" not in clean.text


def with_buffer(value: Any) -> Any:
    module = Net()
    module.register_buffer("kept", value)
    return module


@pytest.mark.parametrize(("value", "used"), [
    (torch.zeros(1_000_000)[:10], 40), (torch.zeros(200_000)[::100], 8_000),
    (torch.zeros(1000, 500)[:, :3], 12_000),
], ids=["ten elements of a million", "every hundredth", "three columns"])  # fmt: skip
def test_a_view_that_drags_its_storage_along(value: Any, used: int, clean: Run, tmp_path: Any) -> None:
    run = Run(tmp_path, with_buffer(value))
    trap = run.one("view")
    assert trap.bytes == value.untyped_storage().nbytes() - used
    assert 0 <= run.bytes - clean.bytes - trap.bytes - used < STRUCTURE
    assert trap.text.startswith("kept is a view that uses ")


@pytest.mark.parametrize("value", [
    torch.zeros(1).expand(500, 500), torch.zeros(30, 20).t(), torch.zeros(100_000)[:99_000],
], ids=["expanded", "transposed", "nearly all"])  # fmt: skip
def test_a_view_that_costs_next_to_nothing(value: Any, tmp_path: Any) -> None:
    assert Run(tmp_path, with_buffer(value)).traps == ()


def test_views_that_share_one_storage_use_it_together(tmp_path: Any) -> None:
    module, flat = Net(), torch.zeros(100_000)
    module.register_buffer("left", flat[:50_000])
    module.register_buffer("right", flat[50_000:])
    assert Run(tmp_path, module).traps == ()


def test_a_tensor_in_the_hyperparameters(clean: Run, tmp_path: Any) -> None:
    run = Run(tmp_path, Net(prior=torch.zeros(1_000_000), other=torch.zeros(3)))
    trap = run.one("tensors")
    assert trap == Trap("tensors", 4_000_000, "hyper_parameters['prior'] holds 4.0 MB of tensors in every file")
    assert 0 <= run.bytes - clean.bytes - trap.bytes < STRUCTURE


class Holder:
    """A tensor where only pickling finds it."""

    def __init__(self) -> None:
        self.inside = {"deep": [torch.zeros(100_000)]}


def test_a_tensor_inside_of_an_object(clean: Run, tmp_path: Any) -> None:
    assert Run(tmp_path, Net(holder=Holder())).one("tensors").bytes == 400_000


def test_a_module_in_the_hyperparameters_shares_its_storages(tmp_path: Any) -> None:
    class Given(Net):
        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net

    run = Run(tmp_path, Given(torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 24))))
    assert run.traps == ()


class Ema(pl.Callback):
    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.weights = {name: value.clone() for name, value in module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"weights": getattr(self, "weights", {})}


def test_a_moving_average_in_a_callback(clean: Run, tmp_path: Any) -> None:
    run = Run(tmp_path, Net(), Ema())
    trap = run.one("copy")
    assert trap.text == "callbacks['Ema'] holds a second copy of the weights, 287.8 kB in every file"
    assert 0 <= run.bytes - clean.bytes - trap.bytes < STRUCTURE


@pytest.mark.parametrize("name", ["averaged", "second"], ids=["named so", "of equal values"])
def test_a_moving_average_as_a_submodule(name: str, clean: Run, tmp_path: Any) -> None:
    module = Net()
    module.add_module(name, copy.deepcopy(module.net).requires_grad_(False))
    run = Run(tmp_path, module)
    trap = run.one("copy")
    assert trap.text == f"{name} is a second copy of net, 287.8 kB in every file"
    assert 0 <= run.bytes - clean.bytes - trap.bytes < STRUCTURE


@pytest.mark.parametrize("shape", [(), (3,), (10_000,), (5000, 3), (2, 5000), (2, 3, 4096), (1, 1, 9000), (0, 4)])
def test_a_sample_is_a_few_thousand_elements_of_the_tensor_itself(shape: tuple[int, ...]) -> None:
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape)
    sample = _sample(tensor)
    assert min(tensor.numel(), 2048) <= sample.numel() <= 4096
    assert sample.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    assert sample.numel() == 0 or sample.max() == tensor.numel() - 1


def test_a_copy_kept_as_buffers(tmp_path: Any) -> None:
    module = Net()
    module.shadow = torch.nn.Module()
    for name, parameter in module.net.named_parameters():
        module.shadow.register_buffer(name.replace(".", ""), parameter.detach().clone())
    assert Run(tmp_path, module).one("copy").bytes == 287_840


def test_a_frozen_layer_of_the_same_form_is_no_copy(tmp_path: Any) -> None:
    module = Net()
    module.before = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Linear(256, 24)).requires_grad_(False)
    assert {trap.kind for trap in Run(tmp_path, module).traps} == {"frozen weights"}


class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(*(torch.nn.Linear(256, 256, bias=False) for _ in range(2)))
        self.net[1].weight = self.net[0].weight


class Cloned(Tied):
    def state_dict(self, *args: Any, **more: Any) -> Any:
        return {name: value.clone() for name, value in super().state_dict(*args, **more).items()}


def test_a_tie_that_is_kept_is_none(tmp_path: Any) -> None:
    assert Run(tmp_path, Tied()).traps == ()


def test_a_tie_that_a_clone_loses(tmp_path: Any) -> None:
    kept, run = Run(tmp_path / "kept", Tied()), Run(tmp_path / "lost", Cloned())
    trap = run.one("tie")
    assert trap.bytes == 256 * 256 * 4
    assert trap.text.startswith("net.0.weight and net.1.weight are one tensor in the model and 2 in the file")
    assert abs(run.bytes - kept.bytes - trap.bytes) < STRUCTURE


def test_a_tie_that_is_lost_on_the_way_to_the_file() -> None:
    """AsyncCheckpointIO clones every tensor. Its saves are not guarded and have no preflight; the size tells."""
    found = []

    class Ask(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            found.extend(predict_checkpoint(trainer).traps)

    fit(trainer(Ask(), max_epochs=1, limit_val_batches=0, plugins=[AsyncCheckpointIO()]), Tied(),
        torch.utils.data.DataLoader(torch.randn(4, 256)))  # fmt: skip
    assert [(trap.kind, trap.bytes) for trap in found] == [("tie", 256 * 256 * 4)]


def test_states_of_what_is_frozen_now(tmp_path: Any) -> None:
    class All(Net):
        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters())

    first = Run(tmp_path / "first", All())
    assert first.traps == ()
    module = All()
    module.net[0].requires_grad_(False)
    run = Run(tmp_path / "then", module, ckpt_path=first.file, max_epochs=2)
    (trap,) = [trap for trap in run.traps if trap.kind == "frozen states"]
    assert trap.bytes == 2 * (256 * 256 + 256) * 4 + 2 * 4
    assert trap.text == "AdamW keeps 526.3 kB of states for 2 parameters that are frozen now"
    assert trap.text in run.text
    assert abs(run.bytes - first.bytes) < STRUCTURE


def test_many_small_tensors(tmp_path: Any) -> None:
    class Many(Net):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(256, 1)
            self.small = torch.nn.ParameterList(torch.zeros(16) for _ in range(1000))

        def training_step(self, batch: Any, index: int) -> Any:
            return super().training_step(batch, index) + sum(part.sum() for part in self.small)

    run = Run(tmp_path, Many())
    trap = run.one("small tensors")
    data = 3 * (1000 * 16 + 257) * 4 + 1002 * 4
    assert abs(trap.bytes - (run.bytes - data)) < STRUCTURE
    assert trap.text.startswith("4009 tensors of 49 B on average take ")  # and a score


def test_frozen_weights_that_every_file_repeats(tmp_path: Any) -> None:
    class Lora(Net):
        def __init__(self) -> None:
            super().__init__()
            self.base = torch.nn.Linear(256, 4000).requires_grad_(False)

    class Filtered(Lora):
        def state_dict(self, *args: Any, **more: Any) -> Any:
            return {key: value for key, value in super().state_dict(*args, **more).items() if "base" not in key}

        def on_save_checkpoint(self, checkpoint: Any) -> None:
            pass

    run, filtered = Run(tmp_path / "whole", Lora()), Run(tmp_path / "filtered", Filtered())
    trap = run.one("frozen weights")
    assert trap.bytes == (256 * 4000 + 4000) * 4
    assert 0 <= run.bytes - filtered.bytes - trap.bytes < STRUCTURE
    assert [one.kind for one in filtered.traps] == []


def test_frozen_weights_that_are_trained_later_have_to_be_saved(tmp_path: Any) -> None:
    class Backbone(Net):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = torch.nn.Linear(256, 4000)

    assert Run(tmp_path, Backbone(), pl.callbacks.BackboneFinetuning(5)).traps == ()


def test_the_preflight_shows_the_largest(tmp_path: Any) -> None:
    module = Net(**{f"prior{index}": torch.zeros(50_000 + index) for index in range(7)})
    run = Run(tmp_path, module)
    assert [trap.bytes for trap in run.traps] == [200_000 + 4 * index for index in reversed(range(7))]
    assert run.text.count("of tensors in every file") == 5
    assert "note            2 more such things take 400.0 kB" in run.text


def test_a_tensor_of_an_unknown_kind_costs_no_figure(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import checkroom.sizing._traps as traps

    def refuse(tensor: Any) -> int:
        raise NotImplementedError("no strides")

    monkeypatch.setattr(traps, "_used_bytes", refuse)
    with caplog.at_level("INFO", "checkroom"):
        run = Run(tmp_path, Net())
    assert run.traps == () and "(exact)" in run.text
    assert "was not looked for: NotImplementedError: no strides" in caplog.text
