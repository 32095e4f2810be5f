"""``checkroom preflight --`` on real scripts: no batch is trained, nothing of ours stays, the verdict is right."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")

SCRIPTS = Path(__file__).with_name("scripts")
LIMIT_SECONDS = 300
TOO_MUCH = "100000GB"  # no disk leaves so much free
# Lightning is compiled once for all these scripts, wherever its own bytecode may not be written.
BYTECODE = tempfile.TemporaryDirectory(prefix="checkroom-bytecode-")
# What the scripts themselves leave.
OF_THE_SCRIPT = {"validated", "slow", "went-on"}


HIDES_CHECKROOM = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "checkroom" else find(name, *more)
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHECKROOM", "COV_"))}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        kept.pop(name, None)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": BYTECODE.name, **more}


def preflight(
    folder: Path, *words: object, options: tuple[str, ...] = (), more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command in ``folder``; whatever it answers, no batch was trained."""
    done = subprocess.run(
        [sys.executable, "-m", "checkroom", "preflight", *options, "--", *map(str, words)],
        cwd=folder, env=environment(**(more or {})), timeout=LIMIT_SECONDS, capture_output=True, text=True,
    )
    assert not (folder / "a-batch-was-trained").exists(), done.stderr
    return done


def script(name: str, *words: object) -> tuple[object, ...]:
    return (sys.executable, SCRIPTS / name, *words)


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - OF_THE_SCRIPT


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    """What the command says on stdout after the script's own words; the one line of an error where it is 2."""
    assert done.returncode == code, done.stdout + done.stderr
    if code != 2:
        return done.stdout[done.stdout.index("checkroom preflight of") :]
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("checkroom preflight: ")
    assert not any(line.startswith("checkroom preflight: ") for line in lines[:-1])
    return lines[-1]


# -- the four scripts


def test_a_plain_trainer(tmp_path: Path) -> None:
    done = preflight(tmp_path, *script("plain.py"))
    report = said(done, 0)
    assert f"checkroom preflight of {tmp_path}/checkpoints" in report
    assert "one checkpoint" in report and "in 2 files" in report and "verdict         fits" in report
    assert "the script says this on stdout" in done.stdout
    assert "the script says this on stderr" in done.stderr
    assert "came to its end" not in done.stdout
    assert left_in(tmp_path) == set()


def test_its_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "out.svg"
    report = said(preflight(tmp_path, *script("plain.py"), options=("--plot", str(picture))), 0)
    peak = re.search(r"at the peak .* to (.*); with Lightning alone .* to (.*)", report)
    assert peak is not None, report
    words = " ".join(" ".join(text.itertext()) for text in ElementTree.parse(picture).iter() if "text" in text.tag)
    assert f"checkpoints, checkroom: peak {peak[1]}" in words
    assert f"checkpoints, Lightning alone: peak {peak[2]}" in words
    assert "checkpoints, kB" in words and "epochs" in words


def test_what_it_forecasts_is_what_the_run_does(tmp_path: Path) -> None:
    done = preflight(tmp_path, *script("plain.py"), options=("--format", "json"))
    (callback,) = json.loads(done.stdout)["callbacks"]
    subprocess.run(list(map(str, script("plain.py"))), cwd=tmp_path, env=environment(), check=True, capture_output=True)
    files = list((tmp_path / "checkpoints").glob("*.ckpt"))
    assert len(files) == callback["figures"]["files"]["least"] == 2
    assert callback["figures"]["exact"]
    assert {file.stat().st_size for file in files} == {callback["figures"]["checkpoint_bytes"]}
    assert callback["figures"]["run_spec"]["max_epochs"] == 4


def test_lightning_cli_from_yaml(tmp_path: Path) -> None:
    words = script("cli.py", "fit", "--config", SCRIPTS / "cli.yaml")
    report = said(preflight(tmp_path, *words), 0)
    assert f"preflight of {tmp_path}/checkpoints" in report
    # A config.yaml that stayed would keep the run itself from starting.
    assert left_in(tmp_path) == set()


def test_lightning_cli_whose_yaml_names_lightnings_own(tmp_path: Path) -> None:
    config = (SCRIPTS / "cli.yaml").read_text().replace("checkroom.lightning.", "lightning.pytorch.callbacks.")
    without = [line for line in config.splitlines() if "min_free" not in line and "keep:" not in line]
    (tmp_path / "cli.yaml").write_text("\n".join(without))
    line = said(preflight(tmp_path, *script("cli.py", "fit", "--config", "cli.yaml")), 2)
    assert "'class_path: checkroom.lightning.ModelCheckpoint'" in line
    assert left_in(tmp_path) == {"cli.yaml"}


