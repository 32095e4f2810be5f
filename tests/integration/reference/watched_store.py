"""Our store, looked at before and after each of its calls."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from checkroom import _core

from .disk_watch import DiskWatch


class WatchedStore:
    """A store that measures the disk around each call, and passes the call on.

    Its system calls are made outside of Python, so audit events do not show them; every change on disk happens inside
    one of these calls; the staged file is completed before the one that publishes it.
    """

    def __init__(self, store: Any, watch: DiskWatch) -> None:
        self._store = store
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def watched(*args: Any, **kwargs: Any) -> Any:
            if name == "publish":
                args[0].flush()  # a small file is written when it is published
            self._watch.measure()
            result = value(*args, **kwargs)
            if name == "publish":
                self._watch.written += result
                self._watch.publishes += 1
            self._watch.measure()
            if name in ("publish", "link_last", "trash"):
                # What was displaced or removed waits for the reaper. Saves are minutes apart in a real run: it has
                # long been there before the next one.
                self._store.drain()
            return result

        return watched


def watched_stores(watch: DiskWatch) -> AbstractContextManager[Any]:
    """Every store that is made from here on is watched."""
    make = _core.Store
    return mock.patch.object(_core, "Store", lambda *args, **kwargs: WatchedStore(make(*args, **kwargs), watch))
