"""Two gloo processes: what rank 0 predicts alone is what it then writes, to the byte, and neither hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

SCRIPT = Path(__file__).with_name("predict_ranks_script.py")
LIMIT_SECONDS = 180  # a hang ends here instead of at the process group's half hour


def test_rank_0_predicts_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    command = [sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(command, env=environment, timeout=LIMIT_SECONDS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    predicted = json.loads((tmp_path / "predicted.json").read_text())
    written = {epoch: [True, (tmp_path / f"epoch={epoch}.ckpt").stat().st_size] for epoch in predicted}
    assert len(predicted) == 3 and predicted == written