def test_two_processes(tmp_path: Path) -> None:
    report = said(preflight(tmp_path, *script("ranks.py", "0", "ddp")), 0)
    assert report.count("checkroom preflight of") == 1
    assert left_in(tmp_path) == set()


def test_two_processes_of_torchrun(tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    report = said(preflight(tmp_path, *launcher, SCRIPTS / "ranks.py", TOO_MUCH, "ddp"), 1)
    assert "verdict         does not fit" in report
    assert left_in(tmp_path) == set()


def test_two_spawned_processes(tmp_path: Path) -> None:
    # The launcher waits for a result that its ranks do not send: the command ends it.
    said(preflight(tmp_path, *script("ranks.py", "0", "ddp_spawn")), 0)
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize(("floor", "code"), [("0", 0), (TOO_MUCH, 1)])
def test_a_script_that_swallows_exceptions(tmp_path: Path, floor: str, code: int) -> None:
    done = preflight(tmp_path, *script("swallows.py", floor))
    assert ("does not fit" in said(done, code)) == bool(code)
    assert "swallowed" not in done.stdout
    assert left_in(tmp_path) == set()
    assert not (tmp_path / "went-on").exists()


# -- which package, how it is started


def test_pytorch_lightning(tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    more = {"TINY_PACKAGE": "pytorch_lightning"}
    done = preflight(tmp_path, *script("plain.py"), options=("--format", "json"), more=more)
    data = json.loads(done.stdout)
    assert data["verdict"] == "fits"
    assert data["lightning"]["package"] == "pytorch_lightning"
    line = said(preflight(tmp_path, *script("plain.py", "--callback", "theirs"), more=more), 2)
    assert "'from checkroom.pytorch_lightning import ModelCheckpoint'" in line
    assert "'from pytorch_lightning.callbacks import ModelCheckpoint'" in line


def test_an_executable_file_whose_preflight_is_off(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(f"#!{sys.executable}\n" + (SCRIPTS / "plain.py").read_text())
    file.chmod(0o755)
    more = {"PYTHONPATH": str(SCRIPTS)}  # an entry of the user's stays
    said(preflight(tmp_path, "train.py", "--save-last", "--preflight", "off", more=more), 0)
    assert left_in(tmp_path) == {"train.py"}


def test_a_package(tmp_path: Path) -> None:
    more = {"PYTHONPATH": str(SCRIPTS)}
    said(preflight(tmp_path, sys.executable, "-m", "packaged", "--epochs", "3", more=more), 0)


# -- what a script's trainer may have


@pytest.mark.parametrize("callback", ["theirs", "default"])
def test_lightnings_own_callback(tmp_path: Path, callback: str) -> None:
    line = said(preflight(tmp_path, *script("plain.py", "--callback", callback)), 2)
    assert "'from checkroom.lightning import ModelCheckpoint'" in line
    assert "'from lightning.pytorch.callbacks import ModelCheckpoint'" in line
    assert left_in(tmp_path) == set()


def test_no_callback_at_all(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = preflight(tmp_path, *script("plain.py", "--callback", "none"), more={"TMPDIR": str(temporary)})
    assert "the Trainer has no ModelCheckpoint" in said(done, 2)
    assert [path for path in temporary.iterdir() if path.name.startswith("checkroom")] == []


def test_lightnings_own_beside_ours(tmp_path: Path) -> None:
    report = said(preflight(tmp_path, *script("plain.py", "--callback", "theirs-too")), 0)
    assert "not counted: lightning.pytorch.callbacks.ModelCheckpoint" in report


def test_the_worst_of_several(tmp_path: Path) -> None:
    words = script("plain.py", "--directories", "one", "two", "--second-min-free", TOO_MUCH)
    done = preflight(tmp_path, *words, options=("--format", "json"))
    assert done.returncode == 1, done.stderr
    data = json.loads(done.stdout)
    assert [entry["verdict"] for entry in data["callbacks"]] == ["fits", "does_not_fit"]
    assert [entry["directory"] for entry in data["callbacks"]] == [f"{tmp_path}/one", f"{tmp_path}/two"]
    assert data["verdict"] == "does_not_fit"
    assert left_in(tmp_path) == set()


def test_what_only_the_most_exceeds(tmp_path: Path) -> None:
    # Two files of 38 kB at rest and the next one beside them; the cap holds two.
    report = said(preflight(tmp_path, *script("plain.py", "--max-size", "100kB")), 1)
    assert "verdict         may not fit" in report
    assert left_in(tmp_path) == set()


@pytest.fixture
def silent_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem that does not say what it has."""
    point = tmp_path / "ram"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "ramfs", "ramfs", str(point)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"privilege: mount failed: {done.stderr.strip()}")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_a_filesystem_that_does_not_say_what_is_free(tmp_path: Path, silent_disk: Path) -> None:
    """Without a cap nobody can say; the figures are there. With one, the cap decides."""
    words = script("plain.py", "--directories", silent_disk / "run")
    done = preflight(tmp_path, *words)
    line = said(done, 2)
    assert line.endswith(": ramfs does not say what is free (give max_size: the cap then decides)")
    assert "at the peak" in done.stdout and "verdict         unknown: ramfs" in done.stdout
    assert "fits" not in done.stdout
    report = said(preflight(tmp_path, *words, "--max-size", "10MB"), 0)
    assert "to spare of the cap, which alone decides" in report
    assert "verdict         may not fit" in said(preflight(tmp_path, *words, "--max-size", "100kB"), 1)
    assert list(silent_disk.iterdir()) == []


def test_fast_dev_run(tmp_path: Path) -> None:
    assert "fast_dev_run" in said(preflight(tmp_path, *script("plain.py", "--fast-dev-run")), 2)


def test_saves_that_are_not_guarded(tmp_path: Path) -> None:
    line = said(preflight(tmp_path, *script("plain.py", "--async-io")), 2)
    assert "cannot guard this run" in line and "AsyncCheckpointIO wraps the writing, and may do it later" in line
    assert left_in(tmp_path) == set()


def test_a_callback_whose_preflight_does_not_happen(tmp_path: Path) -> None:
    line = said(preflight(tmp_path, *script("plain.py", "--callback", "overridden")), 2)
    assert "Overridden made no preflight" in line
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_validation_first_a_silent_log_and_a_logger(tmp_path: Path) -> None:
    done = preflight(tmp_path, *script("plain.py", "--validate", "--silent", "--logger", "--save-last"))
    assert "verdict         fits" in said(done, 0)
    assert not (tmp_path / "checkpoints").exists()


def test_a_resumed_run_leaves_its_directory_as_it_was(tmp_path: Path) -> None:
    done = subprocess.run(
        list(map(str, script("plain.py", "--save-top-k", "3"))), cwd=tmp_path, env=environment(), check=True,
        capture_output=True,
    )
    assert done.returncode == 0
    (tmp_path / "a-batch-was-trained").unlink()
    directory = tmp_path / "checkpoints"
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert len(before) == 3
    newest = max(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    words = script("plain.py", "--epochs", "9", "--save-top-k", "2", "--ckpt-path", newest)
    done = preflight(tmp_path, *words, options=("--format", "json"))
    assert done.returncode == 0, done.stderr
    (callback,) = json.loads(done.stdout)["callbacks"]
    assert callback["figures"]["run_spec"]["start_epoch"] > 0
    assert len(callback["leaving"]) == 1 and callback["leaving"][0]["name"] in before
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before


# -- scripts that never come to a first batch


def test_a_crash_before_fit(tmp_path: Path) -> None:
    done = preflight(tmp_path, *script("plain.py", "--crash", "before"))
    assert "ended with exit code 1 before the first batch of a Trainer" in said(done, 2)
    assert "RuntimeError: the data are not there" in done.stderr


def test_a_crash_inside_of_fit_is_named(tmp_path: Path) -> None:
    line = said(preflight(tmp_path, *script("plain.py", "--crash", "inside")), 2)
    assert "a fit was left with TypeError: An invalid dataloader" in line


def test_no_fit(tmp_path: Path) -> None:
    done = preflight(tmp_path, *script("plain.py", "--no-fit"))
    assert "ended with exit code 0 before the first batch of a Trainer (is fit called?" in said(done, 2)
    assert "the script came to its end" in done.stdout


def hears_interrupts() -> None:
    # What a shell starts in the background inherits that SIGINT is ignored, these tests included.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "checkroom", "preflight", "--", *map(str, script("plain.py", "--slow"))]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, preexec_fn=hears_interrupts
    ) as process:
        assert process.stderr is not None
        while not (tmp_path / "slow").exists():
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_SECONDS) == 130
        assert "KeyboardInterrupt" in process.stderr.read()  # Lightning heard of it


# -- where the script's Python is not ours


def test_a_python_without_checkroom(tmp_path: Path) -> None:
    """The sentinel works alone, and the line says what is missing."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HIDES_CHECKROOM)
    file = tmp_path / "train.py"
    text = (SCRIPTS / "tiny.py").read_text().replace('ours = importlib.import_module(f"checkroom.{PACKAGE}")', "")
    file.write_text(text + "\npl.Trainer(**TRAINER).fit(TinyModel())\n")
    # Of the script alone: the command itself needs checkroom.
    hidden = f'PYTHONPATH="{site}:$PYTHONPATH" exec "{sys.executable}" "{file}"'
    line = said(preflight(tmp_path, "/bin/sh", "-c", hidden), 2)
    assert f"install checkroom there: {sys.executable} has none" in line
