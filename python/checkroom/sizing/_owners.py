"""Whose code it is: Lightning's and ours is known, a user's may do anything."""

from __future__ import annotations

from typing import Any

__all__ = ["is_lightnings", "named"]

_KNOWN = ("lightning", "pytorch_lightning", "lightning_fabric", "checkroom")


def is_lightnings(owner: Any, attribute: str) -> bool:
    """Does a method of an object, or its class where it has no such method, come from Lightning or from us?"""
    for kind in type(owner).__mro__:
        if attribute in vars(kind):
            return kind.__module__.split(".")[0] in _KNOWN
    return type(owner).__module__.split(".")[0] in _KNOWN


def named(owner: Any, name: str) -> bool:
    """Is it Lightning's class of that name, or a subclass of it?"""
    return any(kind.__name__ == name and kind.__module__.split(".")[0] in _KNOWN for kind in type(owner).__mro__)
