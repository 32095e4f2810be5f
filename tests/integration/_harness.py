"""The same fit with Lightning's ModelCheckpoint and with ours, and what each of them left.

A scenario is a function of a :class:`Lab`. It is played once with each class, in a folder of its own, and notes what
a user can see: the files, the callback's attributes, what the checkpoints contain. The notes have to be equal.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

# Modules that compare with Lightning are skipped where it is not installed.
pytest.importorskip("lightning.pytorch")

# Our part of a callback's state dict.
OUR_KEY = "checkroom"
# Our folder inside the checkpoint directory.
OUR_FOLDER = ".checkroom"
PACKAGES = ("lightning", "pytorch_lightning")
both_packages = pytest.mark.parametrize("package_name", PACKAGES)
# Play whole products of arguments, not a sample of them.
FULL = bool(os.environ.get("CHECKROOM_FULL"))
# How a run moves between the classes: that of the first fit, the second, ...; the last one goes on.
MOVES: dict[str, tuple[str, ...]] = {
    "ours, resumed by ours": ("ours", "ours"),
    "Lightning's, resumed by ours": ("theirs", "ours"),
    "ours, resumed by Lightning's": ("ours", "theirs"),
    "ours, then Lightning's, then ours": ("ours", "theirs", "ours"),
}
# The moves of a run that is resumed once.
ONE_MOVE = {name: classes for name, classes in MOVES.items() if len(classes) == 2}
ATTRIBUTES = (
    "best_model_path",
    "best_model_score",
    "best_k_models",
    "kth_best_model_path",
    "kth_value",
    "last_model_path",
    "current_score",
    "dirpath",
    "filename",
    "monitor",
    "mode",
    "save_top_k",
    "save_last",
    "every_n_epochs",
    "state_key",
    "_every_n_train_steps",
    "_last_checkpoint_saved",
    "_last_global_step_saved",
)


@dataclass(frozen=True)
class Package:
    """One of the two packages that Lightning is published as.

    Args:
        name: ``"lightning"`` or ``"pytorch_lightning"``.
        pl: Its ``pytorch`` module.
        theirs: Lightning's class.
    """

    name: str
    pl: Any
    theirs: type

    @property
    def ours(self) -> type:
        return importlib.import_module(f"checkroom.{self.name}").ModelCheckpoint

    @property
    def model_class(self) -> type:
        return _model_class(self.name)

    @property
    def cli_class(self) -> type:
        return importlib.import_module(f"{self.pl.__name__}.cli").LightningCLI


@lru_cache
def package(name: str) -> Package:
    pl = pytest.importorskip({"lightning": "lightning.pytorch"}.get(name, name))
    return Package(name, pl, pl.callbacks.ModelCheckpoint)


@lru_cache
def _model_class(name: str) -> type:
    pl = package(name).pl

    class TinyModel(pl.LightningModule):
        """Two weights and a bias, and a ``val_loss`` that is read from a table by global step.

        Args:
            scores: The ``val_loss`` after each optimizer step; the table repeats.
            log_in: Where ``val_loss`` is logged: ``"validation"`` or ``"training"``.
            manual: Manual optimization.
            fails_at: The training breaks after this many optimizer steps.
        """

        def __init__(
            self,
            scores: Sequence[float] = (1.0,),
            log_in: str = "validation",
            manual: bool = False,
            fails_at: int | None = None,
        ) -> None:
            super().__init__()
            self.fails_at = fails_at
            self.scores = tuple(float(score) for score in scores)
            self.log_in = log_in
            self.automatic_optimization = not manual
            torch.manual_seed(7)
            self.layer = torch.nn.Linear(2, 1)

        def score(self, step: int) -> torch.Tensor:
            return torch.tensor(self.scores[(step - 1) % len(self.scores)])

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor | None:
            if self.trainer.global_step == self.fails_at:
                raise ArithmeticError("the loss exploded")
            loss = self.layer(batch[0]).square().mean()
            if self.log_in == "training":
                self.log("val_loss", self.score(self.trainer.global_step + 1))
            if not self.automatic_optimization:
                optimizer = self.optimizers()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.layer(batch[0])
            if self.log_in == "validation":
                self.log("val_loss", self.score(self.trainer.global_step))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)

        def train_dataloader(self) -> Any:
            return _loader(6)

        def val_dataloader(self) -> Any:
            return _loader(4)

    # Pickle looks classes up by name, and there is one for each package.
    TinyModel.__name__ = TinyModel.__qualname__ = f"TinyModel_{name}"
    globals()[TinyModel.__name__] = TinyModel
    return TinyModel


def _loader(samples: int) -> Any:
    data = torch.linspace(-1, 1, 2 * samples).reshape(samples, 2)
    return DataLoader(TensorDataset(data), batch_size=2)


TRAINER_DEFAULTS: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "max_epochs": 4,
}


@dataclass
class Lab:
    """Where a scenario is played: the package, the class for each fit, a folder, and the notes.

    Args:
        package: Which Lightning.
        classes: The ModelCheckpoint class of the first fit, the second, ...; the last one goes on.
        folder: An empty directory.
    """

    package: Package
    classes: tuple[type, ...]
    folder: Path
    notes: list[tuple[str, Any]] = field(default_factory=list)
    _fits: int = 0

    @property
    def directory(self) -> Path:
        """Where the checkpoints go."""
        return self.folder / "checkpoints"

    @property
    def current_class(self) -> type:
        """The class for the fit that comes next."""
        return self.classes[min(self._fits, len(self.classes) - 1)]

    def callback(self, **arguments: Any) -> Any:
        arguments.setdefault("dirpath", self.directory)
        return self.current_class(**arguments)

    def model(self, *arguments: Any, **more: Any) -> Any:
        return self.package.model_class(*arguments, **more)

    def trainer(self, *callbacks: Any, **arguments: Any) -> Any:
        arguments = {**TRAINER_DEFAULTS, "default_root_dir": self.folder, **arguments}
        return self.package.pl.Trainer(callbacks=list(callbacks), **arguments)

    def fit(self, trainer: Any, model: Any, **arguments: Any) -> None:
        """Trains; the scenario's next callback belongs to the next fit."""
        with self.a_fit():
            trainer.fit(model, **arguments)

    @contextmanager
    def a_fit(self) -> Iterator[None]:
        """Whatever trains in here is one fit, however it ends."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            self._fits += 1

    @contextmanager
    def a_second_a_step(self, trainer: Any) -> Iterator[None]:
        """Lightning's clock advances by a second with each optimizer step: a time trigger fires at the same steps."""
        module = importlib.import_module(self.package.theirs.__module__)
        clock = SimpleNamespace(monotonic=lambda: float(trainer.global_step))
        with mock.patch.object(module, "time", clock):
            yield

    def note(self, what: str, value: Any) -> None:
        self.notes.append((what, self.plain(value)))

    def note_callback(self, callback: Any, name: str = "callback") -> None:
        """Notes the attributes and the state dict of a callback."""
        for attribute in ATTRIBUTES:
            self.note(f"{name}.{attribute}", getattr(callback, attribute, "no such attribute"))
        state = {key: value for key, value in callback.state_dict().items() if key != OUR_KEY}
        self.note(f"{name}.state_dict()", state)

    def note_files(self, name: str = "files") -> None:
        """Notes which files there are, and where links point."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if OUR_FOLDER in path.relative_to(self.folder).parts or (path.is_dir() and not path.is_symlink()):
                continue
            key = str(path.relative_to(self.folder))
            found[key] = f"-> {os.readlink(path)}" if path.is_symlink() else "file"
        self.note(name, found)

    def note_contents(self, *, planned_last: bool = True, name: str = "contents") -> None:
        """Notes what is in every checkpoint, apart from what differs by intent.

        Args:
            planned_last: Leave ``last_model_path`` out of the top-k files: ours already name the ``last`` that is
                about to be made, Lightning's name the one before.
        """
        for path in sorted(self.folder.rglob("*.ckpt")):
            if OUR_FOLDER in path.parts:
                continue
            checkpoint = load(path)
            for state in checkpoint.get("callbacks", {}).values():
                state.pop(OUR_KEY, None)
                if planned_last and (path.is_symlink() or not path.name.startswith("last")):
                    state.pop("last_model_path", None)
            self.note(f"{name} of {path.relative_to(self.folder)}", checkpoint)

    def plain(self, value: Any) -> Any:
        """A value as something that compares by content, wherever the lab's folder is."""
        if isinstance(value, torch.Tensor):
            # The text, so that NaN equals NaN and a difference shows in the report.
            return f"tensor {str(value.dtype)} {tuple(value.shape)} {value.tolist()}"
        if isinstance(value, (str, Path)):
            return str(value).replace(os.path.realpath(self.folder), "<folder>").replace(str(self.folder), "<folder>")
        if isinstance(value, dict):
            # Pairs, so that the order counts: of equal scores the first one saved leaves first.
            return [(self.plain(key), self.plain(entry)) for key, entry in value.items()]
        if isinstance(value, (list, tuple)):
            return [self.plain(entry) for entry in value]
        if isinstance(value, float):
            return repr(value)
        return value


