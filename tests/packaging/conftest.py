"""Where the build's own tools and sources are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a tool of the environment that the tests run in: cmake, ninja, pip's python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def call(name: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        found = shutil.which(name, path=path)
        assert found is not None, f"{name} is not installed"
        # CMake folds the lines of an error to the width of the terminal.
        environment = {**os.environ, "PATH": path, "COLUMNS": "1000"}
        return subprocess.run(
            [found, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
        )

    return call


@pytest.fixture
def sources(tmp_path: Path, root: Path) -> Path:
    """A copy of what the C++ build reads."""
    copy = tmp_path / "sources"
    copy.mkdir()
    shutil.copy(root / "CMakeLists.txt", copy)
    for folder in ("cmake", "cpp"):
        shutil.copytree(root / folder, copy / folder)
    return copy
