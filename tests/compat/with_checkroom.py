"""As ``lightning_suite.py``, with our ModelCheckpoint where the tests expect Lightning's.

What is swapped, before any module of a test is imported:

* the two names under which a program gets the class, ``lightning.pytorch.callbacks.ModelCheckpoint`` and
  ``lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint``;
* the name from which a Trainer makes its default callback.

Every other module of Lightning's keeps its own class, as in a program that uses ours: ``isinstance`` has to find ours
by inheritance, and what compares or maps classes has to meet the two of them.
"""

from __future__ import annotations

import sys

import lightning.pytorch.callbacks
import lightning.pytorch.callbacks.model_checkpoint
import lightning.pytorch.loggers  # modules that import the class by themselves do it now, before the swap
import lightning.pytorch.trainer.connectors.callback_connector
import lightning.pytorch.utilities.migration

import checkroom.lightning


def swap() -> None:
    """Puts our class in the place of Lightning's."""
    for module in (
        lightning.pytorch.callbacks,
        lightning.pytorch.callbacks.model_checkpoint,
        lightning.pytorch.trainer.connectors.callback_connector,
    ):
        module.ModelCheckpoint = checkroom.lightning.ModelCheckpoint


swap()  # in a spawned process as well, where this is not __main__

if __name__ == "__main__":
    from lightning_suite import main

    sys.exit(main(sys.argv[1:]))
