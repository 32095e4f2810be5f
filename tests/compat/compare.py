"""Compares what became of Lightning's tests with its own ModelCheckpoint and with ours.

    python compare.py --select SUITE                                 the tests to run, as pytest's arguments
    python compare.py --version 2.6.5 --expected FILE THEIRS OURS    the comparison; exit 1: an unexplained difference

Needs nothing but Python and, before 3.11, tomli.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Comparison", "Expected", "compare", "read_expected"]

# The tests of ModelCheckpoint, of restoring and of checkpoint plugins: paths below tests/tests_pytorch. What an older
# release does not have yet is left out.
SELECTION = (
    "callbacks/test_model_checkpoint_*.py",
    "checkpointing",
    "core/test_saving.py",
    "models/test_restore.py",
    "plugins/test_async_checkpoint.py",
    "plugins/test_checkpoint_io_plugin.py",
    "trainer/connectors/test_checkpoint_connector.py",
)
# Its files are no part of the repository: Lightning's CI downloads them.
LEGACY_TESTS = "test_legacy_checkpoints.py"


@dataclass(frozen=True)
class Expected:
    """A difference that was looked at, from ``tests/compat/expected.toml``.

    Args:
        test: Its id, ``*`` stands for anything.
        reason: Why the test cannot pass with another class.
        since: The first version of Lightning for which it holds.
    """

    test: str
    reason: str
    since: str

    def covers(self, test: str, version: str) -> bool:
        """Does it explain this test of this version?"""
        return fnmatch.fnmatchcase(test, self.test.replace("[", "[[]")) and _number(version) >= _number(self.since)


@dataclass(frozen=True)
class Comparison:
    """What differs.

    Args:
        lost: Tests that pass with Lightning's class only: id, what became of it with ours, why.
        won: Tests that pass with ours only.
        stale: Expected differences that are none: a test of theirs ran and passes with both.
    """

    lost: tuple[tuple[str, str, str], ...]
    won: tuple[str, ...]
    stale: tuple[Expected, ...]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def read_expected(path: Path) -> tuple[Expected, ...]:
    """The differences that were looked at.

    Raises:
        ValueError: An entry lacks its reason, or has a key that is not known.
    """
    entries = tomllib.loads(path.read_text()).get("difference", [])
    for entry in entries:
        if entry.keys() != {"test", "reason", "since"} or not entry["reason"].strip():
            raise ValueError(f"{path}: {entry!r} does not have exactly a test, a reason and a since")
    return tuple(Expected(**entry) for entry in entries)


def compare(
    theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]], expected: tuple[Expected, ...], version: str
) -> Comparison:
    """Which tests pass with one of the two only, and which expectations are out of date."""
    passed = {test for test, result in theirs.items() if result["outcome"] == "passed"}
    ours_passed = {test for test, result in ours.items() if result["outcome"] == "passed"}
    missing = {"outcome": "not run", "why": "the test is not there with our class"}
    lost = tuple(
        (test, ours.get(test, missing)["outcome"], ours.get(test, missing)["why"])
        for test in sorted(passed - ours_passed)
    )
    explained = [entry for entry in expected if any(entry.covers(test, version) for test in passed & ours_passed)]
    stale = tuple(entry for entry in explained if not any(entry.covers(test, version) for test, _, _ in lost))
    return Comparison(lost, tuple(sorted(ours_passed - passed)), stale)


def report(
    theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]], expected: tuple[Expected, ...], version: str
) -> bool:
    """Prints counts and differences; returns whether all of them are explained."""
    result = compare(theirs, ours, expected, version)
    print(f"Lightning {version}, its own tests: passed / failed / skipped")
    print(f"  {'':<16}{'its ModelCheckpoint':>22}{'ours':>22}")
    folders = sorted({_folder(test) for test in (*theirs, *ours)})
    for folder in (*folders, "all"):
        print(f"  {folder:<16}{_counts(theirs, folder):>22}{_counts(ours, folder):>22}")
    print(f"\nPassing with Lightning's class only: {len(result.lost)}")
    unexplained = 0
    for test, outcome, why in result.lost:
        reason = next((entry.reason for entry in expected if entry.covers(test, version)), None)
        unexplained += reason is None
        print(f"  {test}: {outcome}\n      {why}")
        print(f"      {'NOT EXPLAINED' if reason is None else 'expected: ' + ' '.join(reason.split())}")
    if result.won:
        print(f"\nPassing with ours only: {len(result.won)}")
        for test in result.won:
            print(f"  {test}\n      with Lightning's: {theirs.get(test, {}).get('why', 'not there')}")
    for entry in result.stale:
        print(f"\nOut of date in expected.toml: {entry.test} passes with both")
    return not unexplained and not result.stale


def _folder(test: str) -> str:
    path = test.partition("::")[0]
    return path.partition("/")[0] if "/" in path else path


def _counts(outcomes: dict[str, dict[str, Any]], folder: str) -> str:
    counts = Counter(
        result["outcome"] for test, result in outcomes.items() if folder == "all" or _folder(test) == folder
    )
    skipped = counts["skipped"] + counts["xfailed"]
    return f"{counts['passed']} / {counts.total() - counts['passed'] - skipped} / {skipped}"


def _select(suite: Path) -> list[str]:
    tests = suite / "tests" / "tests_pytorch"
    found = [path for pattern in SELECTION for path in sorted(tests.glob(pattern))]
    legacy = (suite / "tests" / "legacy" / "checkpoints").glob("*/*.ckpt")
    ignored = [] if any(legacy) else [f"--ignore-glob=*/{LEGACY_TESTS}"]
    return [str(path.relative_to(tests)) for path in found] + ignored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--select", action="store_true")
    parser.add_argument("--version")
    parser.add_argument("--expected", type=Path)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    if arguments.select:
        print("\n".join(_select(arguments.files[0])))
        return 0
    theirs, ours = (json.loads(path.read_text()) for path in arguments.files)
    expected = read_expected(arguments.expected)
    return 0 if report(theirs, ours, expected, arguments.version) else 1


if __name__ == "__main__":
    sys.exit(main())
