"""Two processes train together; rank 0's disk fails at chosen saves; each rank writes down how it ended.

    python ranks_script.py FOLDER CASE
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from checkroom import _guard
from checkroom.lightning import ModelCheckpoint

SCORES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


class Model(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Any, _index: int) -> torch.Tensor:
        if os.environ.get("CASE") == "exception" and self.current_epoch == 2 and _index == 1:
            raise RuntimeError("the user's own error")
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", SCORES[self.current_epoch], sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def break_disk(failing: set[int], error: BaseException) -> None:
    """The n-th save of this process fails as a disk would."""
    original, count = _guard.Guard.save, [0]

    def save(self: Any, *arguments: Any, **more: Any) -> int:
        count[0] += 1
        if count[0] - 1 in failing:
            raise error
        return original(self, *arguments, **more)

    _guard.Guard.save = save  # type: ignore[method-assign]


def main() -> None:
    folder, case = Path(sys.argv[1]), sys.argv[2]
    os.environ["CASE"] = case
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    torch.manual_seed(1)
    arguments: dict[str, Any] = {}
    if rank == 0 and case in ("fails", "fails-error", "fails-stop"):
        break_disk({1, 2}, OSError(errno.EIO, "Input/output error", "disk"))
    if rank == 0 and case == "pickle":
        break_disk({1}, TypeError("cannot pickle this"))
    if case == "fails-error":
        arguments["when_full"] = "error"
    if case == "fails-stop":
        arguments["when_full"] = "stop"
    if case == "cap":
        arguments["max_size"] = "12 kB"
    if case == "exception":
        arguments["save_on_exception"] = True
    if case == "preflight":
        arguments["min_free"] = "1 EB"
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints", monitor="val_loss", save_top_k=2, save_last=True,
        **{"min_free": 0, **arguments},
    )
    data = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2)
    trainer = Trainer(
        max_epochs=len(SCORES), accelerator="cpu", devices=2, strategy="ddp", callbacks=[checkpoint], logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )
    raised = None
    try:
        trainer.fit(Model(), data, data)
    except BaseException as error:
        raised = type(error).__name__
    end = {
        "raised": raised,
        "epoch": trainer.current_epoch,
        "step": trainer.global_step,
        "best_model_path": checkpoint.best_model_path,
        "best_model_score": None if checkpoint.best_model_score is None else float(checkpoint.best_model_score),
        "best_k_models": {path: float(score) for path, score in checkpoint.best_k_models.items()},
        "last_model_path": checkpoint.last_model_path,
        "kth_best_model_path": checkpoint.kth_best_model_path,
        "saved": [checkpoint._last_checkpoint_saved, checkpoint._last_global_step_saved],
        "items": [item["name"] for item in checkpoint._inventory],
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(end))


if __name__ == "__main__":
    main()
