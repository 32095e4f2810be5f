"""``checkroom advise`` from outside: what it prints, its JSON, its exit codes and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checkroom import RunSpec, advise, forecast
from checkroom.cli._app import run

RUN_FILE = str(Path(__file__).parents[2] / "examples/vla_finetune.toml")
BASE = ["advise", "--checkpoint-size", "6.9GB", "--max-epochs", "20"]
FILE = 6_900_000_000


def output(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(list(words)) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(output(capsys, *words, "--format", "json", code=code))
    return data


def test_the_json_is_the_cores_advice(capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, *BASE, "--monitor", "val_loss", "--save-top-k", "-1", "--free", "51GB")
    spec = RunSpec(max_epochs=20, monitor="val_loss", save_top_k=-1, checkpoint_bytes=FILE)
    advice = advise(spec, 50 * 10**9)
    assert (data["format"], data["free_bytes"], data["floor_bytes"], data["have_bytes"]) == (
        1, 51 * 10**9, 10**9, 50 * 10**9
    )
    assert data["rule"] == advice.rule and data["strategy"] == "medium"
    assert [one["kind"] for one in data["options"]] == [one.kind for one in advice.options]
    for shown, option in zip(data["options"], advice.options, strict=True):
        played = forecast(option.spec)
        assert shown["call"] == option.call and shown["need_bytes"] == option.need_bytes
        assert shown["margin_bytes"] == 50 * 10**9 - shown["need_bytes"] >= 0
        assert shown["files"] == {"least": played.files.least, "most": played.files.most}
        assert shown["peak_bytes"]["checkroom"] == played.peak_bytes.most
    by_kind = {one["kind"]: one for one in data["options"]}
    assert by_kind["strategy"]["peak_bytes"] == {"lightning": 5 * FILE, "checkroom": 4 * FILE}
    assert by_kind["newest"]["peak_bytes"]["lightning"] is None  # it has no rules beyond the top k
    assert by_kind["newest"]["model_checkpoint"]["keep"] == [{"last": 1}]
    (own,) = data["own"]
    assert own["need_bytes"] == 20 * FILE and own["margin_bytes"] == 50 * 10**9 - 20 * FILE
    assert data["short_by_bytes"] == 0 and data["fitting_checkpoint_bytes"] is None


def test_a_run_file_of_several_policies(capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, "advise", "--run", RUN_FILE)
    assert {own["name"]: own["margin_bytes"] >= 0 for own in data["own"]} == {
        "current": False, "recommended": True, "minimum": True
    }
    assert data["options"][0]["model_checkpoint"] == {
        "monitor": "val_loss", "mode": "min", "save_top_k": 3, "every_n_epochs": 5, "save_last": True
    }


def test_the_table_names_the_rule_and_the_calls(capsys: pytest.CaptureFixture[str]) -> None:
    out = output(capsys, "advise", "--run", RUN_FILE)
    flat = " ".join(out.split())
    assert "the strategy for a medium run 3-4 20.7-27.6 GB 34.5 GB 27.6 GB 21.2 GB" in flat
    assert 'ModelCheckpoint(monitor="val_loss", mode="min", save_top_k=3, every_n_epochs=5, save_last=True)' in flat
    assert "Rule: best first: the strategy for a medium run" in flat
    assert "from checkroom import KeepLast" in flat
    assert "current does not fit: needs 138.2 GB, short by 89.2 GB" in flat
    assert "likewise, and the newest epoch 5-7 34.5-48.3 GB - 48.3 GB" in flat


def test_markdown_is_a_table_and_a_code_block_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    out = output(capsys, "advise", "--run", RUN_FILE, "--format", "markdown")
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1 and len(rows) == 2 + 4
    block = out.split("```python\n")[1].split("```")[0]
    assert block.count("ModelCheckpoint(") == 4
    pytest.importorskip("lightning")
    exec(block, {})


def test_where_nothing_fits_it_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*BASE, "--monitor", "val_loss", "--free", "12GB", "--weights-only-size", "2GB"]
    flat = " ".join(output(capsys, *words, code=1).split())
    assert "needs is 13.8 GB, short by 2.8 GB; free 2.8 GB more" in flat
    assert "save_weights_only=True, which needs 4.0 GB" in flat and "checkpoints of 5.5 GB or less" in flat
    data = as_json(capsys, *words, code=1)
    assert data["options"] == [] and data["short_by_bytes"] == 2 * FILE - 11 * 10**9
    assert data["weights_only"]["need_bytes"] == 4 * 10**9 and data["fitting_checkpoint_bytes"] == 5_500_000_000


def test_logs_count(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*BASE, "--monitor", "val_loss", "--steps-per-epoch", "100", "--min-free", "0"]
    room = str(4 * FILE + 20 * 10**6)
    assert as_json(capsys, *words, "--free", room, "--csv-per-epoch", "1MB")["options"][0]["kind"] == "strategy"
    assert as_json(capsys, *words, "--free", room, "--csv-per-epoch", "2MB")["options"][0]["kind"] != "strategy"


def test_free_space_of_a_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = as_json(capsys, *BASE, "--checkpoint-size", "1kB", "--free", str(tmp_path), "--min-free", "0")
    assert data["path"] == str(tmp_path) and data["free_bytes"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (BASE, "no space to fit into (give --free PATH or SIZE"),
        ([*BASE, "--free", "lots"], "--free: neither a size nor a path that exists: 'lots'"),
        ([*BASE, "--free", "50GB", "--format", "csv"], "--format: not a format: 'csv' (one of table, json, markdown)"),
        (["advise", "--checkpoint-size", "1GB", "--free", "5GB"], "no length of the run (give --max-epochs 20"),
        ([*BASE, "--free", "5GB", "--save-top-k", "3"], "'3' best of what?"),
    ],
)
def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("checkroom advise: ") and says in err
