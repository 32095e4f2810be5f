"""Steps of an epoch: given or derived, and the time of one."""

from __future__ import annotations

import math

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._steps import Steps, read_steps, steps_of
from checkroom.cli._values import Given


def read(flags: dict[str, object], file: dict[str, object] | None = None, *, dataset: int | None = None) -> Steps:
    given = {key: Given(value, f"--{key}") for key, value in flags.items()}
    base = {key: Given(value, f"run.toml: {key}") for key, value in (file or {}).items()}
    return read_steps(base | given, given, base, max_epochs=20, dataset=dataset)


def test_given() -> None:
    steps = read({"steps_per_epoch": "171"})
    assert (steps.per_epoch, steps.samples, steps.scaled(4)) == (171, None, 684)


@pytest.mark.parametrize(
    ("samples", "batch_size", "accumulate", "devices", "expected"),
    [(185, 1, 8, 1, 24), (185, 4, 1, 1, 47), (100, 10, 1, 4, 3), (1, 8, 8, 8, 1), (1000, 10, 4, 2, 13)],
)
def test_derived(samples: int, batch_size: int, accumulate: int, devices: int, expected: int) -> None:
    assert steps_of(samples, batch_size, accumulate, devices) == expected
    each_device = list(range(0, samples + (-samples) % devices, devices))  # the sampler fills up the last round
    assert expected == math.ceil(math.ceil(len(each_device) / batch_size) / accumulate)


def test_derived_from_samples_or_the_dataset() -> None:
    flags: dict[str, object] = {"samples": "185", "batch_size": "4"}
    assert read(flags, dataset=10).per_epoch == 47
    assert read({"batch_size": "4"}, dataset=185).per_epoch == 47
    assert read({}, dataset=None).per_epoch is None
    assert read({}).scaled(2) is None


def test_more_data_rounds_once() -> None:
    # 185 samples in batches of 4 are 47 steps; 370 are 93, not 94.
    assert read({"samples": 185, "batch_size": 4}).scaled(2) == 93


def test_seconds() -> None:
    assert read({"seconds_per_step": "0.5", "steps_per_epoch": 3}).seconds == 0.5
    assert read({}, {"seconds_per_step": 0.5}).seconds == 0.5  # a file may wait for a flag with the steps
    assert read({"hours": "1.3", "steps_per_epoch": 171}).seconds == pytest.approx(1.3 * 3600 / 20 / 171)
    assert read({}).seconds is None


def test_the_files_hours_belong_to_the_files_steps() -> None:
    steps = read({"steps_per_epoch": "342"}, {"hours": 1.3, "steps_per_epoch": 171})
    assert steps.per_epoch == 342
    assert steps.seconds == pytest.approx(1.3 * 3600 / 20 / 171)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"steps_per_epoch": "3", "samples": "4"}, "--steps_per_epoch '3' and --samples '4' exclude each other"),
        ({"hours": "3", "seconds_per_step": "4"}, "--seconds_per_step '4' and --hours '3' exclude each other"),
        ({"hours": "3"}, "'3' hours of how many steps?"),
        ({"seconds_per_step": "3"}, "'3' seconds for how many steps? (give --steps-per-epoch"),
        ({"batch_size": "0"}, "less than 1: '0'"),
        ({"samples": "many"}, "not a whole number: 'many'"),
    ],
)
def test_refusals(flags: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(flags)
    assert said in str(caught.value)


def test_a_flag_without_effect_is_remarked() -> None:
    (remark,) = read({"batch_size": "4"}, {"steps_per_epoch": 171}).remarks
    assert remark.startswith("--batch_size: without effect, as the steps of an epoch are given")
    (remark,) = read({"batch_size": "4", "devices": "2"}).remarks
    assert remark == "--batch_size, --devices: without effect, as the samples are not known; give --samples."
    assert read({"batch_size": "4"}, dataset=10).remarks == ()
    assert read({}, {"steps_per_epoch": 171, "batch_size": 1}).remarks == ()
