"""Before the first batch: how much the run will need, what is there, and whether it fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from checkroom import _core
from checkroom._core import Forecast, RunSpec, format_size
from checkroom._errors import PreflightError
from checkroom._figures import figure, preflight_figures
from checkroom._guard import Guard, shortage
from checkroom._names import doubled_metric_names
from checkroom._options import GuardOptions
from checkroom._run_spec import goes_by_hours, run_spec

__all__ = ["Report", "Sizes", "measure", "preflight", "remarks"]


@dataclass
class Sizes:
    """What one checkpoint weighs, as far as it is known.

    Args:
        expected: Bytes of the next checkpoint; 0: not known yet.
        exact: Is that figure exact?
        corrected: Has it been looked at again after the first optimizer step?
        notes: What makes it a bound.
    """

    expected: int = 0
    exact: bool = False
    corrected: bool = False
    notes: tuple[str, ...] = ()

    def predict(self, callback: Any, trainer: Any) -> None:
        """Asks ``sizing`` for the checkpoint that the trainer is going to write. Never raises."""
        # As it will be once the top k is full; more than a thousand entries only cost time here.
        entries = min(callback.save_top_k, 1000) if callback.save_top_k > 0 else abs(callback.save_top_k)
        try:
            size = predict_save(callback, trainer, epoch=None, step=None, entries=entries)
        except Exception as error:  # a model that cannot be sized must still train
            self.notes = (f"not predicted: {type(error).__name__}: {error}",)
            return
        self.expected, self.exact, self.notes = size.total, size.exact, tuple(size.notes)

    def correct(self, callback: Any, trainer: Any) -> str | None:
        """Looks again once optimizer states exist; returns a line where the figure moved by more than a hundredth."""
        self.corrected = True
        before = self.expected
        if not before:
            return None
        self.predict(callback, trainer)
        if abs(self.expected - before) * 100 <= before:
            return None
        return f"after the first step a checkpoint is {format_size(self.expected)}, not {format_size(before)}"

    def learn(self, written: int) -> None:
        """The next file will be like the one just written."""
        self.expected, self.corrected = written, True


def state_after(callback: Any, trainer: Any, entries: int, *, item_bytes: int = 2**20) -> dict[str, Any]:
    """The callback's own state once its top k holds ``entries`` files: it is part of the file that it writes.

    Only its size matters: names are as long as the real ones, and scores share their tensors as the real ones do.
    """
    import torch

    state: dict[str, Any] = callback.state_dict()
    metrics = {key: torch.tensor(0.0) for key in trainer.callback_metrics}
    metrics.update(epoch=torch.tensor(trainer.current_epoch), step=torch.tensor(trainer.global_step))
    if callback.monitor is not None:
        metrics[callback.monitor] = torch.tensor(0.0)
    path = callback.format_checkpoint_name(dict(metrics))
    if callback.save_last:
        state["last_model_path"] = callback.format_checkpoint_name(dict(metrics), callback.CHECKPOINT_NAME_LAST)
    if not entries:
        return state
    # A string that is met twice is pickled once, so the entries' names have to differ.
    digits = len(str(entries))
    paths = [f"{path[:-digits]}{index:0{digits}d}" for index in range(entries)]
    state["best_model_path"] = paths[0]
    scores = {}
    if callback.monitor is not None:
        known = {entry: torch.tensor(float(index)) for index, entry in enumerate(paths)}
        state["best_k_models"], state["current_score"] = known, known[paths[-1]]
        state["best_model_score"] = known[paths[0]]
        if entries == callback.save_top_k or callback.save_top_k == -1:
            state["kth_best_model_path"], state["kth_value"] = paths[-1], known[paths[-1]]
        scores = {callback.monitor: 0.5}
    state["checkroom"] = {
        "format": 1,
        "items": [
            {
                "name": os.path.basename(entry),
                "bytes": item_bytes,
                "epoch": trainer.current_epoch,
                "step": trainer.global_step,
                "saved_at": 1.5,
                "scores": dict(scores),
            }
            for entry in paths
        ],
    }
    return state


def predict_save(callback: Any, trainer: Any, *, epoch: int | None, step: int | None, entries: int) -> Any:
    """The size of the file that the callback will write at (epoch, step) with ``entries`` files in its top k."""
    from checkroom.sizing import predict_checkpoint

    state = state_after(callback, trainer, entries)
    states = {callback.state_key: state}
    return predict_checkpoint(
        trainer, weights_only=callback.save_weights_only, epoch=epoch, step=step, callback_states=states
    )


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
    spec = run_spec(callback, trainer, sizes.expected)
    ours, alone = _core.forecast(spec), _core.forecast(spec.replace(writer="lightning", max_size=None, keep=()))
    # What an earlier fit of this run left is part of what the run keeps: it makes room for its own successors.
    used = guard.store.used_bytes()
    own = max(0, used - sum(size for _, size in guard.store.foreign()))
    used -= own
    space = _core.free_space(guard.directory)
    available = None if space.available is None else space.available + own

    def fits(need: int) -> _core.Admission:
        return _core.admit(
            file_bytes=need,
            available=available,
            inodes=space.inodes,
            cap=guard.options.cap,
            used=used,
            floor=guard.options.floor,
        )

    rest, peak = figure(ours, "at_rest_bytes"), figure(ours, "peak_bytes")
    first_file = 0 if spec.save_count == 0 else sizes.expected
    least = max(first_file, 0 if rest is None else rest.least)
    asked = least if peak is None else max(least, peak.most)
    certain, most = fits(least), fits(asked)
    error = warning = unknown = ""
    if certain.verdict == "refuse" and least:  # a run that saves nothing needs nothing
        error = f"{_shortage(certain)}{_way_out(spec, certain, least)}"
    elif most.verdict == "refuse" and asked:
        first = ours.first_save_that_may_not_fit(most.have)
        where = "" if first is None else f" (first at epoch {first.epoch}, step {first.step})"
        warning = f"a save may not fit{where}: {_shortage(most)}{_way_out(spec, most, asked)}"
    elif most.limit == "none" and asked:
        unknown = f"{space.filesystem} does not say what is free (give max_size: the cap then decides)"
    binding = certain if error else most
    verdict = "does not fit" if error else "may not fit" if warning else f"unknown: {unknown}" if unknown else ""
    text = _text(callback, ours, alone, space, guard, binding, verdict)
    floor, cap = guard.options.floor, guard.options.cap
    figures = preflight_figures(
        ours, alone, space, binding, exact=sizes.exact, floor=floor, cap=cap, used=used, own=own
    )
    return Report(
        text, warning, error, unknown, binding.need, binding.have, binding.short_by, binding.limit, figures
    )


def _shortage(admission: _core.Admission) -> str:
    return shortage(admission.need, admission.have, admission.short_by, admission.limit)


def _way_out(spec: RunSpec, admission: _core.Admission, asked: int) -> str:
    """What would fit instead, by the same advice as ``checkroom advise``.

    Args:
        spec: The run.
        admission: The refusal.
        asked: The bytes for which it was asked: what it needs beside them is no checkpoint's.
    """
    advice = _core.advise(spec, max(0, admission.have - (admission.need - asked)))
    if advice.short_by:
        text = f"; nothing fits: {advice.smallest.call} needs the least, {format_size(advice.smallest.need_bytes or 0)}"
        if advice.fitting_checkpoint_bytes:
            text += f", and would fit with checkpoints of {format_size(advice.fitting_checkpoint_bytes)}"
        return text
    calls = [option for option in advice.options if option.kind != "cap"]
    # Whoever asked for a `last` is shown one first.
    calls.sort(key=lambda option: bool(option.spec.save_last) != bool(spec.save_last))
    ways = [*calls[:1], *(option for option in advice.options if option.kind == "cap")]
    if not ways:
        return ""
    lines = [f"    {way.call}  # needs {format_size(way.need_bytes or 0)}" for way in ways]
    return "\n".join(["; what would fit:", *lines])


def _text(
    callback: Any,
    ours: Forecast,
    alone: Forecast,
    space: _core.FreeSpace,
    guard: Guard,
    admission: _core.Admission,
    verdict: str,
) -> str:
    """The report for a person; an empty ``verdict`` is one that fits."""
    sizes: Sizes = callback._sizes
    rows = [("one checkpoint", f"{format_size(sizes.expected)} ({'exact' if sizes.exact else 'an estimate'})")]
    rest, files = figure(ours, "at_rest_bytes"), figure(ours, "files")
    if rest is not None and files is not None:
        rows.append(("at rest", f"{_span(rest)} in {_count(files)} {'file' if files.most == 1 else 'files'}"))
    for label, name in (("at the peak", "peak_bytes"), ("written", "written_bytes")):
        both = [figure(one, name) for one in (ours, alone)]
        if both[0] is not None:
            beside = "" if both[1] is None else f"; with Lightning alone {_span(both[1])}"
            rows.append((label, f"{_span(both[0])}{beside}"))
    if not ours.has_end:
        growth = int(ours.bytes_per_epoch or 0)
        last = ours.epochs_until_full(admission.have) if growth else None
        until = "" if last is None else f": full after {last} {'epoch' if last == 1 else 'epochs'}"
        rows.append(("no end", f"it grows by {format_size(growth)} an epoch{until}"))
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
    if not guard.options.durable:
        rows.append(("note", "durable=False: a power cut may take checkpoints that were acknowledged"))
    width = max(len(label) for label, _ in rows)
    lines = [f"  {label:<{width}}  {value}" for label, value in rows]
    return "\n".join([f"checkroom preflight of {guard.directory}", *lines])


def _not_counted(callback: Any) -> list[str]:
    rules = [rule for rule in callback.guard_options.rules if goes_by_hours(rule)]
    return [f"{rule!r} is not counted: how long a step takes is not known" for rule in rules]


def _span(range_: Any) -> str:
    if range_.least == range_.most:
        return format_size(range_.most)
    return f"{format_size(range_.least)} to {format_size(range_.most)}"


def _count(range_: _core.Range) -> str:
    return str(range_.most) if range_.least == range_.most else f"{range_.least} to {range_.most}"


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