def load(path: Path) -> dict[str, Any]:
    """Loads a checkpoint as strictly as PyTorch can: no code of ours may be needed for it."""
    return torch.load(path, map_location="cpu", weights_only=True)


def newest(directory: Path) -> str:
    """The newest checkpoint; where there is a ``last``, it is what a person resumes from."""
    found = [(load(path)["global_step"], not path.name.startswith("last"), path) for path in directory.glob("*.ckpt")]
    step = max(entry[0] for entry in found)
    return str(min(entry for entry in found if entry[0] == step)[2])


Scenario = Callable[[Lab], None]


def play(scenario: Scenario, which: Package, classes: Iterable[type], folder: Path) -> list[tuple[str, Any]]:
    """Plays a scenario and returns its notes."""
    folder.mkdir(parents=True)
    lab = Lab(which, tuple(classes), folder)
    scenario(lab)
    assert lab.notes, "a scenario that notes nothing compares nothing"
    return lab.notes


def differences(expected: list[tuple[str, Any]], actual: list[tuple[str, Any]]) -> list[str]:
    """What differs between two plays, one line each."""
    lines = []
    for (name, theirs), (other, ours) in zip(expected, actual):
        if name != other:
            lines.append(f"noted {other!r} where {name!r} was expected")
            break
        if theirs != ours:
            lines.append(f"{name}:\n    Lightning: {theirs}\n    ours:      {ours}")
    if len(expected) != len(actual):
        lines.append(f"{len(actual)} notes where {len(expected)} were expected")
    return lines


