"""`pip install .` into a clean virtual environment, as a user does it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest


@pytest.mark.skipif(os.environ.get("CHECKROOM_FULL") != "1", reason="takes minutes: scripts/test --full")
def test_install_into_a_clean_environment(root: Path, tmp_path: Path) -> None:
    # A copy of what git knows: what lies beside it in this checkout must not help.
    source = tmp_path / "source"
    source.mkdir()
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((root / name).read_bytes())

    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # The compiler and its tools, not this test environment's cmake, ninja or Python.
    here = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != here)

    def run(*command: str | Path) -> str:
        result = subprocess.run(
            [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run(binaries / "python", "-m", "pip", "install", source)
    assert run(binaries / "python", "-c", "import checkroom; print(checkroom.parse_size('6.9 GB'))") == "6900000000\n"
    assert "estimate" in run(binaries / "checkroom", "--help")
    installed = run(binaries / "python", "-m", "pip", "list", "--format", "freeze")
    assert "checkroom==" in installed
    assert "torch" not in installed and "lightning" not in installed
