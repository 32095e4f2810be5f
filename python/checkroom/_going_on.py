"""A run that goes on: what is left of it, played ahead beside the checkpoints that it has kept so far.

A forecast begins with an empty inventory. Of what an earlier part of the run kept, rules that hold a fixed number of
files let go as new ones come; ``save_top_k=-1`` and ``KeepEvery`` let go of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkroom import _core
from checkroom._core import Forecast, Item, RunSpec
from checkroom._figures import Span, figure

__all__ = ["Ahead"]


class Ahead:
    """The figures of a forecast, of the whole directory: with what the run has there already.

    Beside these it answers what a ``Forecast`` answers.

    Args:
        spec: What is left of the run.
        kept: The inventory with which it goes on; empty: a run that begins.
        pinned: The file that it was resumed from: it stays, beside what the rules keep.

    Attributes:
        spec: The run spec; where nothing of what is there goes, that counts as ``existing_bytes``.
    """

    def __init__(self, spec: RunSpec, kept: Sequence[Item] = (), pinned: str | None = None) -> None:
        self._count = len(kept)
        self._held = sum(item.own_bytes for item in kept)
        self._pinned = [item.own_bytes for item in kept if item.name == pinned]
        self._fresh = _core.forecast(spec)
        # As if nothing of it went, and as if the rules had all the time that they need to fill up.
        self._grown = _core.forecast(spec.replace(existing_bytes=self._held)) if kept else self._fresh
        self._full: Forecast | None = None
        if kept:
            full = _core.forecast(spec.replace(max_epochs=-1, max_steps=-1))
            self._full = None if figure(full, "peak_bytes") is None else full
        self.spec = spec if self._full else self._grown.spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grown, name)

    @property
    def _nothing_goes(self) -> bool:
        return self._full is None and self.spec.save_top_k == -1

    @property
    def files(self) -> Span:
        """Files at rest."""
        fresh = self._fresh.files
        most = fresh.most + self._count
        if self._full is not None:
            most = min(most, max(self._full.files.most + len(self._pinned), self._count))
        return Span(fresh.least + (self._count if self._nothing_goes else 0), most)

    @property
    def at_rest_bytes(self) -> Span:
        """Bytes at rest."""
        most = self._grown.at_rest_bytes.most
        if self._full is not None:
            most = min(most, max(self._full.at_rest_bytes.most + sum(self._pinned), self._held))
        return Span((self._grown if self._nothing_goes else self._fresh).at_rest_bytes.least, most)

    @property
    def peak_bytes(self) -> Span:
        """Bytes at the worst moment of any save."""
        most = self._grown.peak_bytes.most
        if self._full is not None:
            full, cap = self._full.peak_bytes.most, self.spec.max_size
            bound = max(full + sum(self._pinned), self._held + self.spec.checkpoint_bytes)
            if cap is not None:  # what goes for a save then goes before it
                bound = min(bound, max(full, cap, self._held))
            most = min(most, bound)
        least = (self._grown if self._nothing_goes else self._fresh).peak_bytes.least
        return Span(max(least, self._held), most)
