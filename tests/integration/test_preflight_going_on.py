"""The preflight of a run that goes on, beside what its directory then holds: at rest, at the peak, in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from checkroom import KeepEvery, KeepLast  # noqa: E402
from checkroom._preflight import measure  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402

FIRST, WHOLE = 5, 9


class Model(pl.LightningModule):
    """The best score is in the middle; then it gets worse, and at the end better than ever."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(256, 64)

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", (0.9, 0.3, 0.6, 0.5, 0.4, 0.8, 0.7, 0.2, 0.1)[self.current_epoch])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class Looks(ModelCheckpoint):
    """Notes what the directory holds whenever a file is about to go."""

    seen: list[tuple[int, int]]
    others: set[str]

    def _remove_checkpoint(self, trainer: Any, filepath: str) -> None:
        self.seen.append(held(Path(str(self.dirpath)), self.others))
        super()._remove_checkpoint(trainer, filepath)


class Asks(pl.Callback):
    """Makes the preflight once more and notes its figures."""

    figures: dict[str, Any] | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self.figures is None:
            (checkpoint,) = trainer.checkpoint_callbacks
            self.figures = measure(checkpoint, trainer, checkpoint._guard).figures


def held(folder: Path, others: set[str]) -> tuple[int, int]:
    """Files and bytes of the run; names that share an inode count once."""
    mine = [path.stat() for path in folder.glob("*.ckpt") if path.name not in others]
    owned = {stat.st_ino: stat.st_size for stat in mine}
    return len(owned), sum(owned.values())


def fit(
    folder: Path, epochs: int, start: Path | None = None, others: Any = (), **policy: Any
) -> tuple[Looks, dict[str, Any]]:
    checkpoint, asks = Looks(dirpath=folder, filename="{epoch}", min_free=0, **policy), Asks()
    checkpoint.seen, checkpoint.others = [], set(others)
    data = DataLoader(TensorDataset(torch.ones(4, 256)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[asks, checkpoint], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    trainer.fit(Model(), data, data, ckpt_path=start)
    assert asks.figures is not None
    return checkpoint, asks.figures


POLICIES: dict[str, dict[str, Any]] = {
    "all": {"save_top_k": -1},
    "all, last": {"save_top_k": -1, "save_last": True},
    "top 2": {"save_top_k": 2},
    "top 2, last": {"save_top_k": 2, "save_last": True},
    "top 2, last of its own": {"save_top_k": 2, "save_last": True, "last_as": "copy"},
    "top 2 and the newest": {"save_top_k": 2, "save_last": True, "keep": [KeepLast(1)]},
    "the best and every 2nd": {"save_top_k": 1, "keep": [KeepEvery(epochs=2)]},
    "a cap": {"save_top_k": -1, "max_size": 850_000},
}


@pytest.mark.parametrize("start", ["best", "newest"])
@pytest.mark.parametrize("name", POLICIES)
def test_the_figures_enclose_what_is_there(name: str, start: str, tmp_path: Path) -> None:
    policy = {"monitor": "val_loss", **POLICIES[name]}
    first, _ = fit(tmp_path, FIRST, **policy)
    newest = max(tmp_path.glob("epoch=*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    # What was saved after the file that a run goes on from, that run does not know: it counts as somebody else's.
    best = Path(first.best_model_path)
    later = {path.name for path in tmp_path.glob("epoch=*.ckpt") if path.name > best.name}
    origin, others = (best, later) if start == "best" else (newest, set())
    checkpoint, figures = fit(tmp_path, WHOLE, origin, others, **policy)
    files, owned = held(tmp_path, others)
    assert figures["files"]["least"] <= files <= figures["files"]["most"]
    # Files that know of more others are a little longer than the typical one.
    slack = 1.02
    assert figures["at_rest_bytes"]["least"] <= slack * owned and owned <= slack * figures["at_rest_bytes"]["most"]
    peak = max([*(seen for _, seen in checkpoint.seen), owned])
    bounds = figures["peak_bytes"]["checkroom"]
    assert bounds["least"] <= slack * peak and peak <= slack * bounds["most"]
    if name == "all":
        assert files == figures["files"]["least"] and figures["run_spec"]["existing_bytes"] > 0
