"""Reads the JUnit reports of a folder; prints the skipped tests and the sum of all."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

# A test that lacks a privilege says so at the start of its reason.
PRIVILEGE = re.compile(r"privilege:\s*(.*)")


def reason(case: ElementTree.Element, skipped: ElementTree.Element) -> str:
    """Why a test was skipped: pytest says it in the element, GoogleTest in the test's output."""
    text = skipped.get("message", "") + "\n" + (case.findtext("system-out") or "")
    found = PRIVILEGE.search(text)
    return found.group(0).strip() if found else ""


def main(folder: Path) -> int:
    """Prints the summary of the folder's reports."""
    passed = failed = others = 0
    unprivileged: list[str] = []
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            skipped = case.find("skipped")
            if skipped is not None:
                why = reason(case, skipped)
                if why:
                    unprivileged.append(f"  {report.stem}: {name} ({why})")
                else:
                    others += 1
            elif case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"failed: {report.stem}: {name}")
            else:
                passed += 1
    if unprivileged:
        print("Skipped for want of a privilege:", *unprivileged, sep="\n")
    print(f"{passed} passed, {failed} failed, {len(unprivileged) + others} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
