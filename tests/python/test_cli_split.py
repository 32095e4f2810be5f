"""What is in a checkpoint, on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from checkroom.cli._app import run  # noqa: E402
from checkroom.cli._checkpoint_size import CheckpointSize  # noqa: E402
from checkroom.cli._split import split_data, split_tables  # noqa: E402
from checkroom.sizing import KeyShare, ModuleShare, Split  # noqa: E402


def size_with(split: Split, total: int) -> CheckpointSize:
    return CheckpointSize(total, total, total, None, "as a.ckpt", split=split)


@pytest.fixture
def path(tmp_path: Path) -> str:
    net = torch.nn.ModuleDict({"body": torch.nn.Linear(100, 100), "neck": torch.nn.Linear(5, 5, bias=False)})
    net["head"] = torch.nn.Linear(5, 5, bias=False)
    optimizer = torch.optim.SGD([*net["body"].parameters(), net["head"].weight], lr=0.1, momentum=0.9)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    content = {"epoch": 3, "state_dict": net.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    torch.save({**content, "extra": torch.zeros(50)}, tmp_path / "a.ckpt")
    return str(tmp_path / "a.ckpt")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["estimate", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def rows(table: Any) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for section in table.sections for row in section.rows}


def test_a_file_alone_needs_no_run(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    total = Path(path).stat().st_size
    out = printed(capsys, "--from-checkpoint", path)
    assert out.startswith("One checkpoint ") and "Run" not in out
    assert [line.split() for line in out.splitlines() if line.startswith("body")] == [
        ["body", "40.4", "kB", "40.4", "kB", "80,800", f"{8080000 / total:.1f}", "%"]
    ]
    assert "unknown" in next(line for line in out.splitlines() if line.startswith("neck"))
    assert "optimizer states (not told apart)" in out
    assert out.count(f"{total:,}   100.0 %") == 2 or out.count(f"{total:,}  100.0 %") == 2


def test_json_adds_up_to_the_byte(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(printed(capsys, "--from-checkpoint", path, "--format", "json"))
    assert set(data) == {"format", "checkpoint_split"}
    split = data["checkpoint_split"]
    total = Path(path).stat().st_size
    assert split["checkpoint_bytes"] == total
    assert sum(one["bytes"] for one in split["by_key"]) + split["structure_bytes"] == total
    parts = sum(one["weights_bytes"] + (one["optimizer_bytes"] or 0) for one in split["by_module"])
    rest = split["not_told_apart_bytes"] + split["other_tensors_bytes"] + split["structure_bytes"]
    assert parts + rest == total
    assert [one["name"] for one in split["by_module"]] == ["body", "neck", "head"]
    assert [one["optimizer_bytes"] for one in split["by_module"]] == [40_400, None, None]
    assert split["not_told_apart_bytes"] == 100 and split["other_tensors_bytes"] == 200
    assert [one["percent"] for one in split["by_key"]][1] == round(100 * 40_600 / total, 2)


def test_a_run_shows_it_as_well(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    alone = json.loads(printed(capsys, "--from-checkpoint", path, "--format", "json"))
    data = json.loads(printed(capsys, "--from-checkpoint", path, "--epochs", "5", "--format", "json"))
    assert data["checkpoint_split"] == alone["checkpoint_split"] and data["policies"]
    assert "What is in it, by key" in printed(capsys, "--from-checkpoint", path, "--epochs", "5")
    given = json.loads(printed(capsys, "--checkpoint-size", "1GB", "--epochs", "5", "--format", "json"))
    assert given["checkpoint_split"] is None


def test_csv_and_markdown(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    read = list(csv.DictReader(io.StringIO(printed(capsys, "--from-checkpoint", path, "--format", "csv"))))
    for table in ("by_key", "by_module"):
        assert sum(int(row["bytes"]) for row in read if row["table"] == table) == Path(path).stat().st_size
    text = printed(capsys, "--from-checkpoint", path, "--format", "markdown")
    assert "| Key | Size | Bytes | Share |" in text and "| body | 40.4 kB | 40.4 kB | 80,800 |" in text


def test_other_flags_are_of_a_run(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", "--from-checkpoint", path, "--free", "1GB"]) == 2
    assert "no length of the run" in capsys.readouterr().err


def test_many_keys_are_put_together() -> None:
    keys = tuple(KeyShare(f"key{index}", 100 - index) for index in range(20))
    total = sum(share.bytes for share in keys) + 7
    by_key, _ = split_tables(size_with(Split(keys, (), 0, 0, 7), total))
    found = rows(by_key)
    assert list(found) == [*(f"key{index}" for index in range(11)), "other keys", "zip and pickle", "the file"]
    figures = [int(row[1].replace(",", "")) for row in found.values()]
    assert sum(figures[:-1]) == figures[-1] == total


def test_names_of_a_file_cannot_move_a_cursor() -> None:
    split = Split((KeyShare("\x1b[2J" + "k" * 500, 5),), (ModuleShare("a\nb", 5, 0),), 0, 0, 5)
    by_key, by_module = split_tables(size_with(split, 10))
    names = [*rows(by_key), *rows(by_module)]
    assert all(name.isprintable() and len(name) <= 60 for name in names) and "a b" in names


def test_no_file_has_no_split() -> None:
    size = CheckpointSize(1, 1, 1, None, "given")
    assert split_tables(size) == () and split_data(size) is None
