"""The structure of a pickle, without building one object of it.

A stack machine over an allow-list of opcodes: containers become lists of their children, storages become their key,
classes and functions their name, strings and whole numbers stay, and whatever a class or a function would have made
becomes a container of it and its arguments. Time and memory are bounded by the length of the pickle.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Container", "Global", "PickleError", "Storage", "scan"]


class PickleError(ValueError):
    """What makes the file unreadable; to be completed with its name."""


@dataclass(frozen=True)
class Storage:
    """Tensor data.

    Args:
        key: The name of its record in ``data/``.
        kind: The class of the storage, such as ``torch.FloatStorage``.
    """

    key: str
    kind: str = ""


@dataclass(frozen=True)
class Global:
    """A class or a function, of which only the name is known, such as ``torch._utils._rebuild_tensor_v2``."""

    name: str


class Container:
    """A dict, list, tuple, set, or the object that a call would have made.

    Args:
        children: What it holds, in order; of a dict keys and values in turn.
    """

    __slots__ = ("children", "entries")

    def __init__(self, children: list[Any]) -> None:
        self.children = children
        self.entries: list[tuple[Any, Any]] = []

    def put(self, items: list[Any]) -> None:
        """Keys and values in turn."""
        if len(items) % 2:
            raise PickleError("a key has no value")
        self.children.extend(items)
        self.entries.extend(zip(items[::2], items[1::2]))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values, where it is a dict."""
        return iter(self.entries)


class _Mark:
    pass


_MARK = _Mark()
_OTHER = object()


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("its pickle is damaged: the stack is empty")
        return self.stack.pop()

    def top(self) -> Container:
        top = self.stack[-1] if self.stack else None
        if not isinstance(top, Container):
            raise PickleError("its pickle is damaged: a value is put into something that is no container")
        return top

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while True:
            if not self.stack:
                raise PickleError("its pickle is damaged: a mark is missing")
            item = self.stack.pop()
            if item is _MARK:
                items.reverse()
                return items
            items.append(item)

    # -- opcodes, by what they do

    def push_argument(self, argument: Any) -> None:
        self.stack.append(argument)

    def push_other(self, argument: Any) -> None:
        self.stack.append(_OTHER)

    def push_global(self, argument: Any) -> None:
        self.stack.append(Global(argument.replace(" ", ".")))

    def stack_global(self, argument: Any) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(Global(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""))

    def push_container(self, argument: Any) -> None:
        self.stack.append(Container([]))

    def mark(self, argument: Any) -> None:
        self.stack.append(_MARK)

    def build_from_mark(self, argument: Any) -> None:
        self.stack.append(Container(self.pop_to_mark()))

    def dict_from_mark(self, argument: Any) -> None:
        container = Container([])
        container.put(self.pop_to_mark())
        self.stack.append(container)

    def take(self, count: int) -> Callable[[Any], None]:
        def build(argument: Any) -> None:
            items = [self.pop() for _ in range(count)]
            self.stack.append(Container(items[::-1]))

        return build

    def append(self, argument: Any) -> None:
        value = self.pop()
        self.top().children.append(value)

    def extend(self, argument: Any) -> None:
        items = self.pop_to_mark()
        self.top().children.extend(items)

    def set_item(self, argument: Any) -> None:
        value, key = self.pop(), self.pop()
        self.top().put([key, value])

    def set_items(self, argument: Any) -> None:
        items = self.pop_to_mark()
        self.top().put(items)

    def put(self, argument: Any) -> None:
        if not self.stack:
            raise PickleError("its pickle is damaged: nothing to remember")
        self.memo[argument] = self.stack[-1]

    def memoize(self, argument: Any) -> None:
        self.put(len(self.memo))

    def get(self, argument: Any) -> None:
        if argument not in self.memo:
            raise PickleError("its pickle is damaged: something is used that was never made")
        self.stack.append(self.memo[argument])

    def drop(self, argument: Any) -> None:
        if not self.stack:
            raise PickleError("its pickle is damaged: the stack is empty")
        self.stack.pop()

    def drop_to_mark(self, argument: Any) -> None:
        self.pop_to_mark()

    def duplicate(self, argument: Any) -> None:
        value = self.pop()
        self.stack += [value, value]

    def persistent(self, argument: Any) -> None:
        pid = self.pop()
        fields = pid.children if isinstance(pid, Container) else []
        if len(fields) < 3 or fields[0] != "storage" or not isinstance(fields[2], str):
            raise PickleError("its pickle refers to something that is not a storage")
        self.stack.append(Storage(fields[2], fields[1].name if isinstance(fields[1], Global) else ""))

    def ignore(self, argument: Any) -> None:
        pass


def _actions(machine: _Machine) -> dict[str, Callable[[Any], None]]:
    numbers = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4")
    others = (
        "NONE", "NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    )  # fmt: skip
    texts = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING")
    return {
        **dict.fromkeys((*texts, *numbers), machine.push_argument),
        **dict.fromkeys(others, machine.push_other),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), machine.put),
        **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), machine.get),
        **dict.fromkeys(("EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "EMPTY_TUPLE"), machine.push_container),
        **dict.fromkeys(("TUPLE", "LIST", "FROZENSET", "OBJ", "INST"), machine.build_from_mark),
        **dict.fromkeys(("REDUCE", "NEWOBJ"), machine.take(2)),
        **dict.fromkeys(("APPENDS", "ADDITEMS"), machine.extend),
        # A state is one more thing that the object holds.
        **dict.fromkeys(("APPEND", "BUILD"), machine.append),
        **dict.fromkeys(("PROTO", "FRAME"), machine.ignore),
        "NEWOBJ_EX": machine.take(3),
        "TUPLE1": machine.take(1),
        "TUPLE2": machine.take(2),
        "TUPLE3": machine.take(3),
        "DICT": machine.dict_from_mark,
        "SETITEM": machine.set_item,
        "SETITEMS": machine.set_items,
        "MARK": machine.mark,
        "GLOBAL": machine.push_global,
        "STACK_GLOBAL": machine.stack_global,
        "MEMOIZE": machine.memoize,
        "POP": machine.drop,
        "POP_MARK": machine.drop_to_mark,
        "DUP": machine.duplicate,
        "BINPERSID": machine.persistent,
    }


def scan(data: bytes) -> Any:
    """The structure of a pickle.

    Args:
        data: One pickle of ``torch.save``.

    Returns:
        A :class:`Container`, a :class:`Storage`, or something without storages.

    Raises:
        PickleError: The pickle is damaged, or uses an opcode that no checkpoint needs.
    """
    machine = _Machine()
    actions = _actions(machine)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.pop()
            action = actions.get(opcode.name)
            if action is None:
                raise PickleError(f"its pickle uses {opcode.name}, which no checkpoint needs")
            action(argument)
    except PickleError:
        raise
    except ValueError as error:  # genops: an argument that is cut off or no number
        raise PickleError(f"its pickle is damaged: {error}") from error
    raise PickleError("its pickle is damaged: it has no end")
