"""The sentinel for ``lightning``; its entry point is loaded by that package alone."""

from __future__ import annotations

from lightning import __version__
from lightning.pytorch.callbacks import Callback

from .hooks import SentinelMixin

__all__ = ["Sentinel", "callbacks"]


class Sentinel(SentinelMixin, Callback):
    """At module level, so that launchers which pickle the trainer find it by name."""

    package = "lightning"
    version = __version__


def callbacks() -> list[Callback]:
    """The factory that ``lightning.pytorch.callbacks_factory`` names."""
    return [Sentinel()]
