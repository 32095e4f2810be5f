"""What the checkpoints of a run weigh, as far as it is known: predicted, corrected, and then learnt from the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from checkroom import _core
from checkroom._core import format_size
from checkroom._run_spec import run_spec

__all__ = ["Sizes", "predict_save"]


@dataclass
class Sizes:
    """What one checkpoint weighs, in bytes.

    Lives on the rank that predicts and writes; nothing in it is a collective.

    Args:
        expected: The next checkpoint; 0: not known yet.
        certain: What the first checkpoint weighs at least, as far as known.
        typical: What to count for each of them over the whole run: later ones know of more files and larger counters.
        bound: What ``expected`` is: ``"exact"``, ``"at least"``, ``"at most"`` or an ``"estimate"``.
        corrected: Has it been looked at again after the first optimizer step?
        notes: What makes it a bound.
        assumes: What it takes for granted.
        traps: What makes it larger than it need be: values of ``sizing.Trap``.
    """

    expected: int = 0
    certain: int = 0
    typical: int = 0
    bound: str = "estimate"
    corrected: bool = False
    notes: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    traps: tuple[Any, ...] = ()
    _moment: Any = None  # that of the first save

    @property
    def exact(self) -> bool:
        """Is ``expected`` exact to the byte?"""
        return self.bound == "exact"

    def predict(self, callback: Any, trainer: Any) -> None:
        """Asks ``sizing`` for the checkpoint that the callback is going to write first, and for later ones.

        Never raises: a model that cannot be sized must still train.
        """
        from checkroom.sizing._run import Run
        from checkroom.sizing._saves import next_save

        self.expected, self._moment = 0, None
        try:
            self._moment = next_save(callback, trainer, Run(trainer))
            self._look(callback, trainer)
        except Exception as error:
            self.notes = (f"not predicted: {type(error).__name__}: {error}",)
            return
        try:
            self.typical = max(self.expected, self._later(callback, trainer))
        except Exception as error:
            self.notes = (*self.notes, f"later ones were not predicted: {type(error).__name__}: {error}")

    def _look(self, callback: Any, trainer: Any) -> None:
        from checkroom.sizing._predict import predict_at
        from checkroom.sizing._run import Run

        size = predict_at(
            trainer, Run(trainer), self._moment, weights_only=callback.save_weights_only, callback=callback
        )
        self.expected, self.bound, self.notes, self.assumes = size.total, size.bound, size.notes, size.assumes
        self.traps = size.traps
        self.certain, self.typical = size.least or size.total, size.total

    def _later(self, callback: Any, trainer: Any) -> int:
        """The last checkpoint that can be foreseen; of files that all stay, the mean of it and the first."""
        timeline = _core.forecast(run_spec(callback, trainer, 1)).timeline
        if not timeline or timeline[-1].epoch < 0:
            return self.expected
        last = predict_save(callback, trainer, epoch=timeline[-1].epoch)
        total: int = last.total
        return total if callback.save_top_k >= 0 else (self.expected + total + 1) // 2

    def correct(self, callback: Any, trainer: Any) -> str | None:
        """Looks again once optimizer states exist; returns a line where the figure moved by more than a hundredth."""
        self.corrected = True
        before, typical = self.expected, self.typical
        if not before or self._moment is None:
            return None
        try:
            self._look(callback, trainer)
        except Exception as error:
            self.notes = (*self.notes, f"not predicted again: {type(error).__name__}: {error}")
            return None
        self.typical = max(self.expected, typical + self.expected - before)
        if abs(self.expected - before) * 100 <= before:
            return None
        return f"after the first step a checkpoint is {format_size(self.expected)}, not {format_size(before)}"

    def learn(self, written: int) -> None:
        """The next file will be like the one just written."""
        self.expected, self.corrected, self.bound = written, True, "estimate"

    def text(self) -> str:
        """The first checkpoint and what the figure is; what is counted for the later ones where that is more."""
        bound = "an estimate" if self.bound == "estimate" else self.bound
        first, later = format_size(self.expected), format_size(self.typical)
        return f"{first} ({bound})" if first == later else f"{first} ({bound}), later {later}"


def predict_save(
    callback: Any,
    trainer: Any,
    *,
    epoch: int | None = None,
    step: int | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Any:
    """The size of the file that a callback will write at (epoch, step); see ``sizing.predict_checkpoint``.

    Args:
        callback: The ModelCheckpoint.
        trainer: Its trainer, from ``on_train_start`` on.
        epoch: ``current_epoch`` at the save; ``None``: that of its next save.
        step: ``global_step`` at the save; ``None``: the end of the epoch.
        metrics: Values that file names hold, where they are known.
    """
    from checkroom.sizing import predict_checkpoint

    return predict_checkpoint(trainer, callback=callback, epoch=epoch, step=step, metrics=metrics)
