"""Two gloo processes: one verdict for both, whatever happens to rank 0's disk; neither hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("ranks_script.py")
LIMIT_SECONDS = 180  # a hang ends here instead of at the process group's half hour

End = tuple[dict[str, Any], str]  # the end state, and what was printed
Run = Callable[[Path, str], tuple[list[dict[str, Any]], str]]


def environment() -> dict[str, str]:
    ranks = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {**{name: value for name, value in os.environ.items() if name not in ranks}, "OMP_NUM_THREADS": "1"}


def ends_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def run_both() -> Iterator[Run]:
    """Runs both ranks of a case in a folder; how each ended, and what they printed."""
    server = subprocess.Popen(
        [sys.executable, str(SCRIPT)], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stdin, stdout = server.stdin, server.stdout
    assert stdin is not None and stdout is not None

    def run_case(folder: Path, case: str) -> tuple[list[dict[str, Any]], str]:
        stdin.write(f"{folder}\t{case}\n")
        stdin.flush()
        answer = stdout.readline()
        output = "".join((folder / f"rank{rank}.log").read_text() for rank in (0, 1))
        assert answer == "ended\n", answer + output
        return ends_in(folder), output

    with server:
        yield run_case
        stdin.close()


@pytest.fixture
def run(run_both: Run) -> Callable[[Path, str], End]:
    """As above, for a run whose end has to be the same on both ranks."""

    def run_case(folder: Path, case: str) -> End:
        ends, output = run_both(folder, case)
        assert ends[0] == ends[1], output
        return ends[0], output

    return run_case


def loads(path: str) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def assert_whole(end: dict[str, Any], folder: Path, output: str) -> None:
    """The run came to its end and left what it says."""
    assert end["raised"] is None, output
    assert end["epoch"] == 6
    assert loads(end["best_model_path"])["epoch"] == 5
    assert loads(end["last_model_path"])["epoch"] == 5
    on_disk = {entry.name for entry in (folder / "checkpoints").glob("*.ckpt")}
    assert on_disk == {*end["items"], "last.ckpt"}


@pytest.mark.parametrize("case", ["plain", "cap"])
def test_a_run_ends_alike_on_both_ranks(run: Callable[[Path, str], End], tmp_path: Path, case: str) -> None:
    end, output = run(tmp_path, case)
    assert_whole(end, tmp_path, output)


def test_ranks_that_lightning_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "plain"],
        env=environment(), timeout=LIMIT_SECONDS, capture_output=True, text=True,
    )  # fmt: skip
    ends = ends_in(tmp_path)
    assert ends[0] == ends[1]
    assert_whole(ends[0], tmp_path, done.stdout + done.stderr)


def test_a_failed_save_of_rank_0_is_rolled_back_on_both(run: Callable[[Path, str], End], tmp_path: Path) -> None:
    end, output = run(tmp_path, "fails")
    assert end["raised"] is None, output
    assert "was not saved" in output
    assert end["epoch"] == 6  # training went on
    assert [loads(path)["epoch"] for path in end["best_k_models"]] == [4, 5]
    assert loads(end["last_model_path"])["epoch"] == 5


def test_when_full_error_raises_on_both(run: Callable[[Path, str], End], tmp_path: Path) -> None:
    end, _ = run(tmp_path, "fails-error")
    assert end["raised"] == "OSError"  # the disk's own error, on the rank that did not write too
    assert [loads(path)["epoch"] for path in end["best_k_models"]] == [0]
    assert loads(end["last_model_path"])["epoch"] == 0


def test_when_full_stop_stops_both_in_good_order(run: Callable[[Path, str], End], tmp_path: Path) -> None:
    end, output = run(tmp_path, "fails-stop")
    assert end["raised"] is None, output
    assert end["epoch"] < 6
    assert loads(end["last_model_path"])["epoch"] == 0


def test_what_is_not_the_disks_doing_is_raised_on_both(run_both: Run, tmp_path: Path) -> None:
    ends, output = run_both(tmp_path, "pickle")
    assert [end.pop("raised") for end in ends] == ["TypeError", "RuntimeError"], output
    assert ends[0] == ends[1]
    assert loads(ends[0]["best_model_path"])["epoch"] == 0


def test_the_users_error_survives_and_rank_0_saves_alone(run: Callable[[Path, str], End], tmp_path: Path) -> None:
    end, output = run(tmp_path, "exception")
    assert end["raised"] == "RuntimeError", output
    extra = {entry.name for entry in (tmp_path / "checkpoints").glob("*.ckpt")} - {*end["items"], "last.ckpt"}
    assert len(extra) == 1
    assert loads(str(tmp_path / "checkpoints" / extra.pop()))["epoch"] == 2


def test_a_preflight_that_cannot_fit_raises_on_both(run: Callable[[Path, str], End], tmp_path: Path) -> None:
    end, _ = run(tmp_path, "preflight")
    assert end["raised"] == "PreflightError"
    assert end["step"] == 0
