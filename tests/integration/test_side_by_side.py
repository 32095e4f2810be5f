"""What Lightning's class does, ours does: what is kept, under which name, with which attributes.

``CHECKROOM_FULL=1`` plays the whole product of arguments; otherwise every value meets every other one at least once
in a sample of it.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from _harness import FULL, Package, assert_alike, both_packages, differences, one_fit, package, play

NAN, INF = float("nan"), float("inf")

SCORES = {
    "improving": (9.0, 8.0, 7.0, 6.0, 5.0),
    "worsening": (1.0, 2.0, 3.0, 4.0, 5.0),
    "mixed": (3.0, 1.0, 4.0, 1.5, 0.5),
    "ties": (2.0, 2.0, 1.0, 2.0, 1.0),
    "nan": (NAN, 2.0, NAN, 1.0, NAN),
    "inf": (INF, -INF, 3.0, INF, NAN),
}
TOP_K = (-1, 0, 1, 2, 3, 5)
SAVE_LAST = (None, True, "link")
MODES = ("min", "max")


def _product() -> list[Any]:
    every = list(itertools.product(TOP_K, SAVE_LAST, MODES, SCORES))
    if not FULL:
        # Neighbours differ in the last place: a stride that shares no factor with the lengths meets all pairs early.
        every = every[:: 7]
    return [pytest.param(*case, id="-".join(str(part) for part in case)) for case in every]


@pytest.mark.parametrize(("save_top_k", "save_last", "mode", "scores"), _product())
def test_monitored(save_top_k: int, save_last: Any, mode: str, scores: str, tmp_path: Path) -> None:
    scenario = one_fit(
        scores=SCORES[scores],
        trainer={"max_epochs": 5, "limit_train_batches": 1},
        monitor="val_loss", save_top_k=save_top_k, save_last=save_last, mode=mode,
    )  # fmt: skip
    assert_alike(scenario, tmp_path)


@pytest.mark.parametrize("save_last", SAVE_LAST)
@pytest.mark.parametrize("save_top_k", [-1, 0, 1])
def test_not_monitored(save_top_k: int, save_last: Any, tmp_path: Path) -> None:
    scenario = one_fit(save_top_k=save_top_k, save_last=save_last, trainer={"max_epochs": 3, "limit_train_batches": 1})
    assert_alike(scenario, tmp_path)


IN_BOTH: dict[str, dict[str, Any]] = {
    "epochs": {},
    "steps": {"every_n_train_steps": 2},
    "no version counter": {"filename": "one", "enable_version_counter": False},
    "limited": {"trainer": {"limit_train_batches": 2, "limit_val_batches": 1}},
    "max steps": {"trainer": {"max_epochs": -1, "max_steps": 5}},
}


@both_packages
@pytest.mark.parametrize("name", IN_BOTH)
def test_both_packages(name: str, package_name: str, tmp_path: Path) -> None:
    policy = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}
    scenario = one_fit(scores=SCORES["mixed"], **{**policy, **IN_BOTH[name]})
    assert_alike(scenario, tmp_path, package_name=package_name)


class TestHarness:
    """The comparison itself: blind to folders, and to nothing else."""

    @pytest.fixture
    def which(self) -> Package:
        return package("lightning")

    def test_lightning_equals_lightning(self, tmp_path: Path) -> None:
        scenario = one_fit(scores=SCORES["nan"], monitor="val_loss", save_top_k=2, save_last="link")
        assert_alike(scenario, tmp_path, classes=["theirs"])

    @pytest.mark.parametrize(
        ("change", "seen"),
        [
            ({"save_top_k": 3}, "files"),
            ({"mode": "max"}, "callback.best_model_path"),
            ({"save_last": None}, "callback.last_model_path"),
            ({"filename": "{epoch}"}, "callback.best_k_models"),
            ({"save_weights_only": True}, "contents of checkpoints/last.ckpt"),
        ],
    )
    def test_a_difference_is_seen(
        self, change: dict[str, Any], seen: str, which: Package, tmp_path: Path
    ) -> None:  # fmt: skip
        arguments: dict[str, Any] = {"monitor": "val_loss", "save_top_k": 2, "save_last": True}
        one = play(one_fit(scores=SCORES["mixed"], **arguments), which, [which.theirs], tmp_path / "one")
        other = play(
            one_fit(scores=SCORES["mixed"], **{**arguments, **change}), which, [which.theirs], tmp_path / "other"
        )
        assert any(line.startswith(seen) for line in differences(one, other))
