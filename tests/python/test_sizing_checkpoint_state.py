"""What a ModelCheckpoint knows about itself at its next saves: names, scores, and our inventory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from sizing_runs import asked  # noqa: E402

from checkroom import KeepLast  # noqa: E402
from checkroom._ghosts import Ghosts  # noqa: E402
from checkroom.lightning import ModelCheckpoint  # noqa: E402
from checkroom.sizing._checkpoint_state import states_at  # noqa: E402
from checkroom.sizing._findings import Findings  # noqa: E402
from checkroom.sizing._moment import moment_of  # noqa: E402
from checkroom.sizing._run import Run  # noqa: E402

Theirs = pl.callbacks.ModelCheckpoint


def states(
    checkpoint: Any, epoch: int, *, saves: bool = True, findings: Findings | None = None, metrics: Any = (),
) -> Any:  # fmt: skip
    """Its states, the least and the most, at the end of an epoch."""

    def ask(trainer: Any, run: Run) -> Any:
        return states_at(
            checkpoint, trainer, run, moment_of(run, epoch, None, None), Ghosts(), findings or Findings(),
            saves=saves, item_bytes=1000, metrics=dict(metrics),
        )  # fmt: skip

    return asked(checkpoint, ask)


def names(state: dict[str, Any]) -> list[str]:
    return [Path(path).stem for path in state["best_k_models"]]


def items(state: dict[str, Any]) -> list[str]:
    return [Path(item["name"]).stem for item in state["checkroom"]["items"]]


@pytest.mark.parametrize("kind", [Theirs, ModelCheckpoint])
def test_the_first_save_knows_itself(kind: Any, tmp_path: Path) -> None:
    checkpoint = kind(tmp_path, monitor="val_loss", save_top_k=2, save_last=True)
    least, most = states(checkpoint, 0)
    assert least is most
    assert names(most) == ["epoch=0-step=4"] and most["best_model_path"] in most["best_k_models"]
    assert most["current_score"] is most["best_model_score"] is most["best_k_models"][most["best_model_path"]]
    assert most["kth_best_model_path"] == ""
    # Ours names the `last` that will share this file.
    assert Path(most["last_model_path"]).name == ("last.ckpt" if kind is ModelCheckpoint else "")


@pytest.mark.parametrize("kind", [Theirs, ModelCheckpoint])
def test_of_many_saves_the_shortest_and_the_longest_names_are_taken(kind: Any, tmp_path: Path) -> None:
    least, most = states(kind(tmp_path, monitor="val_loss", save_top_k=3), 11)
    assert names(least) == ["epoch=0-step=4", "epoch=1-step=8", "epoch=11-step=48"]
    assert sorted(map(len, names(most))) == [15, 16, 16] and names(most)[-1] == "epoch=11-step=48"
    for state in (least, most):
        best, worst = state["best_model_path"], state["kth_best_model_path"]
        assert {best, worst} <= state["best_k_models"].keys() and best != worst
    everything, also = states(kind(tmp_path, monitor="val_loss", save_top_k=-1), 11)
    assert names(everything) == names(also) and len(names(also)) == 12


def test_without_a_monitor_only_the_newest_is_known(tmp_path: Path) -> None:
    _, most = states(ModelCheckpoint(tmp_path), 5)
    assert most["best_k_models"] == {} and items(most) == ["epoch=5-step=24"]
    _, everything = states(ModelCheckpoint(tmp_path, save_top_k=-1), 5)
    assert items(everything) == [f"epoch={n}-step={4 * n + 4}" for n in range(6)]


def test_another_callbacks_save_is_behind_or_ahead(tmp_path: Path) -> None:
    least, most = states(Theirs(tmp_path, monitor="val_loss", save_top_k=-1), 2, saves=False)
    assert (len(names(least)), len(names(most))) == (2, 3)
    state, same = states(Theirs(tmp_path, monitor="val_loss", every_n_epochs=5), 2, saves=False)
    assert state is same and state["best_model_path"] == ""


def test_names_keep_off_each_other_and_off_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    (tmp_path / "last.ckpt").touch()
    checkpoint = ModelCheckpoint(tmp_path, filename="best", monitor="val_loss", save_top_k=3, save_last=True)
    _, most = states(checkpoint, 2)
    assert sorted(names(most)) == ["best-v1", "best-v2", "best-v3"]
    assert Path(most["last_model_path"]).name == "last-v1.ckpt"
    same = Theirs(tmp_path, filename="best", monitor="val_loss", save_top_k=3, enable_version_counter=False)
    assert names(states(same, 2)[1]) == ["best"]


def test_a_score_in_a_name_is_short_or_long_or_known(tmp_path: Path) -> None:
    def checkpoint() -> Any:
        return Theirs(tmp_path, filename="{val_loss:.2f}", monitor="val_loss")

    least, most = states(checkpoint(), 0)
    assert (names(least), names(most)) == (["val_loss=0.00"], ["val_loss=-9876.54"])
    assert names(states(checkpoint(), 0, metrics={"val_loss": 12.3})[1]) == ["val_loss=12.30"]


def test_names_that_only_scores_tell_apart_are_as_many_as_there_are_files(tmp_path: Path) -> None:
    least, most = states(Theirs(tmp_path, filename="{val_loss:.2f}", monitor="val_loss", save_top_k=3), 5)
    assert [len(name) for name in names(least)] == [13, 13, 13]
    assert len(set(names(least))) == len(set(names(most))) == 3


def test_rules_and_a_cap_leave_it_open_what_is_kept(tmp_path: Path) -> None:
    least, most = states(ModelCheckpoint(tmp_path, monitor="val_loss", keep=[KeepLast(2)]), 5)
    assert (len(items(least)), len(items(most))) == (1, 6)
    assert most["checkroom"]["items"][0] == {
        "name": "epoch=0-step=4.ckpt", "bytes": 1000, "epoch": 0, "step": 4, "saved_at": 1.5,
        "scores": {"val_loss": 0.5},
    }  # fmt: skip
    least, most = states(ModelCheckpoint(tmp_path, monitor="val_loss", save_top_k=3, max_size="1 GB"), 5)
    assert (len(names(least)), len(names(most))) == (1, 3)


def test_how_often_the_clock_saves_is_not_known(tmp_path: Path) -> None:
    findings = Findings()
    checkpoint = Theirs(tmp_path, train_time_interval=timedelta(minutes=1), save_top_k=-1)
    states(checkpoint, 0, findings=findings)
    assert findings.notes == ["how often ModelCheckpoint will have saved by then is not known"]
