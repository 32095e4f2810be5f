"""The checkpoint that a trainer is going to write, before its first batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from checkroom._ghosts import Ghosts
from checkroom._pickling import Measured, can_measure, measure
from checkroom.sizing._callback_states import Ahead, advance_callbacks, finetuning_callback, joining_parameters
from checkroom.sizing._checkpoint_state import states_at
from checkroom.sizing._counters import Counters, counters_of
from checkroom.sizing._dump import as_handed_over, quiet_dump
from checkroom.sizing._elements import from_elements, reason_to_count
from checkroom.sizing._findings import Findings, Span
from checkroom.sizing._moment import Moment, moment_of, moment_that_fits
from checkroom.sizing._optimizers import Prediction, predict_optimizer
from checkroom.sizing._run import Hook, Run
from checkroom.sizing._saves import hook_of, is_model_checkpoint, next_save
from checkroom.sizing._schedulers import Setting, advance_schedulers
from checkroom.sizing._traps import traps_of
from checkroom.sizing._types import CheckpointSize

__all__ = ["predict_at", "predict_checkpoint"]


def predict_checkpoint(
    trainer: Any,
    *,
    weights_only: bool | None = None,
    epoch: int | None = None,
    step: int | None = None,
    at: Hook | None = None,
    callback: Any = None,
    callback_states: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> CheckpointSize:
    """What a ``.ckpt`` of a trainer will weigh, with the optimizer states that do not exist yet.

    To be called from ``on_train_start`` on. The trainer's own dump is asked for: states of optimizers that have not
    stepped are predicted without memory, counters are those of the save, and a user's ``on_save_checkpoint`` is not
    run. Nothing of the run changes. With optimizers and schedulers of PyTorch and callbacks of Lightning the size is
    exact, but for what is left to the run: scores in file names, which files are the best, files that another
    ModelCheckpoint makes in the meantime, saves by the clock. There ``bound`` says what it is instead, and ``notes``
    why; ``assumes`` says what an exact size takes for granted.

    Args:
        trainer: A ``Trainer`` of either package that is fitting.
        weights_only: As in ``trainer.save_checkpoint``; ``None``: as the callback saves.
        epoch: ``current_epoch`` at the save; ``None``: that of the step, or else of the callback's next save, or else
            the current one.
        step: ``global_step`` at the save; ``None``: at the end of the epoch.
        at: Lightning's hook that saves: ``"train_batch_end"``, ``"validation_end"``, ``"train_epoch_end"`` or
            ``"train_end"``; ``None``: any of them that fits.
        callback: The ModelCheckpoint that writes the file; ``None``: the trainer's first one, where there is one.
        callback_states: States to assume for callbacks, by ``state_key``, in place of predicted ones.
        metrics: Values of logged metrics that file names hold, where they are known: a longer text makes a longer file.

    Returns:
        The size in bytes and its shares.

    Raises:
        ValueError: The trainer has no model yet, or there is no such moment ahead.
        Exception: What building or pickling the checkpoint raises.

    Example:
        >>> import lightning.pytorch as pl, torch
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> from checkroom import sizing
        >>> class Show(pl.Callback):
        ...     def on_train_start(self, trainer, module):
        ...         size = sizing.predict_checkpoint(trainer)
        ...         print(size.exact, size.weights)
        >>> trainer = pl.Trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, callbacks=[Show()],
        ...                      logger=False, enable_checkpointing=False, enable_progress_bar=False,
        ...                      enable_model_summary=False, accelerator="cpu")
        >>> trainer.fit(BoringModel())
        True 264
    """
    if trainer.lightning_module is None:
        raise ValueError("the trainer has no model yet: ask in on_train_start, or later")
    if callback is None:
        callback = next((one for one in trainer.callbacks if is_model_checkpoint(one)), None)
    if weights_only is None:
        weights_only = bool(callback is not None and callback.save_weights_only)
    run = Run(trainer)
    moment = _moment(trainer, run, callback, epoch, step, at)
    return predict_at(
        trainer, run, moment, weights_only=weights_only, callback=callback, callback_states=callback_states or {},
        metrics=metrics or {},
    )  # fmt: skip


def predict_at(
    trainer: Any,
    run: Run,
    moment: Moment,
    *,
    weights_only: bool,
    callback: Any,
    callback_states: Mapping[str, Any] = MappingProxyType({}),
    metrics: Mapping[str, float] = MappingProxyType({}),
) -> CheckpointSize:
    """The prediction for one moment; see :func:`predict_checkpoint`."""
    reason = reason_to_count(trainer)
    if reason is None and not can_measure():
        reason = "the installed PyTorch pickles in a way that is not known"
    if reason is not None:
        return from_elements(trainer, weights_only, reason)
    # Our inventory holds the size of the file that it is a part of, as a number of this or that length.
    item_bytes = 2**20
    for _ in range(3):
        known = _Known(callback, callback_states, metrics, item_bytes)
        size = _Draft(trainer, run, moment, weights_only, known).size()
        if _width(size.total) == _width(item_bytes):
            break
        item_bytes = size.total
    return size


@dataclass(frozen=True)
class _Known:
    """What the caller knows of callbacks; see :func:`predict_checkpoint`."""

    callback: Any
    states: Mapping[str, Any]
    metrics: Mapping[str, float]
    item_bytes: int


def _moment(
    trainer: Any, run: Run, callback: Any, epoch: int | None, step: int | None, at: Hook | None
) -> Moment:
    """The moment that is asked for, or that of the callback's next save."""
    if callback is None or at is not None:
        return moment_of(run, epoch, step, at)
    if epoch is None and step is None:
        return next_save(callback, trainer, run)
    return moment_that_fits(run, epoch, step, hook_of(callback, trainer))


