"""Two processes train together; rank 0's disk fails at chosen saves; each rank writes down how it ended.

    python ranks_script.py FOLDER CASE    one run; Lightning starts the other rank itself
    python ranks_script.py                serves runs: reads FOLDER, a tab, CASE a line; answers each with a line

What serves has imported everything and forks both ranks of each run, as torchrun would start them.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from checkroom import _guard
from checkroom.lightning import ModelCheckpoint

LIMIT_SECONDS = 180  # a hang ends here instead of at the process group's half hour
SCORES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)


class Model(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Any, _index: int) -> torch.Tensor:
        if os.environ.get("CASE") == "exception" and self.current_epoch == 2 and _index == 1:
            raise RuntimeError("the user's own error")
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.log("val_loss", SCORES[self.current_epoch], sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def break_disk(failing: set[int], error: BaseException) -> None:
    """The n-th save of this process fails as a disk would."""
    original, count = _guard.Guard.save, [0]

    def save(self: Any, *arguments: Any, **more: Any) -> int:
        count[0] += 1
        if count[0] - 1 in failing:
            raise error
        return original(self, *arguments, **more)

    _guard.Guard.save = save  # type: ignore[method-assign]


def run(folder: Path, case: str) -> None:
    """One rank of one run."""
    os.environ["CASE"] = case
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    torch.manual_seed(1)
    arguments: dict[str, Any] = {}
    if rank == 0 and case in ("fails", "fails-error", "fails-stop"):
        break_disk({1, 2}, OSError(errno.EIO, "Input/output error", "disk"))
    if rank == 0 and case == "pickle":
        break_disk({1}, TypeError("cannot pickle this"))
    if case == "fails-error":
        arguments["when_full"] = "error"
    if case == "fails-stop":
        arguments["when_full"] = "stop"
    if case == "cap":
        arguments["max_size"] = "12 kB"
    if case == "exception":
        arguments["save_on_exception"] = True
    if case == "preflight":
        arguments["min_free"] = "1 EB"
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints", monitor="val_loss", save_top_k=2, save_last=True,
        **{"min_free": 0, **arguments},
    )
    data = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2)
    trainer = Trainer(
        max_epochs=len(SCORES), accelerator="cpu", devices=2, strategy="ddp", callbacks=[checkpoint], logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )
    raised = None
    try:
        trainer.fit(Model(), data, data)
    except BaseException as error:
        raised = type(error).__name__
    end = {
        "raised": raised,
        "epoch": trainer.current_epoch,
        "step": trainer.global_step,
        "best_model_path": checkpoint.best_model_path,
        "best_model_score": None if checkpoint.best_model_score is None else float(checkpoint.best_model_score),
        "best_k_models": {path: float(score) for path, score in checkpoint.best_k_models.items()},
        "last_model_path": checkpoint.last_model_path,
        "kth_best_model_path": checkpoint.kth_best_model_path,
        "saved": [checkpoint._last_checkpoint_saved, checkpoint._last_global_step_saved],
        "items": [item["name"] for item in checkpoint._inventory],
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(end))


def rank_of(folder: Path, case: str, rank: int, port: int) -> int:
    """Forks one rank, whose output goes into a file; its process."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        output = os.open(folder / f"rank{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(
            LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        )
        run(folder, case)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # not the end of what serves: none of its cleanup is ours


def both_ranks(folder: Path, case: str) -> str:
    """One run in two processes, killed when it hangs; how it ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = {rank_of(folder, case, rank, port) for rank in (0, 1)}
    deadline = time.monotonic() + LIMIT_SECONDS
    while processes and time.monotonic() < deadline:
        processes -= {process for process in processes if os.waitpid(process, os.WNOHANG)[0]}
        time.sleep(0.01)
    for process in processes:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return f"hung for {LIMIT_SECONDS} s" if processes else "ended"


def serve() -> None:
    for line in sys.stdin:
        folder, case = line.rstrip("\n").split("\t")
        print(both_ranks(Path(folder), case), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]), sys.argv[2])
    else:
        serve()
