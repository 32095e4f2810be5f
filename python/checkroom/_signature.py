"""The constructor's signature: Lightning's arguments, then ours, for ``help()`` and for LightningCLI."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["join_signatures"]


def join_signatures(init: Callable[..., Any], base: Callable[..., Any], own: Callable[..., Any]) -> None:
    """Gives ``init`` the parameters and annotations of ``base``, followed by the keyword-only ones of ``own``.

    jsonargparse reads ``__signature__`` and ``__annotations__``; without both, LightningCLI would see ``**kwargs``
    where the arguments are.
    """
    signature = inspect.signature(base)
    hints = {**_hints(base), **_hints(own)}
    ours = [p for p in inspect.signature(own).parameters.values() if p.kind is p.KEYWORD_ONLY]
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD] + ours
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in parameters]
    init.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    init.__annotations__ = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # an annotation that only a type checker can resolve: the text has to do
        return dict(getattr(function, "__annotations__", {}))
