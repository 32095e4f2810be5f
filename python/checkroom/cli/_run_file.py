"""A run file: a TOML file whose keys are the flags of a command, with ``_`` for ``-``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkroom.cli._errors import CommandError, closest, quoted
from checkroom.cli._values import Given

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

__all__ = ["RunFile", "read_run_file"]

# A run file is a page or two; something larger is another file, perhaps without an end.
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class RunFile:
    """What a run file says, not yet made sense of.

    Attributes:
        values: By key, as a flag would give them.
        policies: ``[policies.NAME]``: by name, the arguments by key.
        strategies: ``[strategies.NAME]``: the same, with ``epochs``.
        remarks: What the reader should know about it.
        together: Do the policies act in one run, and not in its stead?
    """

    values: dict[str, Given] = field(default_factory=dict)
    policies: dict[str, dict[str, Given]] = field(default_factory=dict)
    strategies: dict[str, dict[str, Given]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    together: bool = False


def read_run_file(path: Path, *, keys: Collection[str], tables: Mapping[str, Collection[str]]) -> RunFile:
    """Reads a run file and refuses every key that is not known.

    Args:
        path: The file.
        keys: The keys at the top of the file.
        tables: ``policies`` and ``strategies``: the keys that each of their tables may have.

    Raises:
        CommandError: The file cannot be read, is not TOML (line and column), or has an unknown key.
    """
    raw = _parse(path)
    result = RunFile()
    for key, value in raw.items():
        if key in tables:
            named = _tables(path, key, value, tables[key])
            getattr(result, key).update(named)
        elif key not in keys:
            raise CommandError(f"{path}: unknown key {quoted(key)}{_closest_key(key, keys, tables)}")
        elif isinstance(value, dict):
            raise CommandError(f"{path}: [{key}] is a table, but {quoted(key)} takes a value (write {key} = ...)")
        else:
            result.values[key] = Given(value, f"{path}: {key}", path.parent)
    return result


def _closest_key(key: str, keys: Collection[str], tables: Mapping[str, Collection[str]]) -> str:
    return closest(key, [*keys, *tables])


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise CommandError(f"--run: {quoted(path)}: too large for a run file (give the path of a TOML file)")
        raw: dict[str, Any] = tomllib.loads(content.decode("utf-8-sig"))  # some editors write a mark of order
        return raw
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CommandError(f"--run: {quoted(path)}: {reason} (give the path of a run file)") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not a TOML file: byte {error.start} is not UTF-8 (save it as UTF-8)") from None
    except RecursionError:
        raise CommandError(f"{path}: not a run file: it is nested too deeply (write key = value)") from None
    except ValueError as error:
        # The parser's text ends in "(at line 3, column 7)"; a number of too many digits has a text of its own.
        raise CommandError(f"{path}: not TOML: {quoted(error)[1:-1]}") from None


def _tables(path: Path, group: str, value: Any, keys: Collection[str]) -> dict[str, dict[str, Given]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise CommandError(f"{path}: {quoted(group)} holds named tables (write [{group}.NAME] above the arguments)")
    result: dict[str, dict[str, Given]] = {}
    for name, table in value.items():
        if not name.strip() or not name.isprintable():
            raise CommandError(f"{path}: [{group}]: not a name: {quoted(name)} (write letters and digits)")
        for key in table:
            if key not in keys:
                raise CommandError(f"{path}: [{group}.{name}]: unknown key {quoted(key)}{closest(key, keys)}")
        result[name] = {
            key: Given(item, f"{path}: [{group}.{name}] {key}", path.parent) for key, item in table.items()
        }
    return result
