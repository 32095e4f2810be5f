"""A run file: known keys only, and a place for every error."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._run_file import RunFile, read_run_file


def read(folder: Path, text: str | bytes) -> RunFile:
    path = folder / "run.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    tables = {"policies": ["save_top_k"], "strategies": ["save_top_k", "epochs"]}
    return read_run_file(path, keys=["epochs", "misc"], tables=tables)


def test_values_know_where_they_were_written(tmp_path: Path) -> None:
    file = read(tmp_path, "epochs = [5, 10]\n[policies.one]\nsave_top_k = 1\n[strategies.long]\nepochs = [100]\n")
    assert file.values["epochs"].value == [5, 10]
    assert file.values["epochs"].where == f"{tmp_path}/run.toml: epochs"
    assert file.values["epochs"].folder == tmp_path
    assert file.policies["one"]["save_top_k"].where == f"{tmp_path}/run.toml: [policies.one] save_top_k"
    assert file.strategies["long"]["epochs"].value == [100]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = = 3\n", "not TOML: Invalid value (at line 2, column 5)"),
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("zzzzz = 3", "unknown key 'zzzzz'; known are epochs, misc, policies, strategies"),
        ("[policy]\nsave_top_k = 3", "unknown key 'policy'; did you mean 'policies'?"),
        ("[policies.x]\nsave_topk = 3", "[policies.x]: unknown key 'save_topk'; did you mean 'save_top_k'?"),
        ("policies = 3", "'policies' holds named tables"),
        ("[policies]\nsave_top_k = 3", "'policies' holds named tables (write [policies.NAME]"),
        ("[misc]\na = 1", "[misc] is a table, but 'misc' takes a value (write misc = ...)"),
        (b"\xff\xfe", "not a TOML file: byte 0 is not UTF-8 (save it as UTF-8)"),
        ("misc = " + "[" * 100_000, "nested too deeply"),
        ("misc = " + "1" * 5000, "not TOML: "),
        ('["policies"."a\\nb"]\n', "[policies]: not a name: 'a b' (write letters and digits)"),
        ('[strategies." "]\n', "[strategies]: not a name: ''"),
    ],
)
def test_refusals(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(CommandError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/run.toml: ")
    assert said in str(caught.value)


def test_a_mark_of_byte_order_is_no_key(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfepochs = 5\r\n").values["epochs"].value == 5


def test_a_file_without_an_end() -> None:
    with pytest.raises(CommandError, match="^--run: '/dev/zero': too large for a run file"):
        read_run_file(Path("/dev/zero"), keys=[], tables={})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"^--run: '{tmp_path}/no.toml': no such file or directory"):
        read_run_file(tmp_path / "no.toml", keys=[], tables={})
    with pytest.raises(CommandError, match=f"^--run: '{tmp_path}': is a directory"):
        read_run_file(tmp_path, keys=[], tables={})
