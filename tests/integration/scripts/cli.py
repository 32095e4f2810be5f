"""LightningCLI: everything else is in the YAML file."""

from __future__ import annotations

import importlib

from tiny import TinyModel, pl

if __name__ == "__main__":
    importlib.import_module(f"{pl.__name__}.cli").LightningCLI(TinyModel)
