"""The checkpoint that a trainer is going to write, before its first batch.

Lightning's own ``dump_checkpoint`` builds the dict; optimizer states that do not exist yet are predicted, counters are
those of the save that is asked for, and the user's ``on_save_checkpoint`` hooks are not run. The run is not changed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from checkroom._ghosts import Ghosts
from checkroom._pickling import measure
from checkroom.sizing._counters import set_counters
from checkroom.sizing._optimizers import predicted_state_dict
from checkroom.sizing._types import Bound, CheckpointSize

__all__ = ["predict_checkpoint"]

_LIGHTNING = ("lightning.", "pytorch_lightning.", "lightning_fabric.")


def predict_checkpoint(
    trainer: Any,
    *,
    weights_only: bool = False,
    epoch: int | None = None,
    step: int | None = None,
    callback_states: Mapping[str, Any] | None = None,
) -> CheckpointSize:
    """What each ``.ckpt`` of a trainer will weigh once optimizer states exist. Call it from ``on_train_start`` on.

    Args:
        trainer: A ``Trainer`` of either package, set up for fitting.
        weights_only: Is it saved with ``save_weights_only``?
        epoch: ``current_epoch`` at the save; ``None``: the current one.
        step: ``global_step`` at the save; ``None``: at the end of that epoch.
        callback_states: States to assume for callbacks, by ``state_key``, in place of their own.

    Returns:
        The size in bytes and its shares; where it cannot be exact, a bound that says that it is one, and why.

    Raises:
        Exception: What building or pickling the checkpoint raises.

    Example:
        >>> import lightning.pytorch as pl, torch
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> from checkroom import sizing
        >>> class Show(pl.Callback):
        ...     def on_train_start(self, trainer, module):
        ...         print(sizing.predict_checkpoint(trainer).exact)
        >>> trainer = pl.Trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, callbacks=[Show()],
        ...                      logger=False, enable_checkpointing=False, enable_progress_bar=False,
        ...                      enable_model_summary=False, accelerator="cpu")
        >>> trainer.fit(BoringModel())
        True
    """
    strategy = type(trainer.strategy)
    if _writes_by_itself(strategy):
        return _from_element_counts(trainer, weights_only, f"{strategy.__name__} shards or gathers states on its own")
    ghosts = Ghosts()
    notes: list[tuple[Bound, str]] = []
    checkpoint = _dump(trainer, weights_only, callback_states, ghosts, notes)
    set_counters(checkpoint, trainer, epoch, step)
    total = measure(checkpoint, ghosts).total
    weights, optimizer = _shares(checkpoint, ghosts)
    bounds = {bound for bound, _ in notes}
    bound: Bound = "exact" if not bounds else bounds.pop() if len(bounds) == 1 else "estimate"
    return CheckpointSize(
        total=total,
        weights=weights,
        optimizer=optimizer,
        other=total - weights - optimizer,
        exact=bound == "exact",
        bound=bound,
        notes=tuple(text for _, text in notes),
    )


def _dump(
    trainer: Any,
    weights_only: bool,
    callback_states: Mapping[str, Any] | None,
    ghosts: Ghosts,
    notes: list[tuple[Bound, str]],
) -> dict[str, Any]:
    """Lightning's own checkpoint dict with predicted optimizer states, the user's hooks left out."""
    connector = trainer._checkpoint_connector
    call = sys.modules[type(connector).__module__].call

    def optimizer_state(optimizer: Any) -> Any:
        inner = getattr(optimizer, "_optimizer", optimizer)
        name = type(inner).__name__
        try:
            state = predicted_state_dict(inner, ghosts)
        except Exception as error:
            notes.append(("at least", f"the states of {name} could not be predicted: {error}"))
            return inner.state_dict()
        if name == "LBFGS" and not inner.state:
            notes.append(("at least", "LBFGS keeps a history that grows"))
        return state

    original_states = call._call_callbacks_state_dict

    def states(trainer: Any) -> dict[str, Any]:
        found: dict[str, Any] = original_states(trainer)
        for key, state in (callback_states or {}).items():
            found[key] = state
        return found

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(trainer.strategy, "optimizer_state", optimizer_state))
        stack.enter_context(mock.patch.object(call, "_call_callbacks_state_dict", states))
        stack.enter_context(_hooks_left_out(trainer, call, notes))
        checkpoint: dict[str, Any] = connector.dump_checkpoint(weights_only)
    return checkpoint


@contextlib.contextmanager
def _hooks_left_out(trainer: Any, call: Any, notes: list[tuple[Bound, str]]) -> Iterator[None]:
    """Inside, on_save_checkpoint hooks of the user do not run; those of Lightning's own callbacks do."""
    original: Callable[..., Any] = call._call_lightning_module_hook

    def module_hook(trainer: Any, hook_name: str, *args: Any, **kwargs: Any) -> Any:
        return None if hook_name == "on_save_checkpoint" else original(trainer, hook_name, *args, **kwargs)

    def callbacks_hook(trainer: Any, checkpoint: dict[str, Any]) -> None:
        for callback in trainer.callbacks:
            if _is_lightnings(callback, "on_save_checkpoint"):
                callback.on_save_checkpoint(trainer, trainer.lightning_module, checkpoint)

    users = [trainer.lightning_module, *trainer.callbacks]
    if trainer.datamodule is not None:
        users.append(trainer.datamodule)
    for user in users:
        if not _is_lightnings(user, "on_save_checkpoint"):
            name = type(user).__name__
            notes.append(("at least", f"{name}.on_save_checkpoint may add to it: it is not run to find out"))
    with (
        mock.patch.object(call, "_call_lightning_module_hook", module_hook),
        mock.patch.object(call, "_call_callbacks_on_save_checkpoint", callbacks_hook),
    ):
        yield


def _is_lightnings(owner: Any, method: str) -> bool:
    """Does the method come from one of Lightning's packages (or from us), not from the user?"""
    for cls in type(owner).__mro__:
        if method in vars(cls):
            return f"{cls.__module__}.".startswith((*_LIGHTNING, "checkroom."))
    return True


def _writes_by_itself(strategy: type) -> bool:
    """Does the strategy bypass the CheckpointIO, or make the dump a collective?"""
    for method in ("save_checkpoint", "optimizer_state", "lightning_module_state_dict"):
        owner = next(cls for cls in strategy.__mro__ if method in vars(cls))
        if owner.__name__ not in ("Strategy", "ParallelStrategy", "DDPStrategy"):
            return True
    return False


def _from_element_counts(trainer: Any, weights_only: bool, why: str) -> CheckpointSize:
    """Without a dump, which would be a collective there: parameters, buffers, and two states a parameter."""
    module = trainer.lightning_module
    weights = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    trainable = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    optimizer = 0 if weights_only else 2 * trainable
    return CheckpointSize(
        total=weights + optimizer,
        weights=weights,
        optimizer=optimizer,
        other=0,
        exact=False,
        bound="estimate",
        notes=(f"{why}: counted from elements, two states a trainable parameter",),
    )


def _shares(checkpoint: dict[str, Any], ghosts: Ghosts) -> tuple[int, int]:
    """Bytes of the storages of the model, and of those that only the optimizers hold."""
    weights = measure(checkpoint["state_dict"], ghosts).storages
    optimizer = measure(checkpoint.get("optimizer_states", []), ghosts).storages
    return sum(weights.values()), sum(size for key, size in optimizer.items() if key not in weights)