def _width(number: int) -> int:
    """Bytes that a pickle takes for a whole number."""
    if 0 <= number < 2**16:
        return 2 if number < 2**8 else 3
    return 5 if -(2**31) <= number < 2**31 else 2 + number.bit_length() // 8 + 1


@dataclass(frozen=True)
class _Either:
    """A part of the checkpoint that is between two."""

    key: str
    least: Any
    most: Any


class _Draft:
    """One checkpoint on paper, which can be set to the least and to the most that it can be."""

    def __init__(self, trainer: Any, run: Run, moment: Moment, weights_only: bool, known: _Known) -> None:
        self.trainer, self.run, self.moment = trainer, run, moment
        self.ghosts, self.findings = Ghosts(home=str(trainer.strategy.root_device)), Findings()
        self.handed: dict[str, Any] = {}
        counters = counters_of(run, trainer, moment)
        self._finetuning = finetuning_callback(trainer)
        predictions: list[Prediction] = []

        def optimizer_state(optimizer: Any) -> Any:
            predictions.append(self._predict(optimizer, counters, first=not predictions))
            return predictions[-1].least

        self.checkpoint = quiet_dump(trainer, weights_only, optimizer_state, self.findings)
        self._take_for_real(self.checkpoint.get("state_dict"))
        self.settings = list(self._counter_settings(counters))
        self.parts: list[_Either] = []
        if not weights_only:
            lists = [[getattr(one, end) for one in predictions] for end in ("least", "most")]
            self.parts.append(_Either("optimizer_states", *lists))
            self.settings += advance_schedulers(
                self.checkpoint["lr_schedulers"], trainer, counters.updates, self.findings
            )
            self._put_callbacks(counters, known)
        if moment.guessed:
            self.findings.unsure("manual optimization: every batch is taken to step each optimizer once")

    def _take_for_real(self, weights: Any) -> None:
        """Weights on the meta device will have memory by the time that they are saved."""
        import torch

        tensors = weights.values() if isinstance(weights, Mapping) else ()
        for tensor in (one for one in tensors if isinstance(one, torch.Tensor) and one.is_meta):
            if self.ghosts.location(tensor.untyped_storage()) is None:
                self.ghosts.add(tensor, "meta")
                self.findings.assume(f"weights on the meta device will lie on {self.ghosts.home}")

    def _predict(self, optimizer: Any, counters: Counters, first: bool) -> Prediction:
        now, then = self.trainer.global_step, counters.spans[("global_step",)]
        steps = Span(max(0, then.least - now), max(0, then.most - now))
        if not self.moment.positions and steps.most:
            steps = Span(max(1, steps.least), steps.most)
            if not optimizer.state:
                self.findings.assume("an optimizer step has been taken by then")
        unfreezes = self._finetuning is not None
        joining = joining_parameters(self.trainer) if unfreezes and first else ()
        return predict_optimizer(
            optimizer, self.ghosts, self.findings, steps=steps, unfreezes=unfreezes, joining=joining
        )

    def _counter_settings(self, counters: Counters) -> Iterator[Setting]:
        for path, span in counters.spans.items():
            container: Any = self.checkpoint
            for key in path[:-1]:
                container = container.get(key) if isinstance(container, dict) else None
            if isinstance(container, dict) and type(container.get(path[-1])) is int:
                yield container, path[-1], span
        scaler = self.checkpoint.get("MixedPrecision")
        if isinstance(scaler, dict) and "_growth_tracker" in scaler:
            yield scaler, "_growth_tracker", Span(0, int(scaler.get("growth_interval", 2000)))

    def _put_callbacks(self, counters: Counters, known: _Known) -> None:
        ahead = Ahead(self.trainer, self.run, self.moment, counters, self.ghosts, self.findings, known.callback)
        least, most, settings = advance_callbacks(self.checkpoint["callbacks"], ahead, known.states)
        self.settings += settings
        for one in self.trainer.callbacks:
            key = one.state_key
            if key in known.states:
                least[key] = most[key] = known.states[key]
            elif is_model_checkpoint(one):
                least[key], most[key] = states_at(
                    one, self.trainer, self.run, self.moment, self.ghosts, self.findings,
                    saves=one is known.callback, item_bytes=known.item_bytes, metrics=known.metrics,
                )  # fmt: skip
                ends = one.save_last and self.moment.at("train_end")
                if one is not known.callback and (ends or least[key] is not most[key]):
                    self.findings.unsure(f"which files another {type(one).__name__} will know of by then is open")
        if all(least[key] is most[key] for key in most):
            most = least
        self.parts.append(_Either("callbacks", least, most))

    # -- its size

    def size(self) -> CheckpointSize:
        """What it weighs, set to the least and to the most."""
        least = self._measured("least")
        differs = self._finetuning is not None or any(part.least is not part.most for part in self.parts[1:])
        differs = differs or any(_width(span.least) != _width(span.most) for _, _, span in self.settings)
        most = self._measured("most") if differs else least
        totals = sorted((least.total, most.total))
        if self._finetuning is not None and totals[0] < totals[1]:
            name = type(self._finetuning).__name__
            self.findings.notes.append(f"{name} may train more parameters later: their states are counted")
        bound, total, at_least, at_most = self.findings.bound(*totals)
        if bound == "at most" and not self.findings.notes:
            self.findings.notes.append("counters and names at that time are known to a few bytes")
        weights = _storages(self.handed.get("state_dict"), most.storages)
        optimizer = _storages(self.handed.get("optimizer_states"), most.storages) - weights
        shares = [sum(most.storages[key] for key in keys) for keys in (weights, optimizer)]
        return CheckpointSize(
            total=total,
            weights=shares[0],
            optimizer=shares[1],
            other=total - sum(shares),
            exact=bound == "exact",
            bound=bound,
            notes=tuple(dict.fromkeys(self.findings.notes)),
            least=at_least,
            most=at_most,
            assumes=tuple(dict.fromkeys(self.findings.assumes)),
            traps=traps_of(self.trainer, self.handed, most, self.ghosts),
        )

    def _measured(self, end: str) -> Measured:
        for part in self.parts:
            self.checkpoint[part.key] = getattr(part, end)
        for container, key, span in self.settings:
            container[key] = getattr(span, end)
        self.handed = as_handed_over(self.trainer, self.checkpoint, self.ghosts, self.findings)
        return measure(self.handed, self.ghosts)


def _storages(value: Any, known: Mapping[int, int]) -> set[int]:
    """The storages of all tensors below a value, by the identity of their data."""
    import torch

    found: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, torch.Tensor):
            try:
                found.add(item.untyped_storage()._cdata)
            except Exception:  # sparse and quantised tensors have no storage of this kind
                continue
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
    return found & known.keys()