def assert_alike(
    scenario: Scenario, folder: Path, *, package_name: str = "lightning", classes: Sequence[str] = ("ours",)
) -> None:
    """Plays a scenario with Lightning's class and with ``classes`` (``"ours"``, ``"theirs"``), and compares.

    Args:
        scenario: What to play.
        folder: An empty directory.
        package_name: Which Lightning.
        classes: The class of the first fit, the second, ...
    """
    assert_moves_alike(scenario, folder, {"": tuple(classes)}, package_name=package_name)


def assert_moves_alike(
    scenario: Scenario, folder: Path, moves: Mapping[str, Sequence[str]], *, package_name: str = "lightning"
) -> None:
    """Plays a scenario with Lightning's class alone and with the classes of each move, and compares.

    Args:
        scenario: What to play.
        folder: An empty directory.
        moves: What a move is called -> the class of its first fit, the second, ...
        package_name: Which Lightning.
    """
    which = package(package_name)
    expected = play(scenario, which, [which.theirs], folder / "theirs")
    lines = []
    for number, (move, names) in enumerate(moves.items()):
        classes = [getattr(which, name) for name in names]
        found = differences(expected, play(scenario, which, classes, folder / f"ours{number}"))
        lines += [f"{move}: {line}" if move else line for line in found]
    assert not lines, "\n".join(lines)


def one_fit(
    *, scores: Sequence[float] = (1.0,), model: dict[str, Any] | None = None, trainer: dict[str, Any] | None = None,
    **callback_arguments: Any,
) -> Scenario:  # fmt: skip
    """The scenario of one fit with these arguments."""

    def scenario(lab: Lab) -> None:
        callback = lab.callback(**callback_arguments)
        lab.fit(lab.trainer(callback, **(trainer or {})), lab.model(scores=scores, **(model or {})))
        lab.note_callback(callback)
        lab.note_files()
        lab.note_contents()

    return scenario
