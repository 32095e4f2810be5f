"""Lightning's own fields of a ModelCheckpoint: the mirror of the store's plan.

They take the planned state while a save runs, because the file that is being written must hold the state after this
save, and they are rolled back when it fails.
"""

from __future__ import annotations

from typing import Any

__all__ = ["restore", "show_top_k", "snapshot"]

_FIELDS = (
    "kth_best_model_path",
    "kth_value",
    "best_model_path",
    "best_model_score",
    "current_score",
    "last_model_path",
    "_last_checkpoint_saved",
    "_last_global_step_saved",
)


def snapshot(callback: Any) -> dict[str, Any]:
    """The fields as they are; ``best_k_models`` as a copy."""
    state = {name: getattr(callback, name) for name in _FIELDS if hasattr(callback, name)}
    state["best_k_models"] = dict(callback.best_k_models)
    return state


def restore(callback: Any, state: dict[str, Any]) -> None:
    """Rolls the fields back to a snapshot."""
    for name, value in state.items():
        if name == "best_k_models":
            _replace(callback.best_k_models, value)
        else:
            setattr(callback, name, value)


def show_top_k(callback: Any, scores: dict[str, Any], k: int) -> None:
    """Shows the top k of a plan in Lightning's fields.

    Args:
        callback: The ModelCheckpoint.
        scores: Path -> score tensor of the planned top k, in the order of saving.
        k: ``save_top_k``; -1: all.
    """
    _replace(callback.best_k_models, scores)
    if not scores:
        callback.kth_best_model_path, callback.best_model_path, callback.best_model_score = "", "", None
        return
    worst, best = (max, min) if callback.mode == "min" else (min, max)
    # Lightning looks for the kth only once k are there; a byte budget can hold fewer, and then the entry that is
    # shown must not name a file that has gone.
    if len(scores) == k or k == -1 or callback.kth_best_model_path not in scores:
        complete = len(scores) == k or k == -1
        callback.kth_best_model_path = worst(scores, key=scores.__getitem__) if complete else ""
        if complete:
            callback.kth_value = scores[callback.kth_best_model_path]
    callback.best_model_path = best(scores, key=scores.__getitem__)
    callback.best_model_score = scores[callback.best_model_path]


def _replace(models: dict[str, Any], scores: dict[str, Any]) -> None:
    # In place, as Lightning does it: a logger or a user may hold the dict itself.
    scores = dict(scores)
    models.clear()
    models.update(scores)
