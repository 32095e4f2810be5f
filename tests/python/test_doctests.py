"""The examples in the docstrings of the compiled module, which pytest's own collection cannot see."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator

import pytest

import checkroom
import checkroom._core as core


def documented(owner: object, prefix: str) -> Iterator[tuple[str, str]]:
    """The names and docstrings of what a module or class holds, classes opened."""
    for name, member in sorted(vars(owner).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if not (inspect.isroutine(member) or inspect.isclass(member) or isinstance(member, property)):
            continue
        if ">>>" in (member.__doc__ or ""):
            yield f"{prefix}.{name}", member.__doc__ or ""
        if inspect.isclass(member):
            yield from documented(member, f"{prefix}.{name}")


EXAMPLES = dict(documented(core, "_core"))


def test_there_are_examples() -> None:
    assert {"_core.parse_size", "_core.format_size"} <= EXAMPLES.keys()


def test_every_public_value_is_explained() -> None:
    """By a docstring of its own, or by a line of its class's."""
    unexplained = [
        f"{owner.__name__}.{name}"
        for owner in map(vars(checkroom).get, checkroom.__all__)
        if inspect.isclass(owner)
        for name, member in vars(owner).items()
        if isinstance(member, property) and not member.__doc__ and f"    {name}: " not in (owner.__doc__ or "")
    ]
    assert unexplained == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, None)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=said.append)
    assert said == [], "".join(said)
