"""Room for your checkpoints: forecast, check, save and prune, without PyTorch in sight.

The classes for Lightning are in ``checkroom.lightning`` and ``checkroom.pytorch_lightning``; what needs PyTorch
(``exact_size``, ``save``, ``sizing``) is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkroom._core import (
    Admission,
    Advice,
    Configuration,
    Forecast,
    FreeSpace,
    Item,
    KeepBest,
    KeepEvery,
    KeepLast,
    RetentionPlan,
    RetentionPolicy,
    RunSpec,
    __version__,
    admit,
    advise,
    forecast,
    format_size,
    free_space,
    parse_size,
    plan,
)
from checkroom._errors import CheckroomError, DamagedFileError, DiskFullError, PreflightError

if TYPE_CHECKING:
    from checkroom import sizing
    from checkroom._pickling import exact_size
    from checkroom._save import SaveReceipt, save

__all__ = [
    "Admission",
    "Advice",
    "CheckroomError",
    "Configuration",
    "DamagedFileError",
    "DiskFullError",
    "Forecast",
    "FreeSpace",
    "Item",
    "KeepBest",
    "KeepEvery",
    "KeepLast",
    "PreflightError",
    "RetentionPlan",
    "RetentionPolicy",
    "RunSpec",
    "SaveReceipt",
    "__version__",
    "admit",
    "advise",
    "exact_size",
    "forecast",
    "format_size",
    "free_space",
    "parse_size",
    "plan",
    "save",
    "sizing",
]

# Where what needs PyTorch lives.
_LAZY = {"SaveReceipt": "_save", "exact_size": "_pickling", "save": "_save"}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "sizing":
        return importlib.import_module("checkroom.sizing")
    if name in _LAZY:
        return getattr(importlib.import_module(f"checkroom.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'checkroom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
