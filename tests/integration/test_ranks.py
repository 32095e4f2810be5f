"""Two gloo processes: one verdict for both, whatever happens to rank 0's disk; neither hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("ranks_script.py")
LIMIT_SECONDS = 180  # a hang ends here instead of at the process group's half hour


def run(folder: Path, case: str) -> tuple[dict[str, Any], str]:
    """Runs both ranks to their end; returns the end state, which has to be the same on both."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), case],
        env=environment, timeout=LIMIT_SECONDS, capture_output=True, text=True,
    )
    ends = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    output = done.stdout + done.stderr
    assert ends[0] == ends[1], output
    return ends[0], output


def loads(path: str) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("case", ["plain", "cap"])
def test_a_run_ends_alike_on_both_ranks(tmp_path: Path, case: str) -> None:
    end, output = run(tmp_path, case)
    assert end["raised"] is None, output
    assert end["epoch"] == 6
    assert loads(end["best_model_path"])["epoch"] == 5
    assert loads(end["last_model_path"])["epoch"] == 5
    on_disk = {entry.name for entry in (tmp_path / "checkpoints").glob("*.ckpt")}
    assert on_disk == {*end["items"], "last.ckpt"}


def test_a_failed_save_of_rank_0_is_rolled_back_on_both(tmp_path: Path) -> None:
    end, output = run(tmp_path, "fails")
    assert end["raised"] is None, output
    assert "was not saved" in output
    assert end["epoch"] == 6  # training went on
    assert [loads(path)["epoch"] for path in end["best_k_models"]] == [4, 5]
    assert loads(end["last_model_path"])["epoch"] == 5


def test_when_full_error_raises_on_both(tmp_path: Path) -> None:
    end, _ = run(tmp_path, "fails-error")
    assert end["raised"] == "OSError"  # the disk's own error, on the rank that did not write too
    assert [loads(path)["epoch"] for path in end["best_k_models"]] == [0]
    assert loads(end["last_model_path"])["epoch"] == 0


def test_when_full_stop_stops_both_in_good_order(tmp_path: Path) -> None:
    end, output = run(tmp_path, "fails-stop")
    assert end["raised"] is None, output
    assert end["epoch"] < 6
    assert loads(end["last_model_path"])["epoch"] == 0


def test_what_is_not_the_disks_doing_is_raised_on_both(tmp_path: Path) -> None:
    folder = tmp_path
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(SCRIPT), str(folder), "pickle"], env=environment, timeout=LIMIT_SECONDS,
                   capture_output=True)
    ends = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [end.pop("raised") for end in ends] == ["TypeError", "RuntimeError"]
    assert ends[0] == ends[1]
    assert loads(ends[0]["best_model_path"])["epoch"] == 0


def test_the_users_error_survives_and_rank_0_saves_alone(tmp_path: Path) -> None:
    end, output = run(tmp_path, "exception")
    assert end["raised"] == "RuntimeError", output
    extra = {entry.name for entry in (tmp_path / "checkpoints").glob("*.ckpt")} - {*end["items"], "last.ckpt"}
    assert len(extra) == 1
    assert loads(str(tmp_path / "checkpoints" / extra.pop()))["epoch"] == 2


def test_a_preflight_that_cannot_fit_raises_on_both(tmp_path: Path) -> None:
    end, _ = run(tmp_path, "preflight")
    assert end["raised"] == "PreflightError"
    assert end["step"] == 0
