"""The checkpoint that a trainer is going to write, before its first batch."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from checkroom._pickling import Ghosts, can_measure, measure
from checkroom.sizing._checkpoint_state import planned_state
from checkroom.sizing._closed_form import OPTIMIZERS
from checkroom.sizing._moment import Moment
from checkroom.sizing._optimizers import Prediction, predict_state
from checkroom.sizing._types import Bound, CheckpointSize

__all__ = ["predict_checkpoint"]

# Strategies whose dump is a collective, or whose parameters are shards: those are never asked for a dump.
_SHARDED = ("FSDPStrategy", "ModelParallelStrategy", "DeepSpeedStrategy", "XLAFSDPStrategy")
# Lightning's callbacks that change during the run what is saved.
_GROWING = {
    "BaseFinetuning": "parameters that it will unfreeze have no states yet",
    "StochasticWeightAveraging": "its averaged weights come later",
    "ModelPruning": "what it makes permanent at the save is not known",
}


def predict_checkpoint(
    trainer: Any,
    *,
    weights_only: bool = False,
    epoch: int | None = None,
    step: int | None = None,
    callback_states: Mapping[str, Mapping[str, Any]] | None = None,
) -> CheckpointSize:
    """Predicts the size of a checkpoint that a trainer will write, with the optimizers' states that do not exist yet.

    To be called in ``on_train_start`` or later. The trainer dumps its checkpoint as it is; states of optimizers that
    have not stepped are predicted without memory, counters are those of the given moment, and the user's own
    ``on_save_checkpoint`` hooks are not run. Nothing of the run changes, random numbers included. With one device and
    an optimizer of ``torch.optim`` the result is exact, provided that every trainable parameter gets a gradient and
    that no state grows with time; where it is not, ``bound`` and ``notes`` say so.

    Args:
        trainer: A trainer of either Lightning package.
        weights_only: As in ``trainer.save_checkpoint``.
        epoch: The epoch (from 0) in which the checkpoint is written; the one that is about to run by default.
        step: ``trainer.global_step`` at that time; the end of the epoch by default.
        callback_states: By ``state_key``, what a callback's ``state_dict`` will say then, where the caller knows it.

    Returns:
        The size in bytes.

    Raises:
        ValueError: The trainer has no model yet.

    Example:
        >>> import torch
        >>> from lightning.pytorch import Callback, Trainer
        >>> from lightning.pytorch.demos.boring_classes import BoringModel
        >>> class Preflight(Callback):
        ...     def on_train_start(self, trainer, pl_module):
        ...         print(predict_checkpoint(trainer).weights)
        >>> trainer = Trainer(
        ...     max_epochs=1, limit_train_batches=1, limit_val_batches=0, callbacks=[Preflight()], logger=False,
        ...     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        >>> trainer.fit(BoringModel())
        264
    """
    if trainer.lightning_module is None:
        raise ValueError("the trainer has no model yet: ask in on_train_start, or later")
    strategy_names = {kind.__name__ for kind in type(trainer.strategy).__mro__}
    sharded = strategy_names.intersection(_SHARDED)
    if sharded:
        return _from_elements(trainer, weights_only, f"{sorted(sharded)[0]} shards its states")
    if not can_measure():
        return _from_elements(trainer, weights_only, "the installed PyTorch pickles in a way that is not known")
    ghosts, findings = Ghosts(), _Findings()
    moment = Moment.of(trainer, epoch, step)
    if moment.guessed:
        findings.add("estimate", "the length of an epoch is not known: the counters of the first step are used")
    states = {key: dict(state) for key, state in (callback_states or {}).items()}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_same_random_numbers())
        _quieten(trainer, stack, findings)
        _plan_callbacks(trainer, stack, states, moment, ghosts)
        predictions = _plan_optimizers(trainer, stack, moment, ghosts)
        dump = trainer._checkpoint_connector.dump_checkpoint(weights_only)
        moment.write_into(dump, trainer)
        dump = _as_handed_over(trainer, dump, ghosts, findings)
        measured = measure(dump, ghosts)
    for prediction in predictions:
        findings.judge(prediction)
    findings.judge_callbacks(trainer)
    weights = _storages(dump.get("state_dict"), measured.storages)
    optimizer = _storages(dump.get("optimizer_states"), measured.storages) - weights
    share = {name: sum(measured.storages[key] for key in keys) for name, keys in (("w", weights), ("o", optimizer))}
    return CheckpointSize(
        total=measured.total,
        weights=share["w"],
        optimizer=share["o"],
        other=measured.total - share["w"] - share["o"],
        exact=findings.bound == "exact",
        bound=findings.bound,
        notes=tuple(dict.fromkeys(findings.notes)),
    )


class _Findings:
    """What keeps the figure from being exact."""

    def __init__(self) -> None:
        self.bound: Bound = "exact"
        self.notes: list[str] = []

    def add(self, bound: Bound, note: str) -> None:
        """One more reason; two bounds that point in opposite directions leave an estimate."""
        self.notes.append(note)
        self.bound = bound if self.bound in ("exact", bound) else "estimate"

    def judge(self, prediction: Prediction) -> None:
        """What the prediction of an optimizer's state rests on."""
        for note in prediction.notes:
            self.add("estimate", note)
        if prediction.failure:
            self.add("at least", f"{prediction.failure}; its states are not counted")
        elif prediction.grows:
            self.add("at most", "LBFGS is counted with its full history")
        elif prediction.assumed:
            self.notes.append("every trainable parameter is taken to get a gradient")

    def judge_callbacks(self, trainer: Any) -> None:
        """Callbacks that are known to add to the checkpoint later."""
        for callback in trainer.callbacks:
            for kind in type(callback).__mro__:
                if kind.__name__ in _GROWING and _is_lightnings(kind):
                    self.add("at least", f"{type(callback).__name__}: {_GROWING[kind.__name__]}")


def _is_lightnings(kind: type) -> bool:
    return kind.__module__.split(".")[0] in ("lightning", "pytorch_lightning")


# ---------------------------------------------------------------- a dump that changes nothing


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """User code in a ``state_dict`` may draw; the run must not notice."""
    import torch

    python = random.getstate()
    numpy = sys.modules.get("numpy")
    array = None if numpy is None else numpy.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            if numpy is not None:
                numpy.random.set_state(array)


@contextlib.contextmanager
def _attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of this one object for a while; no descriptor and no ``__setattr__`` runs."""
    own = vars(owner)
    missing = object()
    before = own.get(name, missing)
    own[name] = value
    try:
        yield
    finally:
        if before is missing:
            del own[name]
        else:
            own[name] = before


class _NullProfiler:
    """The run's profile does not list what was only asked."""

    @contextlib.contextmanager
    def profile(self, name: str) -> Iterator[None]:
        yield


def _quieten(trainer: Any, stack: contextlib.ExitStack, findings: _Findings) -> None:
    """The user's ``on_save_checkpoint`` hooks are not run; the profiler hears nothing."""
    stack.enter_context(_attribute(trainer, "profiler", _NullProfiler()))
    for owner in (trainer.lightning_module, trainer.datamodule, *trainer.callbacks):
        definer = next((kind for kind in type(owner).__mro__ if "on_save_checkpoint" in vars(kind)), None)
        if definer is None or (_is_lightnings(definer) and definer.__name__ != "ModelPruning"):
            continue
        stack.enter_context(_attribute(owner, "on_save_checkpoint", lambda *args, **kwargs: None))
        if not _is_lightnings(definer):
            name = type(owner).__name__
            findings.add("at least", f"{name}.on_save_checkpoint was not run: what it adds is not counted")


def _plan_callbacks(
    trainer: Any, stack: contextlib.ExitStack, states: Mapping[str, Any], moment: Moment, ghosts: Ghosts
) -> None:
    """Callbacks that keep account of checkpoints say what they will say then."""
    for callback in trainer.callbacks:
        state = states.get(callback.state_key)
        if state is None:
            state = planned_state(callback, trainer, moment, ghosts)
        if state is not None:
            stack.enter_context(_attribute(callback, "state_dict", lambda state=state: state))


def _plan_optimizers(
    trainer: Any, stack: contextlib.ExitStack, moment: Moment, ghosts: Ghosts
) -> list[Prediction]:
    """The strategy answers with predicted states; returns what each prediction rests on."""
    predictions: list[Prediction] = []

    def optimizer_state(optimizer: Any) -> Any:
        prediction = predict_state(getattr(optimizer, "_optimizer", optimizer), ghosts, moment.step)
        predictions.append(prediction)
        return prediction.state_dict

    stack.enter_context(_attribute(trainer.strategy, "optimizer_state", optimizer_state))
    return predictions


def _as_handed_over(trainer: Any, dump: dict[str, Any], ghosts: Ghosts, findings: _Findings) -> Any:
    """What reaches ``torch.save``: AsyncCheckpointIO clones every tensor first, and with that loses ties."""
    writer = trainer.strategy.checkpoint_io
    while writer is not None:
        kind = next((k for k in type(writer).__mro__ if k.__name__ == "AsyncCheckpointIO"), None)
        if kind is not None and hasattr(sys.modules[kind.__module__], "apply_to_collection"):
            dump = _cloned(dump, ghosts)
        inner = getattr(writer, "_checkpoint_io", None)
        known = ("TorchCheckpointIO", "XLACheckpointIO", "AsyncCheckpointIO", "CheckroomIO", "CheckroomIOMixin")
        if inner is None and not any(k.__name__ in known for k in type(writer).__mro__):
            findings.add("estimate", f"{type(writer).__name__} decides itself what it writes")
        writer = inner
    return dump


def _cloned(dump: dict[str, Any], ghosts: Ghosts) -> Any:
    import torch
    from lightning_utilities.core.apply_func import apply_to_collection

    def clone(tensor: Any) -> Any:
        device = ghosts.locations.get(tensor.untyped_storage()._cdata, str(tensor.device))
        return ghosts.add(torch.empty_like(tensor, device="meta", requires_grad=False), device)

    return apply_to_collection(dump, torch.Tensor, clone)


def _storages(value: Any, known: Mapping[int, int]) -> set[int]:
    """The storages of all tensors below a value, by the identity of their data."""
    import torch

    found: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, torch.Tensor):
            with contextlib.suppress(Exception):  # sparse and quantised tensors have no storage of this kind
                found.add(item.untyped_storage()._cdata)
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
    return found & known.keys()


# ---------------------------------------------------------------- sharded strategies


def _from_elements(trainer: Any, weights_only: bool, reason: str) -> CheckpointSize:
    """Counts elements; asks nothing of a strategy whose dump is a collective."""
    module = trainer.lightning_module
    tensors = [*module.parameters(), *module.buffers()]
    weights = sum(t.numel() * t.element_size() for t in tensors)
    optimizer = 0
    for one in [] if weights_only else trainer.optimizers:
        states = OPTIMIZERS.get(type(one).__name__.lower(), OPTIMIZERS["adamw"])
        trained = [p for group in one.param_groups for p in group["params"] if p.requires_grad]
        optimizer += sum(p.numel() * p.element_size() for p in trained) * states.full
    factor = trainer.world_size if any(type(t).__name__ == "FlatParameter" for t in tensors) else 1
    weights, optimizer = weights * factor, optimizer * factor
    return CheckpointSize(
        total=weights + optimizer,
        weights=weights,
        optimizer=optimizer,
        other=0,
        exact=False,
        bound="estimate",
        notes=(f"{reason}: counted from elements",),
    )
