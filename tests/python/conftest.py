"""What several tests of this folder share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, ContextManager

import pytest

_NOBODY = 65534


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder of the test's own that every user may enter; pytest's ``tmp_path`` is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


@pytest.fixture
def nobody() -> Callable[[], ContextManager[None]]:
    """Makes a block run without root's right to read everything; changes nothing for another user."""

    @contextmanager
    def without_privileges() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(_NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return without_privileges
