"""One policy: Lightning's arguments, read, checked and written as a call."""

from __future__ import annotations

import pytest

from checkroom.cli._errors import CommandError
from checkroom.cli._policy import Policy, doubled_metric_names, policy, policy_text
from checkroom.cli._values import Given


def make(**arguments: object) -> Policy:
    return policy("small", {key: Given(value, key) for key, value in arguments.items()}, "policy small")


def test_arguments_keep_their_order_and_become_values() -> None:
    made = make(monitor="val_loss", save_top_k="3", save_last="true")
    assert made.arguments == (("monitor", "val_loss"), ("save_top_k", 3), ("save_last", True))
    assert made.call == 'ModelCheckpoint(monitor="val_loss", save_top_k=3, save_last=True)'


def test_a_label_stands_for_a_name_that_nobody_gave() -> None:
    assert Policy("flags", label="your flags").title == "your flags"
    assert Policy("flags").title == "flags"
    assert Policy("flags", label="your flags") == Policy("flags")


def test_the_forecast_is_told_nothing_of_names() -> None:
    made = make(filename="a", auto_insert_metric_name="false", every_n_epochs=2)
    assert made.run_spec == {"every_n_epochs": 2}


@pytest.mark.parametrize(("value", "expected"), [("true", True), (False, False), ("link", "link")])
def test_save_last(value: object, expected: object) -> None:
    assert make(save_last=value).get("save_last") == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"save_topk": 3}, "unknown argument 'save_topk'; did you mean 'save_top_k'?"),
        ({"zzz": 3}, "known are save_top_k, every_n_epochs"),
        ({"save_top_k": 3}, "'3' best of what?"),
        ({"save_top_k": "-2"}, "less than -1: '-2'"),
        ({"save_last": "maybe"}, "not true, false or link: 'maybe'"),
        ({"mode": "mid"}, "not one of min, max: 'mid'"),
        ({"every_n_epochs": 1, "every_n_train_steps": 5}, "exclude each other"),
    ],
)
def test_refusals(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(CommandError) as caught:
        make(**arguments)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("filename", "doubled"),
    [
        ("epoch_{epoch:02d}-val_loss={val_loss:.3f}", ("epoch", "val_loss")),
        ("{epoch}-{val_loss:.2f}", ()),
        ("best-{step}", ()),
        ("val_loss={val_loss:.3f}-{epoch}", ("val_loss",)),
        ("loss={val_loss}", ()),
        ("", ()),
    ],
)
def test_doubled_metric_names(filename: str, doubled: tuple[str, ...]) -> None:
    assert doubled_metric_names(filename) == doubled


def test_doubled_names_are_what_lightning_writes() -> None:
    checkpoint = pytest.importorskip("lightning.pytorch.callbacks").ModelCheckpoint
    filename = "epoch_{epoch:02d}-val_loss={val_loss:.3f}"
    metrics = {"epoch": 4, "val_loss": 0.96}
    bad = checkpoint(filename=filename).format_checkpoint_name(metrics)
    good = checkpoint(filename=filename, auto_insert_metric_name=False).format_checkpoint_name(metrics)
    assert (bad, good) == ("epoch_epoch=04-val_loss=val_loss=0.960.ckpt", "epoch_04-val_loss=0.960.ckpt")


def test_the_call_to_paste_inserts_no_name_twice() -> None:
    made = make(filename="a={a}")
    assert made.call == 'ModelCheckpoint(filename="a={a}", auto_insert_metric_name=False)'
    assert make(filename="a={a}", auto_insert_metric_name=False).doubled == ()


def test_policy_text() -> None:
    name, arguments = policy_text(Given("two: save_top_k=2 ,monitor=val_loss", "--policy"))
    assert name == "two"
    assert {key: value.value for key, value in arguments.items()} == {"save_top_k": "2", "monitor": "val_loss"}
    assert arguments["save_top_k"].where == "--policy two: save_top_k"
    assert policy_text(Given("plain:", "--policy")) == ("plain", {})


@pytest.mark.parametrize("text", ["two", ":save_top_k=2", "save_top_k=2:x", "two:save_top_k", "two:save_top_k=", "",
                                  "two:mode=min,mode=max", "a\x1b[31m:mode=min"])
def test_no_policy_text(text: str) -> None:
    with pytest.raises(CommandError, match="^--policy: "):
        policy_text(Given(text, "--policy"))
