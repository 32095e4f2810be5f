"""An include across a wall does not compile: a room sees its own headers and those that it may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Tool = Callable[..., CompletedProcess[str]]

HEADER = {
    "base": "base/error.h",
    "plan": "plan/retention.h",
    "disk": "disk/filesystem.h",
    "archive": "archive/layout.h",
    "store": "store/store.h",
}
USES: dict[str, set[str]] = {
    "base": set(),
    "plan": {"base"},
    "disk": {"base"},
    "archive": {"base"},
    "store": {"base", "plan", "disk", "archive"},
}


def test_walls(tool: Tool, sources: Path, tmp_path: Path) -> None:
    for room in HEADER:
        with (sources / "cpp" / room / "CMakeLists.txt").open("a") as lists:
            for other, header in HEADER.items():
                (sources / "cpp" / room / f"visits_{other}.cc").write_text(f'#include "{header}"\n')
                lists.write(f"\ntarget_sources(checkroom_{room} PRIVATE visits_{other}.cc)\n")
    build = tmp_path / "build"
    configured = tool("cmake", "-S", sources, "-B", build, "-G", "Ninja", "-DCHECKROOM_BUILD_PYTHON=OFF")
    assert configured.returncode == 0, configured.stderr

    allowed = {(room, other) for room in HEADER for other in {room} | USES[room]}
    compiled = set()
    for room in HEADER:
        for other, header in HEADER.items():
            target = f"cpp/{room}/CMakeFiles/checkroom_{room}.dir/visits_{other}.cc.o"
            result = tool("ninja", "-C", build, target)
            if result.returncode == 0:
                compiled.add((room, other))
            else:
                assert f"{header}: No such file or directory" in result.stdout
    assert compiled == allowed
