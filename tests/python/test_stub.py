"""The checked-in stub and the compiled module say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import checkroom
import checkroom._core as core

STUB = Path(checkroom.__file__).with_name("_core.pyi")

# What stubtest says of every class that pybind11 makes, and no stub can express: its metaclass, and
# the catch-all __init__ of a class that Python cannot construct.
PYBIND11 = re.compile(
    r"is inconsistent, metaclass differs$|__init__ is inconsistent, stub does not have \*\w+ parameter"
)


def stub_names(body: list[ast.stmt]) -> set[str]:
    """The names that a module's or a class's body in the stub declares."""
    names = set()
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return names


def public(names: object) -> set[str]:
    assert isinstance(names, (set, list))
    return {name for name in names if not name.startswith("_")}


def test_module_holds_the_names_of_the_stub() -> None:
    declared = stub_names(ast.parse(STUB.read_text()).body)
    assert public(declared) == public(dir(core))


def test_classes_hold_the_names_of_the_stub() -> None:
    classes = [node for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ClassDef)]
    assert len(classes) > 10
    differ = {
        node.name: stub ^ module
        for node in classes
        if (stub := public(stub_names(node.body))) != (module := public(dir(getattr(core, node.name))))
    }
    assert differ == {}


def test_arguments_are_those_of_the_stub() -> None:
    """Every argument that the stub names stands in the signature with which its docstring opens."""
    missing = []
    for owner, node in functions(ast.parse(STUB.read_text())):
        overloaded = any(getattr(decorator, "id", "") == "overload" for decorator in node.decorator_list)
        if overloaded or node.name.startswith("_") and node.name != "__init__":
            continue
        function = getattr(getattr(core, owner) if owner else core, node.name)
        if isinstance(function, property):
            continue
        signature = (function.__doc__ or "").partition("\n")[0]
        names = [argument.arg for argument in [*node.args.args, *node.args.kwonlyargs] if argument.arg != "self"]
        for name in names:
            # A class that takes its arguments as **kwargs shows each as a property.
            there = hasattr(getattr(core, owner), name) if "**" in signature else f"{name}:" in signature
            missing += [] if there else [f"{owner}.{node.name}({name})"]
    assert missing == []


def functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.append(("", node))
        elif isinstance(node, ast.ClassDef):
            found += [(node.name, inner) for inner in node.body if isinstance(inner, ast.FunctionDef)]
    return found


def test_stubtest_agrees(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--concise", "checkroom._core"],
        cwd=tmp_path, capture_output=True, text=True,
    )
    said = result.stdout.splitlines()
    assert any(PYBIND11.search(line) for line in said), result.stdout + result.stderr
    assert [line for line in said if not PYBIND11.search(line)] == []
