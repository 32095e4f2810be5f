"""Two processes over gloo; Lightning starts the second one, or torchrun both."""

from __future__ import annotations

import sys

from tiny import TRAINER, TinyModel, ours, pl

if __name__ == "__main__":
    min_free, strategy = sys.argv[1:]
    checkpoint = ours.ModelCheckpoint(dirpath="checkpoints", monitor="val_loss", save_top_k=2, min_free=min_free)
    trainer = pl.Trainer(callbacks=[checkpoint], **{**TRAINER, "devices": 2, "strategy": strategy})
    trainer.fit(TinyModel())
