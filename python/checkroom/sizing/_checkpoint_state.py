"""The state that Lightning's ModelCheckpoint will have saved about itself: paths and scores of its top k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkroom._pickling import Ghosts
from checkroom.sizing._moment import Moment

__all__ = ["planned_state"]

_KEYS = ("best_k_models", "best_model_path", "kth_best_model_path", "kth_value", "last_model_path", "current_score")


def planned_state(callback: Any, trainer: Any, moment: Moment, ghosts: Ghosts) -> dict[str, Any] | None:
    """What the callback's ``state_dict`` will say while the checkpoint of this moment is written.

    Every save up to then is taken to have improved on the one before: that is the fullest top k, and all scores have
    the same length.

    Args:
        callback: Any callback.
        trainer: Its trainer.
        moment: When.
        ghosts: Takes scores that lie on an accelerator.

    Returns:
        The state; ``None`` for a callback that is no ModelCheckpoint, or that goes on from an earlier run.
    """
    state = callback.state_dict()
    if not isinstance(state, dict) or any(key not in state for key in _KEYS):
        return None
    if state["best_k_models"] or state["best_model_path"]:
        return None
    saves = _saves(callback, trainer, moment)
    name = _namer(callback)
    if callback.save_last and len(saves) > 1:
        epoch, step = saves[-2]
        state["last_model_path"] = name(epoch, step, callback.CHECKPOINT_NAME_LAST)
    if not saves or callback.save_top_k == 0:
        return dict(state)
    if callback.monitor is None:
        state["best_model_path"] = name(*saves[-1], None)
        return dict(state)
    kept = saves if callback.save_top_k < 0 else saves[-callback.save_top_k :]
    scores = {name(epoch, step, None): _score(trainer, ghosts) for epoch, step in kept}
    paths = list(scores)
    state.update(best_k_models=scores, best_model_path=paths[-1], best_model_score=scores[paths[-1]])
    state["current_score"] = scores[paths[-1]]
    if len(kept) == callback.save_top_k or callback.save_top_k < 0:
        state.update(kth_best_model_path=paths[0], kth_value=scores[paths[0]])
    return dict(state)


def _saves(callback: Any, trainer: Any, moment: Moment) -> list[tuple[int, int]]:
    """(epoch, step) of the saves up to the moment, which is one itself."""
    every = getattr(callback, "_every_n_train_steps", 0)
    if every:
        per_epoch = max(1, moment.steps_in_epoch)
        return [(min(moment.epoch, (step - 1) // per_epoch), step) for step in range(every, moment.step + 1, every)]
    every = max(1, getattr(callback, "_every_n_epochs", 1) or 1)
    epochs = [epoch for epoch in range(moment.epoch + 1) if (epoch + 1) % every == 0] or [moment.epoch]
    behind = max(1, moment.steps_in_epoch)
    return [(epoch, max(0, moment.step - (moment.epoch - epoch) * behind)) for epoch in epochs]


def _namer(callback: Any) -> Callable[[int, int, str | None], str]:
    import torch

    def name(epoch: int, step: int, template: str | None) -> str:
        metrics = {"epoch": torch.tensor(epoch), "step": torch.tensor(step)}
        if callback.monitor is not None:
            metrics.setdefault(callback.monitor, torch.tensor(0.0))
        if template is None:
            return str(callback.format_checkpoint_name(metrics))
        return str(callback.format_checkpoint_name(metrics, template))

    return name


def _score(trainer: Any, ghosts: Ghosts) -> Any:
    import torch

    device = str(trainer.strategy.root_device)
    if device == "cpu":
        return torch.tensor(0.0, device="cpu")
    return ghosts.add(torch.empty((), device="meta"), device)
