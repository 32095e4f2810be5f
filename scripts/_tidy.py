"""Runs clang-tidy over what a build directory compiles, each file only when something of it changed.

A file's result is remembered under its hash: of the file, of every header of ours that it includes,
of how it is compiled, of .clang-tidy and of clang-tidy itself. Only clean results are remembered.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# GCC's flags that clang does not know are no fault of the file.
QUIET = ("--quiet", "--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-ignored-optimization-argument")


def ours(path: str, build: Path) -> Path | None:
    """The real path of a file of the project's own, None for everything else."""
    real = (build / path).resolve()
    inside = real.is_relative_to(ROOT) and not real.is_relative_to(build) and ".venv" not in real.parts
    return real if inside else None


def headers(build: Path, ninja: str) -> dict[str, list[Path]]:
    """What each object was compiled from, as ninja noted it."""
    listing = subprocess.run([ninja, "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    depends: dict[str, list[Path]] = {}
    current: list[Path] = []
    for line in listing.splitlines():
        if not line.startswith(" "):
            current = depends.setdefault(line.partition(": #deps")[0], [])
        elif (path := ours(line.strip(), build)) is not None:
            current.append(path)
    return depends


def digest(command: str, files: list[Path], common: bytes) -> str:
    """The hash under which a file's result is remembered."""
    whole = hashlib.sha256(common + command.encode())
    for path in sorted(set(files)):
        whole.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return whole.hexdigest()


def main() -> int:
    """Checks what changed; prints what clang-tidy says; 1 if it says anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="a build directory of Ninja's, built")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    build = options.build.resolve()
    beside = Path(sys.executable).parent
    tidy, ninja = str(beside / "clang-tidy"), str(beside / "ninja")

    version = subprocess.run([tidy, "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes() + " ".join(QUIET).encode()
    depends = headers(build, ninja)
    seen = build.parent / "tidy"
    seen.mkdir(exist_ok=True)

    todo: list[tuple[str, Path]] = []
    commands = json.loads((build / "compile_commands.json").read_text())
    mine = [command for command in commands if ours(command["file"], build)]
    for command in mine:
        files = [Path(command["file"]).resolve(), *depends.get(command["output"], [])]
        mark = seen / digest(command["command"], files, common)
        if mark.exists():
            mark.touch()
        else:
            todo.append((command["file"], mark))

    def check(job: tuple[str, Path]) -> bool:
        source, mark = job
        result = subprocess.run([tidy, "-p", build, *QUIET, source], capture_output=True, text=True)
        if result.returncode == 0:
            mark.touch()
            return True
        # Standard error holds counts of suppressed warnings, and the reason where clang-tidy broke.
        print(result.stdout or result.stderr, flush=True)
        return False

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        bad = [source for (source, _), clean in zip(todo, pool.map(check, todo)) if not clean]
    for source in bad:
        print(f"clang-tidy: {Path(source).relative_to(ROOT)}")
    print(f"{len(mine)} files, {len(todo)} of them changed, {len(bad)} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
