"""Lightning's own checkpoint dict, asked for without a trace: what a save would hand over, with predicted states."""

from __future__ import annotations

import contextlib
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from checkroom._ghosts import Ghosts
from checkroom._torch_zip import alignment
from checkroom.sizing._findings import Findings
from checkroom.sizing._ghost_step import is_lazy
from checkroom.sizing._owners import is_lightnings, named

__all__ = ["as_handed_over", "quiet_dump"]

_MISSING = object()
_DEFAULT_ALIGNMENT = 64
# CheckpointIO classes that write the dict that they are given.
_PLAIN_IO = ("TorchCheckpointIO", "XLACheckpointIO", "AsyncCheckpointIO", "CheckroomIOMixin")


def quiet_dump(
    trainer: Any, weights_only: bool, optimizer_state: Callable[[Any], Any], findings: Findings
) -> dict[str, Any]:
    """The dict of ``dump_checkpoint``; nothing of the run changes, random numbers included.

    The ``state_dict`` of the module and of the callbacks run; a user's ``on_save_checkpoint`` does not.

    Args:
        trainer: The trainer.
        weights_only: As in ``trainer.save_checkpoint``.
        optimizer_state: Answers for each optimizer in place of the strategy.
        findings: Takes what was left out.
    """

    def state_of(optimizer: Any) -> Any:
        return optimizer_state(getattr(optimizer, "_optimizer", optimizer))

    with contextlib.ExitStack() as stack:
        stack.enter_context(_same_random_numbers())
        stack.enter_context(_attribute(trainer, "profiler", _NullProfiler()))  # the profile lists what was run
        stack.enter_context(_attribute(trainer.strategy, "optimizer_state", state_of))
        owners = [trainer.lightning_module, *(() if weights_only else trainer.callbacks)]
        for owner in owners:
            if _leaves_hook_out(owner, findings):
                stack.enter_context(_attribute(owner, "on_save_checkpoint", lambda *args, **kwargs: None))
        _judge_user_states(trainer, findings)
        checkpoint: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint(weights_only)
    return checkpoint


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """A ``state_dict`` of the user's may draw; the run must not notice."""
    import torch

    python, numpy = random.getstate(), sys.modules.get("numpy")
    drawn = None if numpy is None else numpy.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            if numpy is not None:
                numpy.random.set_state(drawn)


@contextlib.contextmanager
def _attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of this one object for a while; no descriptor and no ``__setattr__`` runs."""
    own = vars(owner)
    before = own.get(name, _MISSING)
    own[name] = value
    try:
        yield
    finally:
        if before is _MISSING:
            del own[name]
        else:
            own[name] = before


class _NullProfiler:
    @contextlib.contextmanager
    def profile(self, name: str) -> Iterator[None]:
        yield


# ---------------------------------------------------------------- a user's code


def _leaves_hook_out(owner: Any, findings: Findings) -> bool:
    """Is its ``on_save_checkpoint`` a user's, or one of Lightning's that works on more than the dict?"""
    if named(owner, "ModelPruning"):
        findings.unsure("ModelPruning makes its pruning permanent in what it saves, which is not tried out")
        return True
    own = vars(owner).get("on_save_checkpoint")
    if own is None and is_lightnings(owner, "on_save_checkpoint"):
        return False
    name = f"{type(owner).__name__}.on_save_checkpoint"
    hook = getattr(type(owner), "on_save_checkpoint", None) if own is None else own
    if _may_take_away(getattr(hook, "__code__", None)):
        findings.unsure(f"{name} may change what is there: it is not run to find out")
    else:
        findings.larger(f"{name} may add to it: it is not run to find out")
    return True


def _may_take_away(code: types.CodeType | None) -> bool:
    """Does a hook's code name what a checkpoint holds, or a way to remove? Then it may make the file smaller."""
    if code is None:
        return True
    kept = {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops", "hyper_parameters"}
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    texts = {constant for constant in code.co_consts if isinstance(constant, str)}
    ways = {"pop", "popitem", "clear", "super", "on_save_checkpoint"}
    return bool(texts & kept or ways.intersection(code.co_names) or any(map(_may_take_away, inner)))


def _judge_user_states(trainer: Any, findings: Findings) -> None:
    """States of which only their present size is known, and which are likely to grow."""
    module, data = trainer.lightning_module, trainer.datamodule
    if data is not None and not is_lightnings(data, "state_dict"):
        findings.unsure(f"{type(data).__name__}.state_dict is taken to stay as long as it is")
    loader = trainer.fit_loop._combined_loader
    if any(hasattr(one, "state_dict") for one in getattr(loader, "flattened", ())):
        findings.unsure("the state of the data loader is taken to stay as long as it is")
    for name, part in module.named_modules():
        owner = next(kind for kind in type(part).__mro__ if "get_extra_state" in vars(kind))
        if owner.__module__.split(".")[0] != "torch":
            findings.unsure(f"the extra state of {name or type(part).__name__} is taken to stay as long as it is")
        grows = [key for key, default in getattr(part, "_defaults", {}).items() if isinstance(default, list)]
        if any(getattr(part, "_persistent", {}).get(key) for key in grows):
            findings.larger(f"the metric {name or type(part).__name__} keeps lists that grow")
    lazy = sum(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))
    if lazy:
        findings.larger(f"{lazy} parameters get their shape with the first batch: they are not counted")


# ---------------------------------------------------------------- on the way to the file


def as_handed_over(trainer: Any, checkpoint: dict[str, Any], ghosts: Ghosts, findings: Findings) -> Any:
    """What reaches ``torch.save``: AsyncCheckpointIO clones every tensor first, and with that loses ties."""
    writer = trainer.strategy.checkpoint_io
    handed: Any = checkpoint
    while writer is not None:
        kind = next((one for one in type(writer).__mro__ if one.__name__ == "AsyncCheckpointIO"), None)
        if kind is not None and hasattr(sys.modules[kind.__module__], "apply_to_collection"):
            handed = _cloned(handed, ghosts)
            if any(hasattr(one, "_inventory") for one in trainer.callbacks):
                findings.unsure("AsyncCheckpointIO writes later than checkroom takes note: what it notes is open")
            if alignment() != _DEFAULT_ALIGNMENT:  # which PyTorch configures by thread
                findings.unsure("the thread of AsyncCheckpointIO may align storages in another way than this one")
        inner = getattr(writer, "_checkpoint_io", None)
        if inner is None and not any(one.__name__ in _PLAIN_IO for one in type(writer).__mro__):
            findings.unsure(f"{type(writer).__name__} decides itself what it writes")
        writer = inner
    return handed


def _cloned(checkpoint: Any, ghosts: Ghosts) -> Any:
    import torch
    from lightning_utilities.core.apply_func import apply_to_collection

    def clone(tensor: Any) -> Any:
        try:
            device = ghosts.locations.get(tensor.untyped_storage()._cdata, str(tensor.device))
            return ghosts.add(torch.empty_like(tensor, device="meta", requires_grad=False), device)
        except Exception:  # sparse and quantised tensors have no storage of this kind, and nothing to be tied by
            return tensor

    return apply_to_collection(checkpoint, torch.Tensor, clone)
