"""scripts/compat without Lightning's sources: the swap reaches every process, the comparison names each difference."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("lightning") is None:
    pytest.skip("needs lightning", allow_module_level=True)

COMPAT = Path(__file__).parents[1] / "compat"
VERSION = "2.6.5"

# As a test of Lightning's might: it imports the class at the top, and a process that it spawns imports it again.
SUITE = '''
import multiprocessing

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.callbacks import model_checkpoint


def whose(*classes):
    return {cls.__module__.partition(".")[0] for cls in classes}


def child(queue):
    from lightning.pytorch.callbacks import ModelCheckpoint
    queue.put(ModelCheckpoint.__module__)


def test_names(tmp_path):
    default = Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu").checkpoint_callback
    assert whose(ModelCheckpoint, model_checkpoint.ModelCheckpoint, type(default)) == {"checkroom"}


def test_spawned():
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=120) == "checkroom.lightning"
    process.join()


def test_passes():
    pass


def test_is_skipped():
    pytest.skip("for a reason")


@pytest.mark.xfail(strict=False)
def test_is_known_to_fail():
    assert False


@pytest.fixture
def broken():
    yield
    raise OSError("no teardown")


def test_whose_teardown_fails(broken):
    pass
'''


def run(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Script -> what became of each test of SUITE."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_it.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    found = {}
    for script, some in (("lightning_suite.py", ["-k", "not spawned"]), ("with_checkroom.py", [])):
        result = run(COMPAT / script, folder / "out.json", "-q", "-p", "no:cacheprovider", *some, cwd=folder)
        assert result.returncode == 0, result.stdout + result.stderr
        found[script] = json.loads((folder / "out.json").read_text())
    return found


def test_ours_is_swapped_in_for_tests_trainers_and_spawned_processes(outcomes: dict[str, dict[str, Any]]) -> None:
    names = "test_it.py::test_names"
    assert outcomes["lightning_suite.py"][names]["outcome"] == "failed"
    assert outcomes["with_checkroom.py"][names]["outcome"] == "passed"
    assert outcomes["with_checkroom.py"]["test_it.py::test_spawned"]["outcome"] == "passed"


def test_outcomes_are_written_down_with_the_reason(outcomes: dict[str, dict[str, Any]]) -> None:
    found = outcomes["lightning_suite.py"]
    assert {name.partition("::")[2]: result["outcome"] for name, result in found.items()} == {
        "test_names": "failed",
        "test_passes": "passed",
        "test_is_skipped": "skipped",
        "test_is_known_to_fail": "xfailed",
        "test_whose_teardown_fails": "error",
    }
    assert "for a reason" in found["test_it.py::test_is_skipped"]["why"]
    assert "no teardown" in found["test_it.py::test_whose_teardown_fails"]["why"]


def compared(
    folder: Path, ours: dict[str, str], expected: str = "", version: str = VERSION
) -> subprocess.CompletedProcess[str]:
    """The comparison of three tests that pass with Lightning's class with what ours makes of them."""
    theirs = {f"a/test_a.py::test_{name}": "passed" for name in ("one", "two[1-a]", "two[2-a]")}
    theirs["a/test_a.py::test_broken"] = "failed"
    for name, tests in (("theirs", theirs), ("ours", {**theirs, **ours})):
        content = {test: {"outcome": outcome, "why": f"why {outcome}"} for test, outcome in tests.items()}
        (folder / name).write_text(json.dumps(content))
    (folder / "expected.toml").write_text(expected)
    arguments = ("--version", version, "--expected", "expected.toml", "theirs", "ours")
    return run(COMPAT / "compare.py", *arguments, cwd=folder)


def entry(test: str, since: str = "2.4") -> str:
    return f'[[difference]]\ntest = "{test}"\nsince = "{since}"\nreason = "it counts calls"\n'


def test_no_difference(tmp_path: Path) -> None:
    result = compared(tmp_path, {})
    assert result.returncode == 0
    assert "3 / 1 / 0" in result.stdout
    assert "Passing with Lightning's class only: 0" in result.stdout


