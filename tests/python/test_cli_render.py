"""The four formats of the golden run, against files that a person can read, and the tables at any width.

After a change by intent, write the files again::

    checkroom estimate --run examples/vla_finetune.toml --format json > tests/data/cli/vla_finetune.json

(``.csv``, ``.markdown`` and ``.table`` likewise; ``COLUMNS=80`` for ``.80.table``) and read the difference.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from checkroom.cli._console import console_for
from checkroom.cli._estimate_report import EstimateReport, estimate
from checkroom.cli._estimate_request import estimate_request
from checkroom.cli._render import as_markdown, print_tables
from checkroom.cli._render_data import as_csv, as_data, as_json
from checkroom.cli._tables import narrow_tables, tables

ROOT = Path(__file__).parents[2]
EXPECTED = ROOT / "tests/data/cli"
RUN_FILE = ROOT / "examples/vla_finetune.toml"


@pytest.fixture(scope="module")
def report() -> EstimateReport:
    return estimate(estimate_request({}, run=str(RUN_FILE)))


def small(*policies: str, compare: bool = False, **flags: str) -> EstimateReport:
    given = {"checkpoint_size": "1GB", "epochs": "10", **flags}
    return estimate(estimate_request(given, policies=policies, compare=compare))


def shown(report: EstimateReport, width: int, *, terminal: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(
        file=file, width=width, force_terminal=terminal, color_system="standard" if terminal else None, highlight=False
    )
    print_tables(report, console)
    return raw.getvalue().decode(encoding)


def test_json(report: EstimateReport) -> None:
    assert as_json(report) == (EXPECTED / "vla_finetune.json").read_text()


def test_csv(report: EstimateReport) -> None:
    text = as_csv(report)
    assert text == (EXPECTED / "vla_finetune.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 15
    assert rows[7]["policy"] == "recommended" and rows[7]["peak_bytes_lightning"] == "34500000000"


def test_markdown(report: EstimateReport) -> None:
    assert as_markdown(report) == (EXPECTED / "vla_finetune.markdown").read_text()


@pytest.mark.parametrize(("width", "name"), [(120, "vla_finetune.table"), (80, "vla_finetune.80.table")])
def test_table(report: EstimateReport, width: int, name: str) -> None:
    assert shown(report, width) == (EXPECTED / name).read_text()


def test_json_has_the_keys_that_are_public(report: EstimateReport) -> None:
    data = as_data(report)
    assert data["format"] == 1
    assert {"policies", "dataset_scaling", "scenarios", "strategies", "verdict"} <= set(data)
    row = data["policies"][0]["rows"][0]
    assert set(row) == {
        "epochs", "files", "checkpoint_bytes", "peak_bytes", "tensorboard_bytes", "csv_bytes", "total_bytes",
    }  # fmt: skip


def test_sizes_in_json_are_integers(report: EstimateReport) -> None:
    def check(value: object, key: str = "") -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                check(item, name if name.endswith("bytes") else key if key.endswith("bytes") else name)
        elif isinstance(value, list):
            for item in value:
                check(item, key)
        elif key.endswith("bytes") and not isinstance(value, str):
            assert isinstance(value, int), (key, value)

    check(json.loads(as_json(report)))


def test_sums(report: EstimateReport) -> None:
    data = as_data(report)
    for policy in data["policies"]:
        for row in policy["rows"]:
            logs = row["tensorboard_bytes"] + row["csv_bytes"]
            for end in ("least", "most"):
                assert row["total_bytes"][end] == row["checkpoint_bytes"][end] + logs
                assert row["checkpoint_bytes"][end] <= min(row["peak_bytes"].values())
    assert len(data["scenarios"]) == 3
    for scenario in data["scenarios"]:
        fixed = sum(scenario[f"{part}_bytes"] for part in ("model_files", "dataset", "tensorboard", "csv", "misc"))
        for end in ("least", "most"):
            assert scenario["total_bytes"][end] == scenario["checkpoint_bytes"][end] + fixed
    for policy in data["verdict"]["policies"]:
        for fit in (policy["checkroom"], policy["lightning"]):
            assert fit["have_bytes"] == data["verdict"]["free_bytes"] - data["verdict"]["floor_bytes"]
            assert fit["short_by_bytes"] == max(0, fit["need_bytes"] - fit["have_bytes"])
            assert fit["enough"] == (fit["short_by_bytes"] == 0)


def test_every_table_of_markdown_is_one() -> None:
    report = small("a|b:save_top_k=-1", "`c`<d>:save_top_k=1", compare=True, misc="1GB", free="3GB")
    columns = 0
    for line in as_markdown(report).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert columns in (0, cells) or cells == 0, line
        columns = cells
    assert "a\\|b" in as_markdown(report) and "\\`c\\`\\<d>" in as_markdown(report)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(report: EstimateReport, width: int) -> None:
    assert max(map(len, shown(report, width).splitlines())) <= width


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_figure_is_cut(report: EstimateReport, width: int) -> None:
    text = shown(report, width)
    for forms in zip(tables(report), narrow_tables(report)):
        assert any(
            all(cell in text for section in table.sections for row in section.rows for cell in row) for table in forms
        )
    assert "\u2026" not in text


def test_names_of_columns_take_as_few_lines_as_they_can(report: EstimateReport) -> None:
    def lines(width: int) -> int:
        text = shown(report, width).splitlines()
        start = text.index("Checkpoints and logs")
        return next(index for index, line in enumerate(text[start:]) if line.startswith("\u2500")) - 1

    assert (lines(120), lines(80), lines(75)) == (1, 2, 3)


def test_every_figure_has_its_unit(report: EstimateReport) -> None:
    for table in tables(report):
        for section in table.sections:
            for row in section.rows:
                for name, cell in zip(table.columns, row):
                    if any(word in name for word in ("Checkpoints", "Peak", "CSV", "Total", "Need", "Dataset")):
                        assert cell.split()[-1] in ("B", "kB", "MB", "GB", "TB"), (name, cell)


def test_plain_into_a_pipe_and_coloured_on_a_terminal(report: EstimateReport) -> None:
    assert "\x1b" not in shown(report, 120)
    coloured = shown(report, 120, terminal=True)
    assert "\x1b[32menough" in coloured and "\x1b[1;31mshort" in coloured


def test_ascii_where_the_terminal_has_nothing_else(report: EstimateReport) -> None:
    assert "-" * 60 in shown(report, 120, encoding="ascii")


def test_markup_in_a_name_is_text() -> None:
    report = small("[red]x:save_top_k=1")
    assert "[red]x" in shown(report, 80)
    assert "a\\|b" in as_markdown(small("a|b:save_top_k=1", misc="1GB"))


def test_the_width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_for(io.StringIO()).width == 120
    monkeypatch.setenv("COLUMNS", "90")
    assert console_for(io.StringIO()).width == 90


def test_side_by_side() -> None:
    report = small("a:save_top_k=-1", "b:save_top_k=1", compare=True)
    text = shown(report, 80)
    assert "The policies side by side" in text
    assert "    10  10.0 GB  1.0 GB" in text
    assert "side by side" not in shown(small("a:save_top_k=-1", "b:save_top_k=1"), 80)


def test_columns_of_what_the_run_does_not_have_are_left_out() -> None:
    def columns(**flags: str) -> set[str]:
        report = estimate(estimate_request({"checkpoint_size": "1GB", "epochs": "10", **flags}))
        return {name for form in (tables, narrow_tables) for table in form(report) for name in table.columns}

    optional = {"TensorBoard", "CSV", "Logs", "Model files", "Dataset", "Misc"}
    assert columns(misc="1GB") & optional == {"Misc"}
    assert columns(csv_per_epoch="1MB") & optional == {"CSV", "Logs"}
    assert columns(dataset="1GB", model_files="2GB") & optional == {"Dataset", "Model files"}


def test_the_call_to_paste_is_python_at_any_width(report: EstimateReport) -> None:
    for width in (30, 50, 80):
        lines = shown(report, width).splitlines()
        start = next(index for index, line in enumerate(lines) if line.strip() == "# recommended") + 1
        end = next(index for index, line in enumerate(lines[start:], start) if line.endswith(")")) + 1
        calls: list[dict[str, object]] = []
        exec("\n".join(line[2:] for line in lines[start:end]), {"ModelCheckpoint": lambda **given: calls.append(given)})
        assert calls == [report.request.policies[1].model_checkpoint]
