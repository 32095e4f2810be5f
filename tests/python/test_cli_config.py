"""LightningCLI configs: what is read from them, what flags add, and what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from checkroom import KeepLast
from checkroom.cli._app import run
from checkroom.cli._config import read_config
from checkroom.cli._errors import CommandError
from checkroom.cli._estimate_report import estimate, run_spec
from checkroom.cli._estimate_request import EstimateRequest, estimate_request

CONFIG = """
trainer:
  max_epochs: 20
  accumulate_grad_batches: 4
  limit_train_batches: 100
  val_check_interval: 50
  callbacks:
    - class_path: checkroom.lightning.ModelCheckpoint
      init_args:
        {monitor: val_loss, mode: min, save_top_k: 3, save_last: true, every_n_epochs: 5, max_size: 100 GB,
         min_free: 2 GB, keep: [{last: 1}], every_n_train_steps: null, dirpath: runs}
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {save_top_k: 1, train_time_interval: '0:30:00', every_n_epochs: 0}
    - class_path: lightning.pytorch.callbacks.LearningRateMonitor
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "lightning.yaml"
    path.write_text(text)
    return path


def ask(path: Path, **flags: str) -> EstimateRequest:
    return estimate_request({"checkpoint_size": "1GB", **flags}, config=str(path))


def test_every_model_checkpoint_is_a_policy(tmp_path: Path) -> None:
    request = ask(written(tmp_path, CONFIG), seconds_per_step="10")
    first, second = request.policies
    assert request.max_epochs == 20 and request.steps.per_epoch == 25 and request.together
    assert dict(first.arguments) == {
        "monitor": "val_loss", "save_top_k": 3, "save_last": True, "every_n_epochs": 5, "max_size": 100 * 10**9,
        "keep": first.get("keep"),
    }
    assert [repr(rule) for rule in first.get("keep")] == [repr(KeepLast(1))]
    assert dict(second.arguments) == {"save_top_k": 1, "train_time_interval": timedelta(minutes=30)}
    spec = run_spec(request, first, 20)
    assert (spec.val_check_interval, spec.accumulate_grad_batches, spec.max_size) == (50, 4, 100 * 10**9)
    assert 'max_size="100.0 GB"' in first.call and "datetime.timedelta(seconds=1800)" in second.call


def test_callbacks_of_one_run_are_added_up(tmp_path: Path) -> None:
    report = estimate(ask(written(tmp_path, CONFIG), seconds_per_step="10", free="60GB"))
    first, second, together = report.verdicts
    assert together.policy == "all together"
    # At rest, of both, and one more file: they save in turn.
    assert first.lightning.need == 5 * 10**9 and second.lightning.need == 2 * 10**9
    assert together.lightning.need == (4 + 1 + 1) * 10**9
    assert together.checkroom.need >= max(first.checkroom.need, second.checkroom.need)


def test_the_floor_of_a_callback_counts_where_there_is_a_space(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG)
    assert ask(path, seconds_per_step="10").free is None
    free = ask(path, seconds_per_step="10", free="60GB").free
    assert free is not None and free.floor == 2 * 10**9


def test_flags_count_more(tmp_path: Path) -> None:
    request = ask(written(tmp_path, CONFIG), seconds_per_step="10", max_epochs="50", steps_per_epoch="7")
    assert request.max_epochs == 50 and request.steps.per_epoch == 7


def test_the_arguments_of_fit_may_stand_below_it(tmp_path: Path) -> None:
    nested = "fit:\n" + "".join(f"  {line}\n" for line in CONFIG.splitlines())
    assert ask(written(tmp_path, nested), seconds_per_step="10").max_epochs == 20


def test_steps_alone_are_turned_into_epochs(tmp_path: Path) -> None:
    path = written(tmp_path, "trainer: {max_steps: 1000, max_epochs: -1}\n")
    with pytest.raises(CommandError, match=r"trainer.max_steps: '1000' optimizer steps are how many epochs\?"):
        ask(path)
    request = ask(path, steps_per_epoch="300")
    assert request.max_epochs == 4
    assert run_spec(request, request.policies[0], 4).max_steps == 1000


def test_what_is_not_said_is_lightnings_default_and_remarked(tmp_path: Path) -> None:
    request = ask(written(tmp_path, "trainer: {devices: auto}\n"))
    assert request.max_epochs == 1000 and request.policies[0].name == "default"
    remarks = " ".join(request.remarks)
    for word in ("default of 1000 epochs", "no ModelCheckpoint", "give --devices"):
        assert word in remarks


