"""How the parts of a checkpoint share its bytes, on files that Lightning has written."""

from __future__ import annotations

import os
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import fit, trainer  # noqa: E402

from checkroom.sizing import CheckpointSize, KeyShare, ModuleShare, from_checkpoint  # noqa: E402


class Model(pl.LightningModule):
    """An embedding, a trunk with a normalisation, and a head."""

    def __init__(self, **hyper: Any) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = torch.nn.ModuleDict({
            "embed": torch.nn.Embedding(30, 6),
            "trunk": torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.BatchNorm1d(12), torch.nn.Linear(12, 6)),
            "head": torch.nn.Linear(6, 30),
        })  # fmt: skip

    def forward(self, batch: Any) -> Any:
        return self.model["head"](self.model["trunk"](self.model["embed"](batch)))

    def training_step(self, batch: Any, _index: int) -> Any:
        return self(batch).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters())


class Tied(Model):
    def __init__(self) -> None:
        super().__init__()
        self.model["head"].weight = self.model["embed"].weight


class Decayed(Model):
    def configure_optimizers(self) -> Any:
        matrices = [p for p in self.parameters() if p.ndim > 1]
        return torch.optim.AdamW([{"params": [p for p in self.parameters() if p.ndim < 2], "weight_decay": 0},
                                  {"params": matrices}])  # fmt: skip


class LoraLinear(torch.nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.base = torch.nn.Linear(inside, outside).requires_grad_(False)
        self.lora_A, self.lora_B = torch.nn.Linear(inside, 2, bias=False), torch.nn.Linear(2, outside, bias=False)

    def forward(self, x: Any) -> Any:
        return self.base(x) + self.lora_B(self.lora_A(x))


class Lora(Model):
    def __init__(self) -> None:
        super().__init__()
        self.model["embed"].requires_grad_(False)
        self.model["trunk"] = torch.nn.Sequential(LoraLinear(6, 12), LoraLinear(12, 6))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad])


