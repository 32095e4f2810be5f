"""Checkpoints of real trainers: the core's bytes are those of torch.save."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

import lightning.pytorch as pl  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from checkroom import _archive, _torch_zip  # noqa: E402
from checkroom.lightning import CheckroomIO, ModelCheckpoint  # noqa: E402


class Tied(pl.LightningModule):
    """An encoder with tied embeddings, buffers, and two optimizers' worth of names."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.kind = kind
        self.embed = nn.Embedding(500, 64)
        self.block = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.norm = nn.BatchNorm1d(64)
        self.head = nn.Linear(64, 500, bias=False)
        self.head.weight = self.embed.weight

    def training_step(self, batch: Any, _index: int) -> Any:
        hidden = self.block(self.embed(batch[0]))
        return self.head(self.norm(hidden.mean(1))).square().mean()

    def configure_optimizers(self) -> Any:
        if self.kind == "sgd":
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        optimizer = torch.optim.AdamW(self.parameters(), amsgrad=self.kind == "amsgrad")
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)}


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("adamw", "32-true"), ("amsgrad", "32-true"), ("sgd", "32-true"), ("adamw", "bf16-mixed"), ("adamw", "bf16-true")],
)
def test_its_bytes_are_those_of_torch_save(tmp_path: Path, kind: str, precision: Any) -> None:
    data = DataLoader(TensorDataset(torch.randint(0, 500, (8, 5))), batch_size=4)
    taken: list[tuple[dict[str, Any], Path]] = []

    class Keeps(CheckroomIO):
        def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
            super().save_checkpoint(checkpoint, path, storage_options)
            file = io.BytesIO()
            torch.save(checkpoint, file)
            assert Path(path).read_bytes() == file.getvalue()
            known = _torch_zip.dialect()
            assert known is not None and _archive.drives() == known
            taken.append((checkpoint, Path(path)))

    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", precision=precision, plugins=[Keeps()], logger=False,
        callbacks=[ModelCheckpoint(dirpath=tmp_path, save_top_k=-1, save_last=True, min_free=0)],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Tied(kind), data)
    assert len(taken) == 2
    for _, path in taken:
        loaded = torch.load(path, weights_only=True, mmap=True)
        assert loaded["state_dict"]["head.weight"].data_ptr() == loaded["state_dict"]["embed.weight"].data_ptr()
