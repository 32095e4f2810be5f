"""Where a package of the system's is missing, the build names what to install."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Tool = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("package", "apt"),
    [
        ("fmt", "libfmt-dev"),
        ("libdeflate", "libdeflate-dev"),
        ("spdlog", "libspdlog-dev"),
        ("nlohmann_json", "nlohmann-json3-dev"),
        ("GTest", "libgtest-dev"),
    ],
)
def test_the_error_names_the_debian_package(tool: Tool, root: Path, tmp_path: Path, package: str, apt: str) -> None:
    result = tool(
        "cmake", "-S", root, "-B", tmp_path, "-G", "Ninja", "-DCHECKROOM_BUILD_PYTHON=OFF",
        "-DCHECKROOM_BUILD_TESTS=ON", f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON",
    )
    said = " ".join(result.stderr.split())
    assert result.returncode != 0
    assert f"checkroom needs {package}, which was not found" in said
    assert f"apt-get install {apt}" in said
    for name in ("g++", "libspdlog-dev", "libfmt-dev", "libdeflate-dev"):
        assert name in said


def test_fetching_is_asked_for(tool: Tool, root: Path, tmp_path: Path) -> None:
    """Nothing is downloaded unless CHECKROOM_FETCH says so."""
    result = tool(
        "cmake", "-S", root, "-B", tmp_path, "-G", "Ninja", "-DCHECKROOM_BUILD_PYTHON=OFF",
        "-DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON",
    )
    assert result.returncode != 0
    assert not (tmp_path / "_deps").exists()
