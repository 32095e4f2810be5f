"""The callback from a YAML file, as LightningCLI reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _harness import ONE_MOVE, Lab, Package, assert_alike, assert_moves_alike, both_packages, package

import checkroom

pytest.importorskip("jsonargparse")

OURS = """
        min_free: 1 MB
        max_size: 10 GB
        preflight: warn
        when_full: wait
        wait_minutes: 0.5
        prune_first: false
        last_as: link
        durable: false"""


def _yaml(lab: Lab, more: str = "") -> str:
    ours = lab.current_class is not lab.package.theirs
    path = f"checkroom.{lab.package.name}" if ours else f"{lab.package.pl.__name__}.callbacks"
    return f"""
model:
  scores: [3.0, 1.0, 4.0, 1.5, 0.5, 9.0, 2.0, 6.0, 0.25, 5.0, 3.5, 8.0]
trainer:
  accelerator: cpu
  devices: 1
  logger: false
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
  max_epochs: 4
  default_root_dir: {lab.folder}
  callbacks:
    - class_path: {path}.ModelCheckpoint
      init_args:
        dirpath: {lab.directory}
        monitor: val_loss
        save_top_k: 2
        save_last: true{(OURS if ours else "") + more}
"""


def _run(lab: Lab, *arguments: str, more: str = "") -> Any:
    """``fit`` from the YAML file and these arguments; the callback."""
    config = lab.folder / "config.yaml"
    config.write_text(_yaml(lab, more))
    cls = lab.current_class
    with lab.a_fit():
        cli = lab.package.cli_class(
            lab.package.model_class,
            args=["fit", "--config", str(config), *arguments],
            save_config_callback=None, seed_everything_default=1,
        )  # fmt: skip
    (callback,) = cli.trainer.checkpoint_callbacks
    assert type(callback) is cls
    return callback


@both_packages
def test_from_a_yaml_file(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        lab.note_callback(_run(lab, "--trainer.callbacks.save_top_k=3"))
        lab.note_files()
        lab.note_contents()

    assert_alike(scenario, tmp_path, package_name=package_name)


@both_packages
def test_a_run_from_a_yaml_file_goes_on(package_name: str, tmp_path: Path) -> None:
    def scenario(lab: Lab) -> None:
        lab.note_callback(_run(lab, "--trainer.max_epochs=2"))
        lab.note_callback(_run(lab, "--ckpt_path=last"))
        lab.note_files()
        lab.note_contents()

    assert_moves_alike(scenario, tmp_path, ONE_MOVE, package_name=package_name)


def test_rules_from_a_yaml_file(tmp_path: Path) -> None:
    which: Package = package("lightning")
    lab = Lab(which, (which.ours,), tmp_path)
    callback = _run(lab, more="\n        keep: [{last: 1}, {every: {epochs: 2}}]")
    assert callback.guard_options.rules == (checkroom.KeepLast(1), checkroom.KeepEvery(epochs=2))
    # The scores are 4, 9, 0.25 and 8: the two best are epochs 0 and 2; every second epoch keeps 1 and 3.
    epochs = sorted(path.name.partition("-")[0] for path in lab.directory.glob("epoch*.ckpt"))
    assert epochs == ["epoch=0", "epoch=1", "epoch=2", "epoch=3"]
