"""Real filesystems of a known size, for tests that fill them. They need the privilege to mount."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# What mkfs asks for at least; a smaller wish is rounded up.
_LEAST = {"tmpfs": 0, "ext4": 8_000_000, "xfs": 320_000_000, "btrfs": 160_000_000}
_MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        pytest.skip(f"privilege: {command[0]} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def _mount(kind: str, size: int, image: Path, point: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"privilege: mounting a {kind} needs root")
    size = max(size, _LEAST[kind])
    if kind == "tmpfs":
        _run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(point)])
        return
    if shutil.which(_MKFS[kind][0]) is None:
        pytest.skip(f"privilege: {_MKFS[kind][0]} is not installed")
    with open(image, "wb") as file:
        file.truncate(size)
    _run([*_MKFS[kind], str(image)])
    _run(["mount", "-t", kind, "-o", "loop", str(image), str(point)])


@pytest.fixture
def small_filesystem(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """``small_filesystem(kind, size)``: a fresh tmpfs, ext4, xfs or btrfs of about ``size`` bytes; its mount point."""
    points: list[Path] = []

    def make(kind: str, size: int) -> Path:
        point = tmp_path / f"{kind}{len(points)}"
        point.mkdir()
        _mount(kind, size, tmp_path / f"{kind}{len(points)}.img", point)
        points.append(point)
        return point

    yield make
    for point in points:
        # Lazily: a failed test may have left a file open in there.
        if subprocess.run(["umount", str(point)], capture_output=True).returncode != 0:
            subprocess.run(["umount", "-l", str(point)], capture_output=True, check=False)
