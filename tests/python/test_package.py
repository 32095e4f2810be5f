"""What `import checkroom` costs and brings along, and what the built module needs at run time."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import checkroom
import checkroom._core


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_that_is_not_pythons_own() -> None:
    """What takes time is other people's modules: benchmarks/startup_benchmark.py says how much is left."""
    before = set(json.loads(run("import json, sys; print(json.dumps(sorted(sys.modules)))")))
    after = set(json.loads(run("import checkroom, json, sys; print(json.dumps(sorted(sys.modules)))")))
    roots = {name.partition(".")[0] for name in after - before}
    assert roots - sys.stdlib_module_names == {"checkroom"}
    # Of Python's own, what is slow to load.
    assert not roots & {"asyncio", "email", "http", "importlib.metadata", "multiprocessing", "unittest", "urllib"}


# The command line too: a machine that only estimates has no torch.
@pytest.mark.parametrize("module", ["checkroom", "checkroom.cli"])
def test_import_loads_no_framework(module: str) -> None:
    loaded = json.loads(run(f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"))
    assert module in loaded
    for framework in ("torch", "lightning", "lightning_fabric", "pytorch_lightning", "numpy"):
        assert framework not in loaded


def test_help_without_torch() -> None:
    """The command line answers where torch and Lightning cannot be imported at all."""
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'pytorch_lightning', 'lightning_fabric', 'numpy'):\n"
        "    sys.modules[name] = None\n"
        "from checkroom.cli import main\n"
        "sys.argv = ['checkroom', '--help']\n"
        "main()\n"
    )
    assert "estimate" in run(code)


def test_module_needs_only_the_systems_own_libraries() -> None:
    readelf = shutil.which("readelf")
    assert readelf is not None, "readelf comes with the compiler that built the module"
    listing = subprocess.run(
        [readelf, "-d", checkroom._core.__file__], capture_output=True, text=True, check=True
    ).stdout
    needed = {line.partition("[")[2].rstrip("]") for line in listing.splitlines() if "(NEEDED)" in line}
    families = {name.partition(".so")[0] for name in needed}
    assert "libc" in families
    assert families <= {"libc", "libm", "libpthread", "libgcc_s", "libstdc++", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_module_exports_nothing_but_its_init() -> None:
    """Symbols of fmt or spdlog must not meet those of another extension in the same process."""
    readelf = shutil.which("readelf")
    assert readelf is not None
    listing = subprocess.run(
        [readelf, "-W", "--dyn-syms", checkroom._core.__file__], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines() if " FUNC " in line]
    defined = {row[7] for row in rows if row[6] != "UND" and row[4] == "GLOBAL"}
    assert "PyInit__core" in defined
    # What the standard library's templates leave behind is shared by design.
    assert {name for name in defined if not name.startswith(("_ZNSt", "_ZNKSt", "_ZSt"))} == {"PyInit__core"}


def test_types_are_shipped() -> None:
    folder = Path(checkroom.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_core.pyi").is_file()


def test_public_names_are_sorted_unique_and_there() -> None:
    assert checkroom.__all__ == sorted(set(checkroom.__all__))
    for name in checkroom.__all__:
        assert getattr(checkroom, name) is not None
    assert set(checkroom.__all__) <= set(dir(checkroom))


def test_version_has_one_home() -> None:
    assert checkroom.__version__ == importlib.metadata.version("checkroom")


def test_extras_are_those_that_the_readme_names() -> None:
    extras = importlib.metadata.metadata("checkroom").get_all("Provides-Extra")
    assert {"lightning", "pytorch-lightning", "plot", "test"} <= set(extras or [])


def test_torch_is_no_dependency() -> None:
    required = importlib.metadata.requires("checkroom") or []
    plain = {requirement for requirement in required if "extra ==" not in requirement}
    assert plain
    assert not any(requirement.startswith(("torch", "lightning", "pytorch")) for requirement in plain)


@pytest.mark.parametrize("module", ["lightning", "pytorch_lightning"])
def test_without_its_lightning_a_module_names_the_extra(module: str) -> None:
    package = module.replace("_", "-")
    code = (
        "import sys\n"
        f"sys.modules['{module}'] = None\n"
        f"try:\n    import checkroom.{module}\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    assert f"pip install 'checkroom[{package}]'" in run(code)
