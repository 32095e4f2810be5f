"""Before the first batch: how much the run will need, what is there, and whether it fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from checkroom import _core
from checkroom._core import Item, RunSpec, format_size
from checkroom._errors import PreflightError
from checkroom._figures import Span, figure, preflight_figures
from checkroom._going_on import Ahead
from checkroom._guard import Guard, shortage
from checkroom._names import doubled_metric_names
from checkroom._options import GuardOptions
from checkroom._run_spec import goes_by_hours, run_spec
from checkroom._sizes import Sizes

__all__ = ["Report", "Sizes", "measure", "preflight", "remarks"]

_MOST_TRAPS = 5  # that get a line of their own


@dataclass(frozen=True)
class Report:
    """The preflight: text for a person, and what follows from it.

    Args:
        text: What is printed.
        warning: What may go wrong; empty: nothing.
        error: What cannot fit; empty: nothing.
        unknown: Why there is no verdict; empty: there is one.
        need: Bytes that are needed at least.
        have: Bytes that there are.
        short_by: Bytes that must come free.
        limit: What limits.
        figures: What it found, as plain values; ``None``: it could not be made.
    """

    text: str
    warning: str = ""
    error: str = ""
    unknown: str = ""
    need: int | None = None
    have: int | None = None
    short_by: int | None = None
    limit: str | None = None
    figures: dict[str, Any] | None = None

    @property
    def verdict(self) -> Literal["fits", "may_not_fit", "does_not_fit", "unknown"]:
        """In one word."""
        if self.error:
            return "does_not_fit"
        if self.warning:
            return "may_not_fit"
        return "unknown" if self.unknown else "fits"


def measure(callback: Any, trainer: Any, guard: Guard | None) -> Report:
    """Makes the report on rank 0, where the guard is, and tells every rank."""
    report = None
    if guard is not None:
        try:
            report = _report(callback, trainer, guard)
        except Exception as error:  # a preflight that cannot be made must not stop a run that may well fit
            unknown = f"{type(error).__name__}: {error}"
            report = Report(f"checkroom: no preflight: {unknown}", unknown=unknown)
    answer: Report = trainer.strategy.broadcast(report)
    return answer


def preflight(callback: Any, trainer: Any, guard: Guard | None) -> None:
    """Measures on rank 0, tells every rank, and acts alike on all.

    Raises:
        PreflightError: With ``preflight="error"``, in a fresh run, when what is certain cannot fit.
    """
    options: GuardOptions = callback.guard_options
    if options.preflight == "off":
        if guard is not None:
            callback._sizes.predict(callback, trainer)  # each save asks for it
        return
    report = measure(callback, trainer, guard)
    callback._say(report.text)
    for note in remarks(callback):
        callback._warn(f"checkroom: {note}")
    if report.error and options.preflight == "error" and trainer.ckpt_path is None:
        raise PreflightError(
            f"the run cannot fit: {report.error}",
            need=report.need,
            have=report.have,
            short_by=report.short_by,
            limit=report.limit,
            path=os.fspath(callback.dirpath),
        )
    if report.error or report.warning:
        callback._warn(f"checkroom: {report.warning or 'the run may not fit: ' + report.error}")


def _report(callback: Any, trainer: Any, guard: Guard) -> Report:
    sizes: Sizes = callback._sizes
    sizes.predict(callback, trainer)
    if not sizes.expected:
        unknown = f"the size of a checkpoint is not known yet ({'; '.join(sizes.notes)})"
        return Report(f"checkroom preflight: {unknown}", unknown=unknown)
    # In a rehearsal, what a resume lets go at its start is still there.
    stays = {item["name"] for item in callback._inventory}
    kept = [item for item in guard.store.inventory() if item.name in stays]
    resumed_from = callback._resumed_from(trainer)
    # What an earlier fit of this run left is part of what the run needs, and so of what it has.
    used = guard.store.used_bytes()
    own = max(0, used - sum(size for _, size in guard.store.foreign()))
    used -= own
    cap = guard.options.cap
    spec = run_spec(callback, trainer, sizes.typical)
    # Of the cap the run has what others leave.
    spec = spec if cap is None else spec.replace(max_size=max(0, cap - used))
    ours = Ahead(spec, kept, resumed_from)
    alone = Ahead(spec.replace(writer="lightning", max_size=None, keep=()), kept)
    space = _core.free_space(guard.directory)
    available = None if space.available is None else space.available + own

    def fits(need: int) -> _core.Admission:
        return _core.admit(
            file_bytes=need,
            available=available,
            inodes=space.inodes,
            cap=cap,
            used=used,
            floor=guard.options.floor,
        )

    smallest = Ahead(spec.replace(checkpoint_bytes=sizes.certain), kept, resumed_from)
    rest, peak = figure(smallest, "at_rest_bytes"), figure(ours, "peak_bytes")
    first_file = 0 if spec.save_count == 0 else sizes.certain
    least = max(first_file, 0 if rest is None else rest.least)
    asked = least if peak is None else max(least, peak.most)
    certain, most = fits(least), fits(asked)
    # Advice is about the whole run: arguments that keep less let go of what is there.
    whole = spec.replace(start_epoch=0, start_step=0) if kept else spec
    whole = whole.replace(existing_bytes=used, max_size=cap)
    error = warning = unknown = ""
    if certain.verdict == "refuse" and least:  # a run that saves nothing needs nothing
        error = f"{_shortage(certain)}{_way_out(whole, certain, least)}"
    elif most.verdict == "refuse" and asked:
        first = ours.first_save_that_may_not_fit(most.have)
        where = "" if first is None else f" (first at epoch {first.epoch}, step {first.step})"
        warning = f"a save may not fit{where}: {_shortage(most)}{_way_out(whole, most, asked)}"
    elif most.limit == "none" and asked:
        unknown = f"{space.filesystem} does not say what is free (give max_size: the cap then decides)"
    binding = certain if error else most
    verdict = "does not fit" if error else "may not fit" if warning else f"unknown: {unknown}" if unknown else ""
    text = _text(callback, ours, alone, kept, space, guard, binding, verdict)
    floor = guard.options.floor
    figures = preflight_figures(
        ours, alone, space, binding, exact=sizes.exact, floor=floor, cap=cap, used=used, own=own,
        traps=sizes.traps,
    )  # fmt: skip
    return Report(
        text, warning, error, unknown, binding.need, binding.have, binding.short_by, binding.limit, figures
    )


def _shortage(admission: _core.Admission) -> str:
    return shortage(admission.need, admission.have, admission.short_by, admission.limit)


def _way_out(spec: RunSpec, admission: _core.Admission, asked: int) -> str:
    """What would fit instead, by the same advice as ``checkroom advise``.

    Args:
        spec: The run, with what others have in the directory: a cap counts that.
        admission: The refusal.
        asked: The bytes for which it was asked: what it needs beside them is no checkpoint's.
    """
    others = spec.existing_bytes
    advice = _core.advise(spec, others + max(0, admission.have - (admission.need - asked)))

    def needs(way: _core.Configuration) -> str:
        return format_size((way.need_bytes or others) - others)

    if advice.short_by:
        text = f"; nothing fits: {advice.smallest.call} needs the least, {needs(advice.smallest)}"
        if advice.fitting_checkpoint_bytes:
            text += f", and would fit with checkpoints of {format_size(advice.fitting_checkpoint_bytes)}"
        return text
    calls = [option for option in advice.options if option.kind != "cap"]
    # Whoever asked for a `last` is shown one first.
    calls.sort(key=lambda option: bool(option.spec.save_last) != bool(spec.save_last))
    ways = [*calls[:1], *(option for option in advice.options if option.kind == "cap")]
    if not ways:
        return ""
    lines = [f"    {way.call}  # needs {needs(way)}" for way in ways]
    return "\n".join(["; what would fit:", *lines])


def _text(
    callback: Any,
    ours: Ahead,
    alone: Ahead,
    kept: list[Item],
    space: _core.FreeSpace,
    guard: Guard,
    admission: _core.Admission,
    verdict: str,
) -> str:
    """The report for a person; an empty ``verdict`` is one that fits."""
    sizes: Sizes = callback._sizes
    rows = [("one checkpoint", sizes.text())]
    if kept:
        so_far = Span(len(kept), len(kept))
        rows.append(("kept so far", f"{format_size(sum(item.own_bytes for item in kept))} in {_count(so_far)}"))
    rest, files = figure(ours, "at_rest_bytes"), figure(ours, "files")
    if rest is not None and files is not None:
        rows.append(("at rest", f"{_span(rest)} in {_count(files)}"))
    for label, name in (("at the peak", "peak_bytes"), ("written", "written_bytes")):
        both = [figure(one, name) for one in (ours, alone)]
        if both[0] is not None:
            beside = "" if both[1] is None else f"; with Lightning alone {_span(both[1])}"
            rows.append((label, f"{_span(both[0])}{beside}"))
    if not ours.has_end:
        growth = int(ours.bytes_per_epoch or 0)
        last = ours.epochs_until_full(admission.have) if growth else None
        until = "" if last is None else f": full after {last} {'epoch' if last == 1 else 'epochs'}"
        grows = f"it grows by {format_size(growth)} an epoch{until}" if growth else "it does not grow"
        rows.append(("no end", grows))
    available = "unknown" if space.available is None else format_size(space.available)
    rows.append(("free", f"{available} on {space.filesystem}, floor {format_size(guard.options.floor)}"))
    if guard.options.cap is not None:
        rows.append(("cap", f"{format_size(guard.options.cap)}, used {format_size(guard.store.used_bytes())}"))
    foreign = guard.store.foreign()
    if foreign:
        size = format_size(sum(entry for _, entry in foreign))
        rows.append(("foreign", f"{len(foreign)} {'entry' if len(foreign) == 1 else 'entries'}, {size}, left alone"))
    spare = format_size(max(0, admission.have - admission.need))
    of_what = " of the cap, which alone decides" if admission.unknown else ""
    rows.append(("verdict", verdict or f"fits, {spare} to spare{of_what}"))
    rows.extend(("note", note) for note in (*sizes.notes, *_not_counted(callback)))
    rows.extend(("note", text) for text in _larger(sizes))
    rows.extend(("assumed", text) for text in sizes.assumes)
    if not guard.options.durable:
        rows.append(("note", "durable=False: a power cut may take checkpoints that were acknowledged"))
    width = max(len(label) for label, _ in rows)
    lines = [f"  {label:<{width}}  {value}" for label, value in rows]
    return "\n".join([f"checkroom preflight of {guard.directory}", *lines])


def _larger(sizes: Sizes) -> list[str]:
    """What makes the files larger than they need be."""
    found, rest = sizes.traps[:_MOST_TRAPS], sizes.traps[_MOST_TRAPS:]
    more = f"{len(rest)} more such things take {format_size(sum(trap.bytes for trap in rest))}"
    return [*(trap.text for trap in found), *([more] if rest else [])]


def _not_counted(callback: Any) -> list[str]:
    rules = [rule for rule in callback.guard_options.rules if goes_by_hours(rule)]
    return [f"{rule!r} is not counted: how long a step takes is not known" for rule in rules]


def _span(range_: Any) -> str:
    if range_.least == range_.most:
        return format_size(range_.most)
    return f"{format_size(range_.least)} to {format_size(range_.most)}"


def _count(files: Span) -> str:
    count = str(files.most) if files.least == files.most else f"{files.least} to {files.most}"
    return f"{count} {'file' if files.most == 1 else 'files'}"


def remarks(callback: Any) -> list[str]:
    """What surprises people about these arguments."""
    found = []
    version = tuple(int(part) for part in callback._lightning_version.split(".")[:2])
    rules = callback.guard_options.rules
    newest = any(isinstance(rule, _core.KeepLast) for rule in rules)
    if callback.save_last and callback.monitor is not None and version >= (2, 6) and not newest:
        found.append(
            "with Lightning 2.6 and a monitor, last.ckpt is the newest top-k save, not the last epoch; "
            "keep=[checkroom.KeepLast(1)] keeps the last epoch as well"
        )
    doubled = doubled_metric_names(callback.filename or "") if callback.auto_insert_metric_name else ()
    if doubled:
        found.append(
            f"filename={callback.filename!r} names {' and '.join(map(repr, doubled))} twice "
            f"(…{doubled[0]}={doubled[0]}=…): pass auto_insert_metric_name=False"
        )
    name = callback.format_checkpoint_name(dict.fromkeys(("epoch", "step", callback.monitor or "step"), 0))
    folder = os.path.dirname(os.path.relpath(name, callback.dirpath))
    if folder:
        found.append(
            f"file names hold a folder ({folder}/): Lightning saves and removes such files by its own code, unguarded: "
            "no check of the space, no cap, no pruning by checkroom's rules; leave the '/' out of the name "
            "(auto_insert_metric_name=False)"
        )
    return found
