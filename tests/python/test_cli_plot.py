"""The pictures of ``--plot``: what is drawn, in which units, and what is refused."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from checkroom import RunSpec, forecast
from checkroom.cli._app import run
from checkroom.cli._errors import CommandError
from checkroom.cli._plot import Row, Space, check_plot_path, curve, plot

matplotlib = pytest.importorskip("matplotlib")

GB = 10**9
RUN: dict[str, Any] = {"max_epochs": 20, "steps_per_epoch": 171, "checkpoint_bytes": 6_900_000_000}
KEPT: dict[str, Any] = {"save_top_k": 3, "every_n_epochs": 5, "monitor": "val_loss", "save_last": True}


def drawn(path: Path) -> str:
    """The words of a picture in SVG."""
    return " ".join(" ".join(text.itertext()).strip() for text in ElementTree.parse(path).iter() if
                    text.tag.endswith("}text"))


def test_a_curve_is_the_forecasts_timeline_with_logs() -> None:
    spec = RunSpec(**RUN, **KEPT, tensorboard_bytes_per_epoch=10**7)
    one, played = curve(spec), forecast(spec)
    assert one.x == (5, 10, 15, 20) and one.unit == "epoch"
    logs = [50, 100, 150, 200]
    assert one.most == tuple(point.at_rest_bytes.most + size * 10**6 for point, size in zip(played.timeline, logs))
    assert one.least[-1] == played.total_bytes.least and one.most[-1] == played.total_bytes.most
    assert max(one.peak) == played.peak_bytes.most + 200 * 10**6


def test_a_long_run_is_thinned_out_and_keeps_its_highest_peak() -> None:
    spec = RunSpec(max_epochs=100_000, save_top_k=3, monitor="loss", checkpoint_bytes=10)
    one = curve(spec)
    assert len(one.x) <= 400 and one.x[-1] == 100_000
    assert max(one.peak) == forecast(spec).peak_bytes.most


def test_saves_in_the_middle_of_an_epoch_stand_there() -> None:
    spec = RunSpec(max_epochs=2, steps_per_epoch=100, every_n_train_steps=50, checkpoint_bytes=10)
    assert curve(spec).x == (0.5, 1.0, 1.5, 2.0)


def test_a_run_of_unknown_epochs_is_drawn_over_steps() -> None:
    one = curve(RunSpec(max_steps=100, every_n_train_steps=50, checkpoint_bytes=10))
    assert one.x == (50, 100) and one.unit == "step"


def test_the_picture_names_its_units_and_both_writers(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    plot([Row("recommended", RunSpec(**RUN, **KEPT, max_size=45 * GB), Space(50 * GB, 5 * GB))], path)
    words = drawn(path)
    assert "recommended, Lightning alone: peak 34.5 GB" in words
    assert "recommended, checkroom: peak 27.6 GB" in words
    assert "checkpoints, GB" in words and words.count("epochs") == 2
    for label in ("at rest, at the least", "at rest, at the most", "peak of a save", "free before the run",
                  "floor, to stay free", "cap (max_size)"):
        assert label in words, label


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        plot([Row("run", RunSpec(**RUN, **KEPT), Space(50 * GB))], path)
    assert first.read_bytes() == second.read_bytes()


def test_what_is_not_known_is_not_drawn(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    plot([Row("run", RunSpec(**RUN, **KEPT))], path)
    assert "free" not in drawn(path) and "cap" not in drawn(path)


def test_logs_are_named_where_they_count(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    plot([Row("run", RunSpec(**RUN, csv_bytes_per_epoch=1))], path)
    assert "checkpoints and logs, GB" in drawn(path)


def test_what_others_have_in_the_directory_is_no_part_of_the_cap() -> None:
    spec = RunSpec(**RUN, max_size=45 * GB)
    assert Row("run", spec, Space(taken=5 * GB)).cap == 40 * GB
    assert Row("run", spec, Space(taken=50 * GB)).cap == 0
    assert Row("run", RunSpec(**RUN), Space(taken=5 * GB)).cap is None


def test_a_long_name_gets_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    plot([Row("lightning_logs/version_3/checkpoints", RunSpec(**RUN, **KEPT))], path)
    assert "lightning_logs/version_3/checkpoints checkroom: peak 27.6 GB" in drawn(path)


def test_of_a_run_that_grows_without_end_the_beginning_is_drawn(tmp_path: Path) -> None:
    spec = RunSpec(max_epochs=-1, steps_per_epoch=10, save_top_k=-1, checkpoint_bytes=GB)
    one = curve(spec, 5 * GB)  # full after 5: shown up to twice that
    assert one.grows and one.x == tuple(range(1, 12)) and one.peak[-1] == 11 * GB
    assert len(curve(spec).x) == 40
    path = tmp_path / "out.svg"
    plot([Row("run", spec, Space(5 * GB))], path)
    assert drawn(path).count("grows without end") == 2 and "peak 11" not in drawn(path)


def test_of_a_run_without_an_end_that_does_not_grow_the_peak_is_known() -> None:
    one = curve(RunSpec(max_epochs=-1, steps_per_epoch=10, save_top_k=1, checkpoint_bytes=GB), 5 * GB)
    assert not one.grows and one.height == "peak 2.0 GB"


def test_a_run_that_saves_nothing_has_an_empty_picture(tmp_path: Path) -> None:
    path = tmp_path / "out.svg"
    plot([Row("run", RunSpec(max_epochs=2, save_top_k=0, checkpoint_bytes=GB), Space(50 * GB))], path)
    assert "checkroom: peak 0 B" in drawn(path)


@pytest.mark.parametrize("command", ["estimate", "advise"])
def test_the_commands_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    path = tmp_path / "out.png"
    example = str(Path(__file__).parents[2] / "examples/vla_finetune.toml")
    assert run([command, "--run", example, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "Peak" in capsys.readouterr().out


def test_wrong_paths_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=re.escape("'out.gif' (write a name that ends in .png or .svg)")):
        check_plot_path("out.gif")
    with pytest.raises(CommandError, match="does not exist"):
        check_plot_path(str(tmp_path / "missing" / "out.png"))
    assert check_plot_path(None) is None


def test_without_matplotlib_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(CommandError, match=re.escape("pip install 'checkroom[plot]'")):
        check_plot_path("out.png")