class Several(Model):
    """Two optimizers by hand, in another order than the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        loss = super().training_step(batch, index)
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self) -> Any:
        head = torch.optim.AdamW(self.model["head"].parameters())
        rest = [*self.model["trunk"].parameters(), *self.model["embed"].parameters()]
        return head, torch.optim.SGD(rest, lr=0.1, momentum=0.9)


class Ema(pl.Callback):
    """A second copy of the head."""

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.head = {name: value.clone() for name, value in module.model["head"].state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"head": self.head}


def written(module: Any, path: Any, *callbacks: Any, weights_only: bool = False) -> CheckpointSize:
    """The size of a file that a trainer has written; whatever it is, its parts add up."""
    run = trainer(*callbacks, max_epochs=1, limit_val_batches=0)
    fit(run, module, torch.utils.data.DataLoader(torch.arange(12), batch_size=4))
    run.save_checkpoint(path, weights_only=weights_only)
    size = from_checkpoint(path)
    split = size.split
    assert split is not None and size.total == os.path.getsize(path)
    assert sum(share.bytes for share in split.by_key) + split.structure == size.total
    parts = sum(share.weights + (share.optimizer or 0) for share in split.by_module)
    assert parts + split.not_told_apart + split.other_tensors + split.structure == size.total
    assert sum(share.weights for share in split.by_module) == size.weights
    assert split.structure > 1000
    return size


def modules(size: CheckpointSize) -> dict[str, tuple[int, int | None]]:
    assert size.split is not None
    return {share.name: (share.weights, share.optimizer) for share in size.split.by_module}


def states(module: Any, *parts: Any, each: int = 2) -> int:
    """Bytes of so many states like a parameter and a counter, for the parameters of these parts that are trained."""
    counter = 4 if each == 2 else 0
    trained = [p for part in parts for p in part.parameters() if p.requires_grad]
    return sum(each * p.numel() * 4 + counter for p in trained)


def weights(*parts: Any) -> int:
    return sum(t.numel() * t.element_size() for part in parts for t in part.state_dict().values())


@pytest.mark.parametrize("kind", [Model, Decayed])
def test_every_part_has_its_states(kind: Any, tmp_path: Any) -> None:
    module = kind()
    size = written(module, tmp_path / "a.ckpt")
    parts = {f"model.{name}": part for name, part in module.model.items()}
    assert modules(size) == {name: (weights(part), states(module, part)) for name, part in parts.items()}
    assert size.split is not None
    by_key = {share.key: share.bytes for share in size.split.by_key}
    assert by_key["state_dict"] == size.weights and by_key["optimizer_states"] == size.optimizer
    assert {"epoch", "loops", "callbacks", "lr_schedulers"} <= by_key.keys()
    assert sum(by_key.values()) == size.weights + size.optimizer


def test_a_tied_tensor_counts_where_it_comes_first(tmp_path: Any) -> None:
    module = Tied()
    found = modules(written(module, tmp_path / "a.ckpt"))
    assert found["model.embed"] == (30 * 6 * 4, 2 * 30 * 6 * 4 + 4)
    assert found["model.head"] == (30 * 4, 2 * 30 * 4 + 4)


def test_lora_adapters_are_a_group_of_their_own(tmp_path: Any) -> None:
    module = Lora()
    found = modules(written(module, tmp_path / "a.ckpt"))
    adapters = [part for name, part in module.named_modules() if name.endswith(("lora_A", "lora_B"))]
    assert found["LoRA adapters"] == (weights(*adapters), states(module, *adapters))
    assert found["model.trunk"] == (weights(module.model["trunk"]) - weights(*adapters), 0)
    # As many matrices of that shape are frozen as trained: whose the states are cannot be seen.
    assert found["model.embed"] == (720, None) and found["model.head"] == (840, None)


def test_several_optimizers_are_told_apart_by_what_only_one_part_has(tmp_path: Any) -> None:
    module = Several()
    size = written(module, tmp_path / "a.ckpt")
    found = modules(size)
    trunk = module.model["trunk"]
    assert found["model.trunk"] == (weights(trunk), states(module, trunk, each=1))
    # Embedding and head have a matrix of one shape, and states of different sizes.
    assert found["model.embed"] == (720, None) and found["model.head"] == (840, None)
    head, embed = module.model["head"], module.model["embed"]
    assert size.split is not None
    assert size.split.not_told_apart == states(module, head) + states(module, embed, each=1)


def test_weights_alone(tmp_path: Any) -> None:
    module = Model()
    size = written(module, tmp_path / "a.ckpt", weights_only=True)
    assert size.optimizer == 0
    assert modules(size) == {f"model.{name}": (weights(part), 0) for name, part in module.model.items()}


def test_tensors_elsewhere_are_shown_under_their_key(tmp_path: Any) -> None:
    module = Model(prior=torch.zeros(1000))
    size = written(module, tmp_path / "a.ckpt", Ema())
    assert size.split is not None
    by_key = {share.key: share.bytes for share in size.split.by_key}
    assert by_key["callbacks"] == weights(module.model["head"])
    assert by_key["hyper_parameters"] == 4000
    assert size.split.other_tensors == 4000 + by_key["callbacks"]


def test_a_shared_storage_belongs_to_the_key_that_comes_first(tmp_path: Any) -> None:
    weight = torch.zeros(100)
    torch.save({"first": weight, "state_dict": {"a.w": weight, "b.w": torch.zeros(5)}}, tmp_path / "a.ckpt")
    split = from_checkpoint(tmp_path / "a.ckpt").split
    assert split is not None
    assert split.by_key == (KeyShare("first", 400), KeyShare("state_dict", 20))
    assert split.by_module == (ModuleShare("a", 0, 0), ModuleShare("b", 20, 0))


def test_a_bare_state_dict_is_one_key(tmp_path: Any) -> None:
    torch.save(torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(3, 1)}).state_dict(),
               tmp_path / "a.ckpt")  # fmt: skip
    split = from_checkpoint(tmp_path / "a.ckpt").split
    assert split is not None
    assert split.by_key == (KeyShare("", 40),)
    assert split.by_module == (ModuleShare("a", 24, 0), ModuleShare("b", 16, 0))


def test_dicts_inside_of_a_state_dict_are_opened(tmp_path: Any) -> None:
    nested = {"encoder": {"w": torch.zeros(5)}, "decoder": {0: torch.zeros(2)}, "list": [torch.zeros(1)]}
    torch.save({"model": nested}, tmp_path / "a.ckpt")
    split = from_checkpoint(tmp_path / "a.ckpt").split
    assert split is not None
    assert split.by_module == (ModuleShare("encoder", 20, 0), ModuleShare("decoder", 8, 0), ModuleShare("", 4, 0))
