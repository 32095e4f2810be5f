"""The README's code runs as it stands, and what it shows is what is printed."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _finetuned import save_finetuned
from _harness import package

import checkroom
from checkroom._options import GuardOptions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Without the preflight of a script: test_preflight_command.py runs that on real scripts."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("checkroom ")]
    return [line for line in lines if not line.startswith("checkroom preflight ")]


def answer(command: str) -> str:
    words = [sys.executable, "-m", *shlex.split(command, comments=True)]
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert re.findall(r"^```(\w*)$", README, re.MULTILINE).count("") == README.count("```") / 2
    assert {"sh", "python", "text"} == set(re.findall(r"^```(\w+)$", README, re.MULTILINE))
    assert len(commands()) == 4 and len(blocks("python")) == 2 and len(blocks("text")) == 4


@pytest.mark.parametrize("command", commands())
def test_a_command(command: str) -> None:
    assert answer(command)


def test_what_the_estimate_shows() -> None:
    shown = next(block for block in blocks("text") if block.startswith("One checkpoint"))
    assert answer(commands()[0]).startswith(shown)


def test_what_a_file_shows(tmp_path: Path) -> None:
    save_finetuned(str(tmp_path / "last.ckpt"))
    done = subprocess.run(
        [sys.executable, "-m", "checkroom", "estimate", "--from-checkpoint", "last.ckpt"],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    shown = next(block for block in blocks("text") if "What is in it, by key" in block)
    # How long the pickle is, and with it the last digits of the file, depends on PyTorch.
    same = [[line for line in text.splitlines() if not line.startswith(("zip and", "the file"))] for text in (
        done.stdout, shown,
    )]  # fmt: skip
    assert same[0] == same[1] and len(same[0]) > 10


def test_the_example_of_a_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lightning = package("lightning")
    model = lightning.model_class([1.0 / (1 + step) for step in range(100)])

    class Data(lightning.pl.LightningDataModule):  # type: ignore[misc,name-defined]
        def train_dataloader(self) -> Any:
            import torch

            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=2)

        val_dataloader = train_dataloader

    names: dict[str, Any] = {"model": model, "data": Data()}
    exec(blocks("python")[0], names)
    assert names["trainer"].current_epoch == 20
    assert names["checkpoint"].guard_options.cap == 100_000_000_000
    assert len(os.listdir("runs/vla")) == 4 and os.path.exists("runs/vla/last.ckpt")


def test_the_example_of_a_loop_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(blocks("python")[1], {}, "README.md", "README.md", 0)
    said: list[str] = []
    assert len(test.examples) > 5
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


def test_the_table_of_arguments() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*) \|$", README, re.MULTILINE)
    parameters = inspect.signature(GuardOptions).parameters
    assert {name: eval(default) for name, default, _ in rows} == {
        name: parameter.default for name, parameter in parameters.items()
    }
    (keep,) = [re.search(r"`(\[.*\])`", meaning) for name, _, meaning in rows if name == "keep"]
    assert keep is not None
    assert len(GuardOptions(keep=eval(keep[1], vars(checkroom))).rules) == 3


def test_the_packages_are_those_that_the_scripts_install() -> None:
    build = re.search(r"^build_packages=\((.*)\)$", (ROOT / "scripts/_setup.sh").read_text(), re.MULTILINE)
    line = re.search(r"apt-get install -y (.*?) +#", blocks("sh")[0])
    assert build is not None and line is not None
    assert set(line[1].split()) == {*build[1].split(), "python3-venv", "python3-dev"}


def test_links_lead_somewhere() -> None:
    paths = [path for path in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in path]
    paths += re.findall(r"`((?:examples|scripts|docs)/[\w./]+)`", README)
    assert len(paths) > 6
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 30 MiB."""
    point = tmp_path / "small"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30M", "tmpfs", str(point)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"privilege: mount failed: {done.stderr.strip()}")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def test_what_a_tight_disk_shows(small_disk: Path) -> None:
    """Every line that the README shows is printed, in that order, apart from the path and the times."""
    script = [sys.executable, str(ROOT / "examples/tight_disk.py"), str(small_disk)]
    done = subprocess.run(script, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

    def plain(text: str) -> list[str]:
        return re.sub(r" in \d+\.\d s", " in 0.0 s", text).splitlines()

    printed = iter(plain(done.stderr.replace(str(small_disk), "/mnt/small")))
    shown = [line for block in blocks("text") if "checkroom" in block.split()[0] for line in plain(block)]
    assert len(shown) == 20
    for line in shown:
        assert line in printed, f"{line!r} is not printed, or not there:\n{done.stderr}"  # goes on where it stopped


def test_a_large_disk_is_not_filled() -> None:
    script = [sys.executable, str(ROOT / "examples/tight_disk.py"), "/"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 2 and "is on a filesystem of more than 100 MB" in done.stderr
