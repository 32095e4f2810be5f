"""What goes along into a script: it needs nothing of ours there, and a process that has its verdict ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkroom._sentinel.verdict import FORMAT, VARIABLE, requested, write
from checkroom.cli._script import place_sentinel

# A trainer as conclude() sees it. The handlers around it are a script's.
_SCRIPT = """
import atexit, sys, types
from checkroom_sentinel.verdict import conclude

class RichProgressBar:
    pass
class ProgressBar(RichProgressBar):
    def teardown(self, trainer, module, stage):
        print("the cursor is shown again")
class SaveConfigCallback:
    overwrite, save_to_log_dir, already_saved, config_filename = False, True, True, "config.yaml"

def barrier(name):
    print("met")
    if "fails" in sys.argv:
        raise RuntimeError("a rank has gone")

trainer = types.SimpleNamespace(
    local_rank=int(sys.argv[1]), is_global_zero=sys.argv[1] == "0", callbacks=[ProgressBar(), SaveConfigCallback()],
    lightning_module=None, log_dir=".", strategy=types.SimpleNamespace(barrier=barrier),
)
atexit.register(print, "at exit")
try:
    conclude(trainer, {"state": "done"})
except BaseException:
    print("caught")
finally:
    print("finally")
print("went on")
"""


def run(folder: Path, *words: str, verdict: Path) -> subprocess.CompletedProcess[str]:
    """Without site-packages: only the standard library and the folder are there."""
    place = folder / "path"
    place.mkdir()
    place_sentinel(place)
    return subprocess.run(
        [sys.executable, "-S", "-c", _SCRIPT, *words], cwd=folder, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(place), VARIABLE: str(verdict)},
    )


@pytest.mark.parametrize("fails", [(), ("fails",)])
def test_a_process_ends_with_its_verdict(tmp_path: Path, fails: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").touch()
    done = run(tmp_path, "0", *fails, verdict=tmp_path / "verdict.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the cursor is shown again\nmet\n", "")
    assert json.loads((tmp_path / "verdict.json").read_text()) == {"format": FORMAT, "state": "done"}
    assert not (tmp_path / "config.yaml").exists()


def test_one_rank_of_a_node_writes(tmp_path: Path) -> None:
    done = run(tmp_path, "1", verdict=tmp_path / "verdict.json")
    assert (done.returncode, done.stdout) == (0, "the cursor is shown again\nmet\n")
    assert not (tmp_path / "verdict.json").exists()


def test_a_verdict_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "0", verdict=tmp_path / "gone" / "verdict.json")
    assert done.returncode == 3
    assert "met" in done.stdout  # the others are not left waiting
    assert done.stderr.startswith("checkroom: the verdict could not be written to ")


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    write(str(path), {"a": 1})
    write(str(path), {"b": 2})
    assert json.loads(path.read_text()) == {"b": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert requested() is None
    monkeypatch.setenv(VARIABLE, "")
    assert requested() is None
    monkeypatch.setenv(VARIABLE, "/a")
    assert requested() == "/a"


def test_the_entry_points_are_found(tmp_path: Path) -> None:
    place_sentinel(tmp_path)
    code = (
        "from importlib.metadata import entry_points\n"
        "for group in ('lightning.pytorch.callbacks_factory', 'pytorch_lightning.callbacks_factory'):\n"
        "    print(*(each.value for each in entry_points(group=group)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True,
        capture_output=True, text=True,
    )
    assert done.stdout.splitlines() == [
        "checkroom_sentinel.for_lightning:callbacks", "checkroom_sentinel.for_pytorch_lightning:callbacks",
    ]
