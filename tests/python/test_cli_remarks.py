"""What a reader is told beside the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from checkroom.cli._estimate_report import estimate
from checkroom.cli._estimate_request import EstimateRequest, estimate_request
from checkroom.cli._remarks import remarks

RUN_FILE = Path(__file__).parents[2] / "examples/vla_finetune.toml"


def said(request: EstimateRequest) -> str:
    return "\n".join(remarks(estimate(request)))


def ask(*policies: str, **flags: str) -> EstimateRequest:
    return estimate_request({"checkpoint_size": "1GB", "epochs": "10", **flags}, policies=policies)


def test_a_plain_run_has_no_remarks() -> None:
    assert said(ask(free="100GB")) == ""
    assert said(ask(dataset="5GB")) == ""


def test_the_golden_run_has_those_of_its_errata() -> None:
    text = said(estimate_request({}, run=str(RUN_FILE)))
    assert "231 files of 25.10 MB are 5.80 GB, but the dataset is given as 5.66 GB (read as IEC units" in text
    assert "The filename of recommended would hold epoch and val_loss twice" in text
    assert "last is the newest top-k save, not the last epoch (recommended, medium, long)" in text
    assert "least is a last.ckpt that shares its blocks with a kept file, most one of its own" in text
    assert "dataset, model files and misc are taken to lie on the disk already" in text
    assert len(text.splitlines()) == 5


def test_parts_that_agree_are_not_remarked() -> None:
    assert said(ask(dataset="5.80GB", dataset_files="231", mean_file="25.1MB")) == ""


def test_parts_that_disagree_without_an_explanation() -> None:
    text = said(ask(dataset="9GB", dataset_files="231", mean_file="25.1MB"))
    assert "231 files of 25.10 MB are 5.80 GB, but the dataset is given as 9.00 GB. The figures use" in text


def test_last_depends_on_the_version_and_the_monitor() -> None:
    policy = "a:save_last=true,monitor=val_loss"
    assert "newest top-k save" in said(ask(policy))
    assert "newest top-k save" in said(ask(policy, lightning_version="2.10.1"))
    assert "newest top-k save" not in said(ask(policy, lightning_version="2.5"))
    assert "newest top-k save" not in said(ask("a:save_last=true"))
    assert "newest top-k save" not in said(ask("a:save_last=false,monitor=val_loss"))


def test_an_estimated_size_says_so() -> None:
    request = estimate_request({"parameters": "1B", "epochs": "10"})
    assert "One checkpoint is an estimate: " in said(request)
    assert "fitted on usual models" in said(request)


def test_space_that_is_unknown() -> None:
    request = ask(free="100GB")
    assert request.free is not None
    unknown = replace(request, free=replace(request.free, bytes=None, path="/mnt/bucket"))
    assert "The filesystem of /mnt/bucket does not say what is free" in said(unknown)


def test_flags_without_effect() -> None:
    assert "--batch-size: without effect" in said(ask(steps_per_epoch="9", batch_size="4"))
    assert "--batch-size: without effect" in said(ask(batch_size="4"))
    assert "--val-fraction: without effect" in said(ask(dataset="5GB", val_fraction="0.2"))
    assert "--mean-file: without effect" in said(ask(dataset="5GB", mean_file="1MB"))
    assert "--weights-only-size: without effect" in said(ask(weights_only_size="1MB"))
    assert "--log-steps-per-epoch: without effect" in said(ask(steps_per_epoch="9", log_steps_per_epoch="4"))
    with_effect = ask(
        dataset="5GB", dataset_files="5", val_fraction="0.2", csv_per_epoch="1MB", log_steps_per_epoch="4"
    )
    assert "without effect" not in said(with_effect)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [({"every_n_epochs": "20"}, "it saves every 20 epochs"), ({"save_top_k": "0"}, "save_top_k=0 keeps none"),
     ({"every_n_train_steps": "500", "steps_per_epoch": "9"}, "it saves every 500 steps")],
)
def test_a_run_that_keeps_nothing(flags: dict[str, str], reason: str) -> None:
    assert said(ask(**flags)) == f"With your flags, a run of 10 epochs leaves no checkpoint: {reason}."
    assert "leaves no checkpoint" not in said(ask(**{**flags, "save_last": "true"} if "save_top_k" in flags else {}))


def test_the_verdict_says_what_it_counts() -> None:
    assert "lie on the disk already" in said(ask(free="100GB", misc="1GB"))