@pytest.mark.parametrize("outcome", ["failed", "error", "skipped", "xfailed"])
def test_a_difference_without_a_reason_is_named_and_fails(outcome: str, tmp_path: Path) -> None:
    result = compared(tmp_path, {"a/test_a.py::test_one": outcome})
    assert result.returncode == 1
    assert f"a/test_a.py::test_one: {outcome}\n      why {outcome}\n      NOT EXPLAINED" in result.stdout


def test_a_difference_with_a_reason_is_named_with_it(tmp_path: Path) -> None:
    ours = {"a/test_a.py::test_two[1-a]": "failed"}
    result = compared(tmp_path, ours, entry("a/test_a.py::test_two[1-*]"))
    assert result.returncode == 0
    assert "expected: it counts calls" in result.stdout
    assert compared(tmp_path, ours, entry("a/test_a.py::test_two[2-*]")).returncode == 1


def test_a_reason_holds_from_its_version_on(tmp_path: Path) -> None:
    ours = {"a/test_a.py::test_one": "failed"}
    for version, status in (("2.10.0", 0), ("2.6.0", 0), ("2.5.6", 1)):
        assert compared(tmp_path, ours, entry("a/test_a.py::test_one", "2.6"), version).returncode == status


def test_a_reason_for_a_test_that_passes_is_out_of_date(tmp_path: Path) -> None:
    result = compared(tmp_path, {}, entry("a/test_a.py::test_one"))
    assert result.returncode == 1
    assert "Out of date in expected.toml: a/test_a.py::test_one" in result.stdout
    # A test that was not run, or that fails with both, says nothing.
    assert compared(tmp_path, {}, entry("b/*") + entry("a/test_a.py::test_broken")).returncode == 0


def test_what_passes_with_ours_only_is_named(tmp_path: Path) -> None:
    result = compared(tmp_path, {"a/test_a.py::test_broken": "passed"})
    assert result.returncode == 0
    assert "Passing with ours only: 1\n  a/test_a.py::test_broken" in result.stdout


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    result = compared(tmp_path, {}, '[[difference]]\ntest = "a"\nsince = "2.4"\nreason = " "\n')
    assert result.returncode != 0
    assert "does not have exactly" in result.stderr


def test_the_list_that_is_checked_in_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("{}")
    arguments = ("--version", VERSION, "--expected", COMPAT / "expected.toml", "none", "none")
    assert run(COMPAT / "compare.py", *arguments, cwd=tmp_path).returncode == 0


def selected(folder: Path) -> list[str]:
    result = run(COMPAT / "compare.py", "--select", folder, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_selection_is_of_tests_that_this_release_has(tmp_path: Path) -> None:
    tests = tmp_path / "tests" / "tests_pytorch"
    for name in ("checkpointing/test_a.py", "callbacks/test_model_checkpoint_new.py", "callbacks/test_timer.py"):
        (tests / name).parent.mkdir(parents=True, exist_ok=True)
        (tests / name).touch()
    left_out = "--ignore-glob=*/test_legacy_checkpoints.py"
    assert selected(tmp_path) == ["callbacks/test_model_checkpoint_new.py", "checkpointing", left_out]
    # Somebody has put the old checkpoints there.
    legacy = tmp_path / "tests" / "legacy" / "checkpoints" / "1.0.0"
    legacy.mkdir(parents=True)
    (legacy / "a.ckpt").touch()
    assert left_out not in selected(tmp_path)


def test_a_folder_that_is_not_lightnings_is_refused(tmp_path: Path) -> None:
    script = COMPAT.parents[1] / "scripts" / "compat"
    for arguments, said in (([tmp_path], "no tests/tests_pytorch"), ([], "usage"), (["--wider"], "--wider")):
        result = subprocess.run([script, *map(str, arguments)], text=True, capture_output=True, timeout=60)
        assert result.returncode == 1
        assert said in result.stderr
