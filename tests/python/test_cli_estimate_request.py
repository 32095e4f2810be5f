"""Flags and run file together: which of them counts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._estimate_request import FILE_KEYS, EstimateRequest, estimate_request
from checkroom.cli._policy import Policy

RUN_FILE = Path(__file__).parents[2] / "examples/vla_finetune.toml"

# The example's flat keys as flags.
FLAGS = {
    "checkpoint_size": "6.9GB", "max_epochs": "20", "epochs": "5,10,20,50,100", "steps_per_epoch": "171",
    "batch_size": "1", "accumulate": "8", "hours": "1.3", "dataset": "5.66GB", "dataset_files": "231",
    "mean_file": "25.1MB", "val_fraction": "0.2", "scale_dataset": "1,2,4,10", "tensorboard_per_epoch": "10MB",
    "csv_per_epoch": "200kB", "log_steps_per_epoch": "171", "model_files": "25GB", "misc": "1GB", "free": "50GB",
}  # fmt: skip
POLICIES = [
    "current:save_top_k=-1,every_n_epochs=1",
    "recommended:save_top_k=3,every_n_epochs=5,monitor=val_loss,mode=min,save_last=true,"
    "filename=epoch_{epoch:02d}-val_loss={val_loss:.3f}",
    "minimum:save_top_k=1,monitor=val_loss",
]


def ask(file: Path | None = None, *, policies: tuple[str, ...] = (), compare: bool = False,
        **flags: str) -> EstimateRequest:
    base = {} if file is not None else {"checkpoint_size": "1GB", "epochs": "10"}
    return estimate_request(base | flags, run=None if file is None else str(file), policies=policies, compare=compare)


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text('checkpoint_size = "1 GB"\nepochs = 10\n' + text)
    return path


def test_flags_and_file_say_the_same() -> None:
    by_file = ask(RUN_FILE)
    by_flags = estimate_request(FLAGS, policies=POLICIES)
    # Flags that change nothing are remarked; the same keys in a file, which others may override, are not.
    assert by_flags.remarks and not by_file.remarks
    quiet = replace(by_flags, remarks=(), steps=replace(by_flags.steps, remarks=()))
    assert quiet == replace(by_file, strategies=())


def test_a_flag_counts_more_than_the_file() -> None:
    request = ask(RUN_FILE, checkpoint_size="1GB", misc="2GB", epochs="7")
    assert request.checkpoint.total == 10**9
    assert request.misc_bytes == 2 * 10**9
    assert (request.epochs, request.max_epochs) == ((7,), 7)  # the file's max_epochs belongs to its own epochs
    # ... and its hours to its own length
    assert request.steps.seconds == pytest.approx(1.3 * 3600 / 20 / 171)


def test_a_flag_drops_what_says_the_same_in_another_way(tmp_path: Path) -> None:
    request = ask(RUN_FILE, parameters="1B", samples="1000", seconds_per_step="2", dataset="3GB")
    assert request.checkpoint.source == "estimated from 1B parameters"
    assert (request.steps.per_epoch, request.steps.seconds) == (125, 2.0)
    assert request.dataset is not None and request.dataset.files is None
    file = written(tmp_path, "steps_per_epoch = 9\nevery_n_epochs = 2\n")
    assert ask(file, every_n_train_steps="3").policies[0].run_spec == {"every_n_train_steps": 3}


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for index in range(10):
        (tmp_path / "data" / str(index)).write_bytes(b"x" * (index + 1))
    file = written(tmp_path, 'dataset = "data"\nval_fraction = 0.25\nbatch_size = 3\n')
    dataset = ask(file).dataset
    assert dataset is not None
    assert (dataset.bytes, dataset.files, dataset.mean_bytes) == (55, 10, 5)
    assert (dataset.train, dataset.validation) == (8, 2)
    assert ask(file).steps.per_epoch == 3  # 8 training files in batches of 3


def test_without_policies_it_is_lightnings_default() -> None:
    assert ask().policies == (Policy("default"),)


def test_one_policy_is_changed_by_flags(tmp_path: Path) -> None:
    file = written(tmp_path, 'save_top_k = 3\nmonitor = "val_loss"\n')
    (policy,) = ask(file, save_top_k="5").policies
    assert (policy.name, policy.arguments) == ("file", (("save_top_k", 5), ("monitor", "val_loss")))
    named = written(tmp_path, '[policies.best]\nsave_top_k = 3\nmonitor = "val_loss"\n')
    (policy,) = ask(named, save_top_k="5").policies
    assert (policy.name, policy.get("save_top_k")) == ("best", 5)


def test_beside_several_policies_flags_are_one_of_their_own() -> None:
    assert [policy.name for policy in ask(RUN_FILE).policies] == ["current", "recommended", "minimum"]
    assert [policy.name for policy in ask(RUN_FILE, save_top_k="1").policies] == ["flags"]
    both = ask(RUN_FILE, compare=True, save_top_k="1")
    assert [policy.name for policy in both.policies] == ["current", "recommended", "minimum", "flags"]


def test_policy_texts_add_or_change() -> None:
    request = ask(RUN_FILE, policies=("recommended:save_top_k=5", "weekly:every_n_epochs=7"))
    by_name = {policy.name: policy for policy in request.policies}
    assert list(by_name) == ["current", "recommended", "minimum", "weekly"]
    assert by_name["recommended"].get("save_top_k") == 5
    assert by_name["recommended"].get("save_last") is True
    assert by_name["weekly"].arguments == (("every_n_epochs", 7),)


def test_compare_in_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "compare = true\n[policies.a]\nsave_top_k = 1\n[policies.b]\nsave_top_k = -1\n")
    assert ask(file).compare is True


def test_every_flag_is_a_key() -> None:
    assert len(set(FILE_KEYS)) == len(FILE_KEYS)
    assert set(FLAGS) <= set(FILE_KEYS)


def test_policies_of_the_command_line_stand_beside_its_flags() -> None:
    request = ask(RUN_FILE, policies=("weekly:every_n_epochs=7", "all:save_top_k=-1"), save_top_k="1")
    assert [policy.name for policy in request.policies] == ["weekly", "all", "flags"]
    with pytest.raises(CommandError, match="^--policy: two policies of the name 'a'"):
        ask(policies=("a:save_top_k=1", "a:save_top_k=-1"))
    with pytest.raises(CommandError, match="^policy 'flags': single flags make a policy of that name"):
        ask(policies=("flags:save_top_k=1", "all:save_top_k=-1"), mode="min")


def test_what_nobody_named_has_a_label(tmp_path: Path) -> None:
    assert ask().policies[0].title == "the defaults"
    assert ask(save_top_k="1").policies[0].title == "your flags"
    assert ask(written(tmp_path, "save_top_k = 1\n")).policies[0].title == "the run file"
    assert ask(policies=("file:save_top_k=1", "default:save_top_k=-1")).policies[0].title == "file"


@pytest.mark.parametrize("version", ["2.6", "2.6.5", "2.10.0rc1", "2.6.0.dev20250101", "2.6.0.post1", "2.6.1+cpu"])
def test_versions(version: str) -> None:
    assert ask(lightning_version=version).lightning_version == version


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"epochs": "-5"}, "--epochs: less than 1: '-5'"),
        ({"epochs": "99999999"}, "--epochs: '99999999' epochs are too many"),
        ({"max_epochs": "99999999"}, "--max-epochs: '99999999' epochs are too many"),
        ({"lightning_version": "two"}, "--lightning-version: not a version: 'two'"),
        ({"lightning_version": "6.9 QB"}, "--lightning-version: not a version: '6.9 QB' (write for example 2.6)"),
        ({"scale_dataset": "1,9223372036854775807", "steps_per_epoch": "100"},
         "--scale-dataset: too large a number: '9223372036854775807'"),
        ({"scale_dataset": "9", "steps_per_epoch": "1", "dataset": "2 EB"}, "--scale-dataset: too large a number: '9'"),
        ({"every_n_train_steps": "5"}, "every_n_train_steps='5' needs the steps of an epoch (give --steps-per-epoch"),
        ({"scale_dataset": "1,2"}, "--scale-dataset: '1,2' needs the steps of an epoch"),
        ({"val_fraction": "0.2"}, "--val-fraction: '0.2' of what? (give --dataset"),
        ({"dataset": "5GB", "val_fraction": "1.5"}, "--val-fraction: not a fraction: '1.5'"),
        ({"dataset": "/usr/bin/env", "dataset_files": "3"}, "'3', but the dataset's files were counted: 1 (leave it"),
        ({"min_free": "3GB"}, "--min-free: '3GB' of what? (give --free"),
        ({"log_steps_per_epoch": "0"}, "--log-steps-per-epoch: less than 1: '0'"),
        ({"log_steps_per_epoch": "9"}, "--log-steps-per-epoch: '9' steps compare with nothing"),
    ],
)
def test_refusals(flags: dict[str, str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        estimate_request({"checkpoint_size": "1GB", "epochs": "10", **flags})
    assert said in str(caught.value)


def test_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="^--compare: no policy is there to compare"):
        ask(compare=True)
    with pytest.raises(CommandError, match="^--compare: only the policy 'flags' is there to compare"):
        ask(compare=True, save_top_k="1")
    with pytest.raises(CommandError, match="run.toml: compare: no policy is there to compare"):
        ask(written(tmp_path, "compare = true\n"))


@pytest.mark.parametrize("run", ["", " ", "a\0b"])
def test_no_run_file(run: str) -> None:
    with pytest.raises(CommandError, match="^--run: not a path: '"):
        estimate_request({}, run=run)


def test_no_length() -> None:
    with pytest.raises(CommandError, match="^no length of the run"):
        estimate_request({"checkpoint_size": "1GB"})
    assert estimate_request({"checkpoint_size": "1GB", "max_epochs": "7"}).epochs == (7,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[strategies.long]\nsave_top_k = 1\n", "strategy long: no epochs"),
        ("[strategies.long]\nepochs = [1, 2, 3]\n", "not a range of epochs: '[1, 2, 3]'"),
        ("[policies.x]\nsave_top_k = 3\n", "[policies.x] save_top_k: '3' best of what?"),
        ("[policies.x]\nevery_n_epochs = 1\nevery_n_train_steps = 5\n", "policy x: every_n_epochs='1' and"),
        ("save_weights_only = 3\n", "save_weights_only: neither true nor false: '3'"),
        ('lightning_version = 2\n', "lightning_version: not a version: '2'"),
        # As a number this is 2.1.
        ('lightning_version = 2.10\n', 'not a version: \'2.1\' (write a text, for example "2.6")'),
        ("[policies.x]\nzzz = 1\n", "unknown key 'zzz'; known are save_top_k, every_n_epochs, every_n_tr"),
    ],
)
def test_refusals_of_a_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        ask(written(tmp_path, text))
    assert said in str(caught.value)


def test_weights_only_without_their_size_is_remarked() -> None:
    assert any("--weights-only-size" in remark for remark in ask(save_weights_only="true").remarks)
    assert ask(save_weights_only="true", weights_only_size="1MB").remarks == ()
