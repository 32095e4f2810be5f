"""What ``checkroom preflight`` answers: the verdict file of a rehearsal, read for a person and for a program.

Values in, values out. ``docs/formats.md`` says what a verdict file holds.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from typing import Any

from checkroom import _core
from checkroom._core import format_size
from checkroom._figures import spec_from
from checkroom._sentinel.verdict import FORMAT
from checkroom.cli._errors import CommandError
from checkroom.cli._plot import Row, Space
from checkroom.cli._script import Ending
from checkroom.cli._together import need_together

__all__ = ["as_json", "as_text", "exit_code", "plot_rows", "preflight_data", "without_verdict"]

# From the best to the worst.
_VERDICTS = ("fits", "unknown", "may_not_fit", "does_not_fit")
_WORDS = {"fits": "fits", "unknown": "unknown", "may_not_fit": "may not fit", "does_not_fit": "does not fit"}
_LONGEST_PATH = 40  # as the name of a picture
_DEFAULT_CLASS = "callbacks.model_checkpoint.ModelCheckpoint"


def preflight_data(ending: Ending, command: Sequence[str]) -> dict[str, Any]:
    """The answer as plain values; the keys are public: add, never rename.

    Raises:
        CommandError: There is no preflight to report, and why.
    """
    verdict = ending.verdict
    if verdict is None:
        raise CommandError(_without_preflight(ending))
    if verdict["format"] != FORMAT:
        raise CommandError(
            f"the script's checkroom writes verdicts of format {verdict['format']}, this one reads {FORMAT} "
            "(install the same version in both places)"
        )
    if verdict["state"] != "done":
        raise CommandError(_obstacle(verdict))
    callbacks = verdict["callbacks"]
    together = _together(callbacks)
    return {
        "format": FORMAT,
        "verdict": max((entry["verdict"] for entry in (*callbacks, *together)), key=_VERDICTS.index),
        "command": list(command),
        "lightning": {"package": verdict["package"], "version": verdict["version"]},
        "callbacks": callbacks,
        "together": together,
        "not_counted": verdict["not_counted"],
    }


def exit_code(data: dict[str, Any]) -> int:
    """0: fits; 1: does not, or may not; 2: nobody can say."""
    return {"fits": 0, "unknown": 2}.get(data["verdict"], 1)


def without_verdict(data: dict[str, Any]) -> str:
    """Why nobody can say whether the run fits; empty: there is a verdict."""
    if data["verdict"] != "unknown":
        return ""
    unknown = next(entry for entry in data["callbacks"] if entry["verdict"] == "unknown")
    return f"no verdict on {unknown['directory']}: {unknown['message']}"


def as_json(data: dict[str, Any]) -> str:
    """One JSON object, indented, that ends in a newline."""
    return json.dumps(data, indent=2) + "\n"


def as_text(data: dict[str, Any]) -> str:
    """The preflight of each callback as the run itself prints it, and what follows from it."""
    lines = []
    for entry in data["callbacks"]:
        lines.append(entry["text"])
        lines += [f"checkroom: {remark}" for remark in entry["remarks"]]
        lines += [
            f"checkroom: the run would remove {leaving['name']} at its start: {leaving['reason']}"
            for leaving in entry["leaving"]
        ]
        if entry["message"] and entry["verdict"] != "unknown":  # that the text itself says
            certain = "the run cannot fit: " if entry["verdict"] == "does_not_fit" else ""
            lines.append(f"checkroom: {certain}{entry['message']}")
    for entry in data["together"]:
        lines.append(
            f"checkroom: together on one filesystem: needs {format_size(entry['need_bytes'])}, has "
            f"{format_size(entry['have_bytes'])}: {_WORDS[entry['verdict']]}"
        )
    for name in data["not_counted"]:
        lines.append(f"checkroom: not counted: {_public(name)} of the same trainer writes as well")
    if len(data["callbacks"]) > 1:
        lines.append(f"checkroom: the {len(data['callbacks'])} callbacks: {_WORDS[data['verdict']]}")
    return "\n".join(lines) + "\n"


def plot_rows(data: dict[str, Any]) -> list[Row]:
    """What ``--plot`` draws: a row for each callback whose figures are known.

    Raises:
        CommandError: The script's checkroom has arguments of a run that this one does not know.
    """
    rows = []
    for entry in data["callbacks"]:
        figures = entry["figures"]
        if figures is None:
            continue
        try:
            spec = spec_from(figures["run_spec"])
        except (TypeError, ValueError) as error:
            raise CommandError(
                f"--plot: the script's checkroom is another one: {error} (install the same version in both places)"
            ) from None
        free, own = figures["free_bytes"], figures["own_bytes"]
        space = Space(None if free is None else free + own, figures["floor_bytes"], figures["used_bytes"])
        rows.append(Row(_short_path(entry["directory"]), spec, space))
    return rows


def _short_path(path: str) -> str:
    """As seen from here; of a long one the end, which tells runs apart."""
    here = os.path.relpath(path)
    short = path if here.startswith(os.pardir) else here
    return short if len(short) <= _LONGEST_PATH else f"...{short[3 - _LONGEST_PATH :]}"


def _together(callbacks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where several callbacks share a filesystem: does what they need together fit?"""
    result = []
    figures = [entry["figures"] for entry in callbacks if entry["figures"] is not None]
    for device in sorted({each["device"] for each in figures}):
        shared = [each for each in figures if each["device"] == device]
        if len(shared) < 2 or shared[0]["free_bytes"] is None:
            continue
        # What earlier fits of these runs have left makes room for their next files.
        free = min(each["free_bytes"] for each in shared) + sum(each["own_bytes"] for each in shared)
        floor = max(each["floor_bytes"] for each in shared)
        certain = sum(_at_rest(each, "least") for each in shared)
        most = need_together([_at_rest(each, "most") for each in shared], [_peak(each) for each in shared])
        verdict, need = "fits", most
        if _short(certain, free, floor):
            verdict, need = "does_not_fit", certain
        elif _short(most, free, floor):
            verdict = "may_not_fit"
        directories = [entry["directory"] for entry in callbacks if entry["figures"] in shared]
        have = _core.admit(file_bytes=need, available=free, floor=floor).have
        result.append({"directories": directories, "verdict": verdict, "need_bytes": need, "have_bytes": have})
    return result


