"""What a reader is told beside the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from checkroom.cli._estimate_report import estimate
from checkroom.cli._estimate_request import EstimateRequest, estimate_request
from checkroom.cli._remarks import remarks

RUN_FILE = Path(__file__).parents[2] / "examples/vla_finetune.toml"


def said(request: EstimateRequest) -> str:
    return "\n".join(remarks(estimate(request)))


def ask(*policies: str, **flags: str) -> EstimateRequest:
    return estimate_request({"checkpoint_size": "1GB", "epochs": "10", **flags}, policies=policies)


def test_a_plain_run_has_no_remarks() -> None:
    assert said(ask(free="100GB", dataset="5GB")) == ""


def test_the_golden_run_has_those_of_its_errata() -> None:
    text = said(estimate_request({}, run=str(RUN_FILE)))
    assert "231 files of 25.10 MB are 5.80 GB, but the dataset is given as 5.66 GB (read as IEC units" in text
    assert "The filename of recommended would hold epoch and val_loss twice" in text
    assert "last is the newest top-k save, not the last epoch (recommended, medium, long)" in text
    assert "least is a last that shares its blocks with a kept file, most a last of its own" in text
    assert len(text.splitlines()) == 4


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
