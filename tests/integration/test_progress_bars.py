"""On a real terminal, a line of ours stands on a line of its own, with either progress bar of Lightning."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

SCRIPT = """
import sys, time, torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from torch.utils.data import DataLoader, TensorDataset
from checkroom.lightning import ModelCheckpoint

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, _index):
        time.sleep(0.02)
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch, _index):
        self.log("val_loss", 1 / (1 + self.current_epoch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())

data = DataLoader(TensorDataset(torch.ones(8, 4)), batch_size=1)
bar = {"tqdm": TQDMProgressBar, "rich": RichProgressBar}[sys.argv[1]]()
checkpoint = ModelCheckpoint(dirpath=sys.argv[2], monitor="val_loss", filename="{epoch}", min_free=0, max_size="9 kB")
Trainer(max_epochs=3, callbacks=[checkpoint, bar], logger=False, accelerator="cpu", enable_model_summary=False,
        num_sanity_val_steps=0).fit(Model(), data, data)
"""


@pytest.mark.parametrize("bar", ["tqdm", "rich"])
def test_a_line_is_not_glued_to_a_bar(tmp_path: Path, bar: str) -> None:
    shown = on_a_terminal([sys.executable, "-c", SCRIPT, bar, str(tmp_path / "checkpoints")])
    assert "Epoch 2" in shown, shown  # the bar was there
    ours = [line for line in re.split(r"\r?\n", shown) if "checkroom: " in line]
    assert sum("saved epoch" in line for line in ours) == 3, shown
    assert sum("removed epoch" in line for line in ours) == 2, shown
    for line in ours:
        before, _, after = line.partition("checkroom: ")
        # What stands before it was wiped: by spaces over it, or by the code that erases the line.
        erased = re.split(r"\x1b\[2K|\r", before)[-1]
        assert re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", erased).strip() == "", line
        assert "━" not in after and "|" not in after, line


def on_a_terminal(command: list[str]) -> str:
    """What a command shows on a terminal of 120 columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            if not read:
                break
            shown += read
    os.close(ours)
    assert process.returncode == 0, shown.decode(errors="replace")
    return shown.decode(errors="replace")