def _at_rest(figures: dict[str, Any], end: str) -> int:
    """A run without an end may have no such figure: its first file is certain."""
    range_ = figures["at_rest_bytes"]
    return int(figures["checkpoint_bytes"] if range_ is None else range_[end])


def _peak(figures: dict[str, Any]) -> int:
    range_ = figures["peak_bytes"]["checkroom"]
    return _at_rest(figures, "most") if range_ is None else int(range_["most"])


def _short(need: int, free: int, floor: int) -> bool:
    return _core.admit(file_bytes=need, available=free, floor=floor).verdict == "refuse"


def _without_preflight(ending: Ending) -> str:
    code = ending.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    reason = f" (a fit was left with {ending.error})" if ending.error else ""
    advice = "" if code or ending.error else " (is fit called? preflight stops it there)"
    return f"the script {how} before the first batch of a Trainer{reason}{advice}"


def _obstacle(verdict: dict[str, Any]) -> str:
    """Why a trainer that was about to train has no preflight, and the way out."""
    state = verdict["state"]
    if state == "no_callback":
        return _line_to_change(verdict)
    if state == "fast_dev_run":
        return "the Trainer has fast_dev_run, with which it writes no checkpoint (take it out for the preflight)"
    if state == "unguarded":
        reasons = "; ".join(verdict["reasons"]) or "its saves are Lightning's own"
        return f"checkroom cannot guard this run, and so knows nothing of it: {reasons}"
    names = ", ".join(map(_public, verdict["found"]))
    return f"{names} made no preflight: on_train_start does not reach checkroom's, or the script's checkroom is older"


def _line_to_change(verdict: dict[str, Any]) -> str:
    package = verdict["package"]
    theirs = "lightning.pytorch.callbacks" if package == "lightning" else f"{package}.callbacks"
    found = [_public(name) for name in verdict["found"]]
    default = f"{theirs}.ModelCheckpoint"
    install = "" if verdict["installed"] else f" (and install checkroom there: {verdict['python']} has none)"
    if not found:
        return (
            "the Trainer has no ModelCheckpoint and writes no checkpoint: nothing to forecast (to have one: "
            f"'from checkroom.{package} import ModelCheckpoint'){install}"
        )
    has = f"the Trainer has no callback of checkroom, but {', '.join(found)}: "
    if default not in found:
        return f"{has}derive it from checkroom.{package}.ModelCheckpoint{install}"
    if verdict["from_config"]:
        change = f"write 'class_path: checkroom.{package}.ModelCheckpoint' instead of 'class_path: {default}'"
    else:
        line = "import ModelCheckpoint'"
        change = f"write 'from checkroom.{package} {line} instead of 'from {theirs} {line}"
    return f"{has}{change}; where none is named, Lightning adds its own: name ours in callbacks{install}"


def _public(name: str) -> str:
    """The name by which a class is imported."""
    head, found, tail = name.rpartition(_DEFAULT_CLASS)
    return f"{head}callbacks.ModelCheckpoint" if found and not tail else name
