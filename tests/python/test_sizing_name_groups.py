"""Names of parameters, put together by their leading parts."""

from __future__ import annotations

import random

import pytest

from checkroom.sizing._name_groups import ADAPTERS, LORA, group_labels


def labels(*names: str, sizes: list[int] | None = None) -> list[str]:
    return group_labels([tuple(name.split(".")) for name in names], sizes or [1] * len(names))


def layers(stem: str, count: int) -> list[str]:
    return [f"{stem}.{number}.{name}" for number in range(count) for name in ("weight", "bias")]


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["weight", "bias"], {""}),
        (["layer.weight", "layer.bias"], {"layer"}),
        (["net.a.w", "net.b.w"], {"net.a", "net.b"}),
        # The shallowest cut with three groups.
        (["m.vision.conv.w", "m.vision.norm.w", "m.text.w", "m.head.out.w"], {"m.vision", "m.text", "m.head"}),
        (["m.body.a.w", "m.body.b.w", "m.head.w"], {"m.body.a", "m.body.b", "m.head"}),
        (["t.wte.w", "t.wpe.w", *layers("t.h", 48), "lm_head.w"], {"t.wte", "t.wpe", "t.h", "lm_head"}),
        # A module's own tensors stay with it.
        (["net.token", "net.a.w", "net.b.w"], {"net", "net.a", "net.b"}),
        (["net.w.lora_A.default.weight", "net.w.base.weight"], {LORA, "net.w.base"}),
        (["net.adapter.down.w", "net.w.lora_B.weight", "net.w.base.w"], {ADAPTERS, LORA, "net.w.base"}),
        (["q_lora_A.w", "q.w", "flora_head.w"], {LORA, "q", "flora_head"}),
        # Numbered layers in ranges.
        (layers("net", 50), {f"net.{first}-{first + 4}" for first in range(0, 50, 5)}),
        ([*layers("net", 24), "embed.w"], {"embed", *(f"net.{first}-{first + 2}" for first in range(0, 24, 3))}),
        ([*layers("net", 13), "x.lora_A.w"], {LORA, *(f"net.{n}-{n + 1}" for n in range(0, 12, 2)), "net.12"}),
        (["net.007.w", *layers("net", 12)], {"net.007", *(f"net.{n}-{n + 1}" for n in range(0, 12, 2))}),
    ],
)  # fmt: skip
def test_groups(names: list[str], groups: set[str]) -> None:
    assert set(labels(*names)) == groups


def test_what_is_too_much_is_in_one_group() -> None:
    names = [f"part{chr(97 + index)}.w" for index in range(20)]
    sizes = [100 - index for index in range(20)]
    found = labels(*names, sizes=sizes)
    assert found == [*(f"part{chr(97 + index)}" for index in range(11)), *["9 smaller groups"] * 9]


def test_never_more_than_twelve_and_every_tensor_below_its_group() -> None:
    chance = random.Random(1)
    for _ in range(300):
        words = ["a", "b", "net", *map(str, range(chance.randint(1, 40)))]
        names = [".".join(chance.choices(words, k=chance.randint(1, 5))) for _ in range(chance.randint(1, 150))]
        found = labels(*names)
        assert len(found) == len(names)
        assert len(set(found)) <= 12
        for name, label in zip(names, found):
            parent = ".".join(label.split(".")[:-1]) if "-" in label else label
            assert label.endswith("smaller groups") or name.startswith(parent)


def test_nothing_has_no_groups() -> None:
    assert group_labels([], []) == []
