"""Runs tests of Lightning's with pytest, and writes down what became of each.

    python lightning_suite.py OUTCOMES.json PYTEST_ARGUMENT...       with Lightning's own ModelCheckpoint
    python with_checkroom.py OUTCOMES.json PYTEST_ARGUMENT...        with ours in its place

Scripts, not a pytest plugin: a process that Lightning spawns runs the script again before it unpickles anything, so
the class is the same one there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

__all__ = ["main"]

# From the most telling to the least: a test has three phases, and one of them decides.
_RANK = ("failed", "error", "xpassed", "xfailed", "skipped", "passed")


class Outcomes:
    """What became of each test, and why it failed or was skipped."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xfailed" if report.skipped else "xpassed"
        elif report.failed and report.when != "call":
            outcome = "error"
        elif outcome == "rerun":  # pytest-rerunfailures: another try follows
            return
        why = "" if outcome == "passed" else _why(report)
        known = self.tests.setdefault(_id(report), {"outcome": outcome, "why": why, "seconds": 0.0})
        known["seconds"] += report.duration
        if _RANK.index(outcome) < _RANK.index(known["outcome"]):
            known.update(outcome=outcome, why=why)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.tests[_id(report)] = {"outcome": "error", "why": _why(report), "seconds": 0.0}


def _id(report: Any) -> str:
    """The test's id, from Lightning's folder of tests on."""
    return str(report.nodeid).removeprefix("tests/tests_pytorch/")


def _why(report: Any) -> str:
    """The line that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return f"{Path(crash.path).name}:{crash.lineno}: {crash.message.splitlines()[0] if crash.message else ''}"
    if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
        return str(report.longrepr[2])
    lines = str(report.longrepr or "").strip().splitlines()
    return lines[-1] if lines else ""


def main(arguments: list[str]) -> int:
    """Runs pytest; returns 0 when the tests ran, whatever became of them."""
    path, *arguments = arguments
    outcomes = Outcomes()
    status = pytest.main(arguments, plugins=[outcomes])
    Path(path).write_text(json.dumps(outcomes.tests, indent=1, sort_keys=True))
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
