"""A plain Trainer. Every flag is one that a user's script could have."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tiny import TRAINER, TinyModel, ours, pl


class Overridden(ours.ModelCheckpoint):  # type: ignore[name-defined, misc]
    """Forgets its base class."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        pass


def slowly() -> None:
    Path("slow").touch()
    time.sleep(600)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--min-free", default="0")
    parser.add_argument("--max-size")
    parser.add_argument("--preflight", default="error")
    parser.add_argument("--fast-dev-run", action="store_true")
    parser.add_argument("--ckpt-path")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--save-last", action="store_true")
    parser.add_argument("--save-top-k", type=int, default=2)
    parser.add_argument("--directories", nargs="+", default=["checkpoints"])
    parser.add_argument("--second-min-free")
    parser.add_argument("--callback", choices=["ours", "overridden", "theirs", "theirs-too", "default", "none"],
                        default="ours")
    parser.add_argument("--async-io", action="store_true")
    parser.add_argument("--logger", action="store_true")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--crash", choices=["before", "inside"])
    parser.add_argument("--no-fit", action="store_true")
    parser.add_argument("--slow", action="store_true")
    arguments = parser.parse_args()

    callbacks = []
    if arguments.callback in ("ours", "overridden", "theirs-too"):
        cls = Overridden if arguments.callback == "overridden" else ours.ModelCheckpoint
        floors = [arguments.min_free, arguments.second_min_free or arguments.min_free]
        for directory, floor, mode in zip(arguments.directories, floors, ("min", "max")):
            callbacks.append(
                cls(
                    dirpath=directory, monitor="val_loss", mode=mode, save_top_k=arguments.save_top_k, min_free=floor,
                    save_last=arguments.save_last, max_size=arguments.max_size, preflight=arguments.preflight,
                )
            )
    if arguments.callback in ("theirs", "theirs-too"):
        callbacks.append(pl.callbacks.ModelCheckpoint(dirpath="theirs", monitor="val_loss", mode="max"))
    if arguments.silent:
        import logging

        for name in ("lightning.pytorch", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    options = {**TRAINER, "max_epochs": arguments.epochs, "fast_dev_run": arguments.fast_dev_run}
    if arguments.async_io:
        options["plugins"] = [pl.plugins.io.AsyncCheckpointIO()]
    if arguments.callback == "none":
        options["enable_checkpointing"] = False
    if arguments.logger:
        options["logger"] = pl.loggers.CSVLogger("logs")
    model = TinyModel()
    trainer = pl.Trainer(callbacks=callbacks, **options)
    print("the script says this on stdout")
    print("the script says this on stderr", file=sys.stderr)
    if arguments.validate:
        trainer.validate(model, verbose=False)
    if arguments.crash == "before":
        raise RuntimeError("the data are not there")
    if arguments.crash == "inside":
        model.train_dataloader = None
    if arguments.slow:
        model.prepare_data = slowly
    if not arguments.no_fit:
        trainer.fit(model, ckpt_path=arguments.ckpt_path)
    print("the script came to its end")


if __name__ == "__main__":
    main()