def test_devices_and_nodes_share_the_samples(tmp_path: Path) -> None:
    path = written(tmp_path, "trainer: {max_epochs: 3, devices: [0, 1], num_nodes: 2, accumulate_grad_batches: 2}\n")
    assert ask(path, samples="800", batch_size="10").steps.per_epoch == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file or directory (give the path of a LightningCLI config)"),
        ("trainer: [", "not YAML"),
        ("- a\n", "has no trainer"),
        ("model: {}\n", "has no trainer"),
        ("trainer: {max_epochs: ten}\n", "trainer.max_epochs: not a whole number: 'ten'"),
        ("trainer: {enable_checkpointing: false}\n", "this run saves nothing"),
        ("trainer: {callbacks: [{class_path: ModelCheckpoint, init_args: 3}]}\n", "not a mapping: '3'"),
        ("trainer: {callbacks: [{class_path: a.ModelCheckpoint, init_args: {save_top_k: x}}]}\n",
         "trainer.callbacks[0].init_args.save_top_k: not a whole number: 'x'"),
        ("trainer: {callbacks: {class_path: ModelCheckpoint, init_args: {keep: [{first: 1}]}}}\n", "no rule"),
        ("trainer: {val_check_interval: 1.5}\n", "more than an epoch: '1.5'"),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, says: str
) -> None:
    path = tmp_path / "missing.yaml" if text is None else written(tmp_path, text)
    assert run(["estimate", "--config", str(path), "--checkpoint-size", "1GB"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and says in err
    assert err.startswith("checkroom estimate: ")


def test_what_the_config_cannot_know_is_asked_for_by_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path, CONFIG))
    assert run(["estimate", "--config", path]) == 2
    assert "--checkpoint-size 6.9GB" in capsys.readouterr().err
    assert run(["estimate", "--config", path, "--checkpoint-size", "1GB"]) == 2
    assert "(give --seconds-per-step, or --hours)" in capsys.readouterr().err
    assert run(["estimate", "--config", path, "--run", path]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_json_of_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path, CONFIG))
    words = ["--checkpoint-size", "1GB", "--seconds-per-step", "10", "--format", "json"]
    assert run(["estimate", "--config", path, *words]) == 0
    policies = json.loads(capsys.readouterr().out)["policies"]
    assert policies[0]["model_checkpoint"]["keep"] == [{"last": 1}]
    assert policies[1]["model_checkpoint"]["train_time_interval"] == "0:30:00"


def test_it_reads_what_a_real_cli_runs(tmp_path: Path) -> None:
    """A LightningCLI made from the same file: its trainer's own run spec is the one that was estimated."""
    pytest.importorskip("lightning")
    pytest.importorskip("jsonargparse")
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.cli import LightningCLI
    from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

    from checkroom._run_spec import run_spec as spec_of

    path = written(tmp_path, f"""
trainer:
  max_epochs: 2
  limit_train_batches: 6
  accumulate_grad_batches: 4
  limit_val_batches: 1
  accelerator: cpu
  devices: 1
  logger: false
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    class_path: checkroom.lightning.ModelCheckpoint
    init_args: {{dirpath: {tmp_path}/c, save_top_k: -1, every_n_train_steps: 1, save_last: true, max_size: 1 GB}}
""")
    seen: list[Any] = []

    class Look(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            seen.append(spec_of(trainer.checkpoint_callback, trainer, 10**9))

    cli = LightningCLI(BoringModel, BoringDataModule, run=False, args=["--config", str(path)],
                       save_config_callback=None, trainer_defaults={})
    cli.trainer.callbacks.insert(0, Look())
    cli.trainer.fit(cli.model, cli.datamodule)
    request = ask(path)
    estimated = run_spec(request, request.policies[0], request.max_epochs)
    names = ("max_epochs", "steps_per_epoch", "accumulate_grad_batches", "every_n_train_steps", "save_top_k", "monitor",
             "save_last", "max_size", "last_as", "checkpoint_bytes", "save_count")
    assert {name: getattr(estimated, name) for name in names} == {name: getattr(seen[0], name) for name in names}


def test_nothing_of_lightning_is_imported(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = written(tmp_path, CONFIG)
    code = f"import sys; from pathlib import Path; from checkroom.cli._config import read_config; " \
           f"read_config(Path({str(path)!r})); print('lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert read_config(path).together
