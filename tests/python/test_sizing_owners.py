"""Whose code it is."""

from __future__ import annotations

import pytest

pl = pytest.importorskip("lightning.pytorch")

from checkroom.lightning import ModelCheckpoint  # noqa: E402
from checkroom.sizing._owners import is_lightnings, named  # noqa: E402


class Mine(pl.callbacks.EarlyStopping):
    def state_dict(self):
        return {"mine": 1}


def test_a_method_belongs_to_the_class_that_defines_it() -> None:
    mine, theirs = Mine("val_loss"), pl.callbacks.EarlyStopping("val_loss")
    assert is_lightnings(theirs, "state_dict") and not is_lightnings(mine, "state_dict")
    assert is_lightnings(mine, "on_validation_end")
    assert is_lightnings(ModelCheckpoint(), "state_dict")


def test_a_subclass_is_known_by_its_base() -> None:
    assert named(Mine("val_loss"), "EarlyStopping") and not named(Mine("val_loss"), "Timer")

    class Timer:
        """A user's own, by the same name."""

    assert not named(Timer(), "Timer")
