"""The program from outside: exit codes, one line for every error, and how fast it answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from checkroom import __version__
from checkroom.cli import main
from checkroom.cli._app import run

ROOT = Path(__file__).parents[2]
RUN_FILE = str(ROOT / "examples/vla_finetune.toml")
BASE = ["--checkpoint-size", "1GB", "--epochs", "5"]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n") and err.count("\n") == 1, err
    assert "Traceback" not in err
    return err.rstrip("\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epochs", "5", "--checkpoint-size", "6.9QB"],
         "--checkpoint-size: not a size: '6.9QB' (unknown unit 'QB'; write for example '6.9 GB', '27.6 GiB' or "
         "'500M')"),
        (["--checkpoint-size", "1GB", "--epochs", "-5"], "--epochs: less than 1: '-5' (write for example 5,10,20)"),
        (["--epochs", "5", "--from-checkpoint", "/no.ckpt"],
         "--from-checkpoint: '/no.ckpt': no such file or directory (give the path of a .ckpt file, or "
         "--checkpoint-size)"),
        (["--run", "/no.toml"], "--run: '/no.toml': no such file or directory (give the path of a run file)"),
        ([*BASE, "--save-top-k", "3"],
         "--save-top-k: '3' best of what? Without a monitor nothing ranks the files (add monitor, for example "
         "val_loss, or keep -1, 0 or 1)"),
        ([*BASE, "--parameters", "7B"],
         "--checkpoint-size '1GB' and --parameters '7B' both say how large a checkpoint is (keep one of them)"),
        ([*BASE, "--format", "xml"], "--format: not a format: 'xml' (one of table, json, markdown, csv)"),
        ([*BASE, "--misc", "a\nb"],
         "--misc: not a size: 'a b' (write for example '6.9 GB', '27.6 GiB' or '500M')"),
        ([*BASE, "--dataset", "nowhere"],
         "--dataset: neither a size nor a path that exists: 'nowhere' (write for example 5.66GB, or the path of a file "
         "or folder that exists)"),
    ],
)
def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    assert refused(capsys, "estimate", *words) == f"checkroom estimate: {line}"


@pytest.mark.parametrize(
    ("words", "start", "quote"),
    [
        (["estimate", "--epoch", "5"], "checkroom estimate: ", "--epoch"),
        (["estimate", "--epochs"], "checkroom estimate: ", "--epochs"),
        (["estimate", *BASE, "extra"], "checkroom estimate: ", "extra"),
        (["frobnicate"], "checkroom: ", "frobnicate"),
        (["--frobnicate"], "checkroom: ", "--frobnicate"),
    ],
)
def test_so_is_a_slip_in_the_usage(
    capsys: pytest.CaptureFixture[str], words: list[str], start: str, quote: str
) -> None:
    line = refused(capsys, *words)
    assert line.startswith(start) and quote in line and line.endswith("--help)")


def test_toml_errors_name_line_and_column(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("a = 1\nb = = 2\n")
    line = refused(capsys, "estimate", "--run", str(path))
    assert line == f"checkroom estimate: {path}: not TOML: Invalid value (at line 2, column 5)"


def test_an_estimate_informs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", *BASE, "--save-top-k", "-1", "--free", "2GB"]) == 0
    assert "short from epoch 2" in capsys.readouterr().out


@pytest.mark.parametrize("format", ["table", "json", "markdown", "csv"])
def test_the_example(capsys: pytest.CaptureFixture[str], format: str) -> None:
    assert run(["estimate", "--run", RUN_FILE, "--format", format]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    suffix = {"table": "table", "json": "json", "markdown": "markdown", "csv": "csv"}[format]
    if format != "table" or "COLUMNS" not in os.environ:
        assert out == (ROOT / f"tests/data/cli/vla_finetune.{suffix}").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--save-last"], True), (["--save-last", "link"], "link"), (["--save-last", "true"], True),
     (["--save-last", "--mode", "min"], True), (["--save-last=link"], "link"), (["--save-last", "false"], False)],
)
def test_save_last_may_stand_alone(capsys: pytest.CaptureFixture[str], words: list[str], expected: object) -> None:
    assert run(["estimate", *BASE, "--format", "json", *words]) == 0
    (policy,) = json.loads(capsys.readouterr().out)["policies"]
    assert policy["model_checkpoint"]["save_last"] == expected


def test_all_policy_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--save-top-k", "2", "--monitor", "loss", "--mode", "max", "--save-weights-only", "--filename", "{epoch}",
             "--every-n-train-steps", "50", "--steps-per-epoch", "100"]
    assert run(["estimate", *BASE, "--format", "json", *words]) == 0
    (policy,) = json.loads(capsys.readouterr().out)["policies"]
    assert policy["model_checkpoint"] == {
        "save_top_k": 2, "monitor": "loss", "mode": "max", "save_weights_only": True, "filename": "{epoch}",
        "every_n_train_steps": 50,
    }  # fmt: skip


def test_a_measured_dataset(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for index in range(10):
        (tmp_path / f"episode_{index}").write_bytes(b"x" * 100)
    words = ["--dataset", str(tmp_path), "--val-fraction", "0.2", "--batch-size", "3", "--format", "json"]
    assert run(["estimate", *BASE, *words]) == 0
    data = json.loads(capsys.readouterr().out)["run"]
    assert data["dataset"] == {
        "bytes": 1000, "files": 10, "mean_file_bytes": 100, "train_files": 8, "val_files": 2,
    }  # fmt: skip
    assert (data["steps_per_epoch"], data["samples"]) == (3, 8)


def test_every_key_of_a_run_file_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    from checkroom.cli import _app
    from checkroom.cli._estimate_request import FILE_KEYS

    import typer.main

    command = typer.main.get_command(_app.app).commands["estimate"]  # type: ignore[attr-defined]
    flags = {parameter.name for parameter in command.params}
    # These are for files alone: they need more than a word, or are seldom asked about.
    assert set(FILE_KEYS) - flags == {"auto_insert_metric_name", "keep", "last_as", "save_on_train_epoch_end"}
    # `help` is one of them in some versions of typer.
    assert flags - set(FILE_KEYS) - {"help"} == {"run", "config", "policy", "format", "plot"}


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"checkroom {__version__}\n"
    assert run([]) == 0
    assert "estimate" in capsys.readouterr().out
    for words in (["estimate", "--help"], ["estimate", "-h"]):
        assert run(words) == 0
        out = capsys.readouterr().out
        assert "--checkpoint-size" in out and out.count("<bool>") <= 1  # typer's own --help
    for command in ("estimate", "advise", "preflight"):
        assert run([command, "--help"]) == 0
        shown = re.sub(r"[\s│]+", "", capsys.readouterr().out)  # however it was wrapped
        assert "pipinstall'checkroom[plot]'" in shown
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0


# Refuses what a machine without PyTorch does not have.
_BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "pytorch_lightning", "numpy"):
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Refuse())
from checkroom.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["estimate", "--help"], ["preflight", "--help"], ["estimate", "--run", RUN_FILE],
     ["estimate", "--epochs", "5", "--parameters", "7B"]],
)
def test_without_pytorch(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", _BLOCK, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", ["estimate", "advise", "preflight"])
def test_help_loads_nothing_that_it_does_not_need(command: str) -> None:
    """It answers at once: benchmarks/startup_benchmark.py says how soon."""
    code = (
        "import atexit, sys\n"
        "from checkroom.cli import main\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
        f"main([{command!r}, '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split("LOADED", 1)[1].split())
    assert "checkroom.cli._flags" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "lightning", "checkroom.cli._estimate_report"}


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("ESTIMATE", f'"{sys.executable}" -m checkroom estimate {" ".join(BASE)}')
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, errors="surrogateescape",
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown"])
def test_an_output_that_takes_nothing(format: str) -> None:
    full = shell(f"ESTIMATE --format {format} >/dev/full")
    assert (full.returncode, full.stdout) == (2, "")
    assert full.stderr == (
        "checkroom estimate: cannot write the output: no space left on device (give another file, or make room)\n"
    )
    closed = shell(f"ESTIMATE --format {format} >&-")
    assert closed.returncode == 2
    assert closed.stderr.startswith("checkroom estimate: cannot write the output: it is closed (")
    assert closed.stderr.count("\n") == 1


def test_an_error_goes_to_stderr_or_nowhere() -> None:
    done = shell("ESTIMATE --misc much 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown"])
def test_a_terminal_that_knows_few_characters(format: str) -> None:
    done = shell(f"ESTIMATE --policy größer:save_top_k=1 --format {format}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr\\xf6\\xdfer" in done.stdout or "gr\\u00f6\\u00dfer" in done.stdout


@pytest.mark.parametrize("format", ["table", "json", "markdown"])
def test_a_name_that_is_no_text(tmp_path: Path, format: str) -> None:
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"d\xff"))
    done = shell(f"ESTIMATE --free '{tmp_path}/'$'d\\xff' --format {format}", PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "d\\udcff" in done.stdout.replace("\\\\", "\\")  # markdown doubles it
    refused = shell("ESTIMATE --free $'no\\xff'")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "'no\\udcff'" in refused.stderr


def test_a_reader_that_leaves_early() -> None:
    # What `| head -1` does to a writer.
    command = [sys.executable, "-m", "checkroom", "estimate", "--run", RUN_FILE, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
