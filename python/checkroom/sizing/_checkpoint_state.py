"""The state that a ModelCheckpoint will have saved about itself: names and scores of its top k, and our inventory.

It is part of the file that it writes, about 300 bytes an entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from checkroom import _core
from checkroom._core import Item, KeepBest
from checkroom._ghosts import Ghosts
from checkroom._guard import item_as_dict, item_from_dict
from checkroom._run_spec import lightning_version, run_spec
from checkroom.sizing._findings import Findings
from checkroom.sizing._moment import Moment, any_moment, moment_of, moment_that_fits
from checkroom.sizing._run import BEYOND, Hook, Position, Run
from checkroom.sizing._scores import logged_metrics, score_like

__all__ = ["hook_of", "is_model_checkpoint", "next_save", "states_at"]

# More entries than these cost more time than the figure is worth; what is beyond makes it a bound.
_MOST_ENTRIES = 10_000
# A metric in a file name is taken to be no larger; as 32-bit floats these have the longest texts.
_LARGEST = 10_000
_LONG_VALUES = (-9876.54321, -0.000123456789)


def is_model_checkpoint(callback: Any) -> bool:
    """Is it Lightning's ModelCheckpoint, or ours?"""
    return all(hasattr(callback, name) for name in ("best_k_models", "format_checkpoint_name", "save_top_k"))


def hook_of(callback: Any, trainer: Any) -> Hook | None:
    """Lightning's hook in which a ModelCheckpoint saves; ``None``: more than one may be it."""
    if callback._every_n_train_steps or callback._train_time_interval is not None:
        # A metric of the validation that is not there yet lets it wait.
        return "train_batch_end" if callback.monitor is None else None
    return "train_epoch_end" if callback._should_save_on_train_epoch_end(trainer) else "validation_end"


def may_wait(callback: Any, trainer: Any) -> bool:
    """May a save wait for a validation, because the metric that it monitors has not been logged yet?"""
    by_steps = callback._every_n_train_steps or callback._train_time_interval is not None
    return bool(by_steps and callback.monitor not in (None, "epoch", "step", *logged_metrics(trainer)))


def next_save(callback: Any, trainer: Any, run: Run) -> Moment:
    """When a ModelCheckpoint is going to save next, as far as that is known."""
    if callback._train_time_interval is not None:
        return any_moment(run)
    spec = run_spec(callback, trainer, 1)
    try:
        timeline = _core.forecast(spec).timeline
    except ValueError:  # too many saves to be played ahead
        timeline = _core.forecast(spec.replace(max_epochs=run.epoch + max(1, callback._every_n_epochs))).timeline
    if not timeline:
        return moment_of(run, None, None, None)
    point = timeline[0]
    epoch = point.epoch if point.epoch >= 0 else None
    step = point.step if point.step >= 0 and not run.manual else None
    if epoch is None and step is None:
        return any_moment(run)
    found = moment_that_fits(run, epoch, step, hook_of(callback, trainer))
    later = None
    if point.last_only and found.positions:  # when the epoch ends, or only when the training does
        last = found.positions[-1]
        later = Position(last.epoch, last.batch, "train_end")
    elif found.positions and may_wait(callback, trainer):
        later = run.next_validation(found.positions[-1])
    found = found if later is None else found.or_at(run, later)
    return replace(found, only_last=point.last_only and not may_wait(callback, trainer))


def states_at(
    callback: Any,
    trainer: Any,
    run: Run,
    moment: Moment,
    ghosts: Ghosts,
    findings: Findings,
    *,
    saves: bool,
    item_bytes: int,
    metrics: Mapping[str, float],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a ModelCheckpoint's ``state_dict`` will say at a moment: the least and the most.

    Args:
        callback: The ModelCheckpoint.
        trainer: Its trainer.
        run: The trainer's run.
        moment: When.
        ghosts: Takes scores that lie on an accelerator.
        findings: Takes what the state rests on.
        saves: Is it this one that writes the file? Then its state holds the file itself.
        item_bytes: Bytes of the files in our inventory.
        metrics: Values of logged metrics for file names, where the caller knows them.
    """
    points = _Points(callback, trainer, run, moment, saves)
    if saves and moment.only_last:
        return _State(callback, trainer, ghosts, findings, item_bytes, metrics).with_last(points)
    if not points.most and not points.here:
        now = callback.state_dict()
        return now, now
    if points.unknown:
        findings.larger(f"how often {type(callback).__name__} will have saved by then is not known")
    state = _State(callback, trainer, ghosts, findings, item_bytes, metrics)
    most = state.after(points.most, points.here, fullest=True)
    if saves and callback.save_last and may_wait(callback, trainer):  # `last` may be written before its first file
        return state.with_last(points)[0], most
    before = callback.best_k_models or (state.keeps_more and state.ours)
    several = bool(before or points.least or points.most)
    if state.last_goes_alone and (several or not state.ours or callback._every_n_train_steps):
        findings.unsure("when Lightning writes last.ckpt before 2.6 is not foretold")
    if several or len(points.here) > 1 or len(state.metrics) > 1:
        return state.after(points.least, points.here, fullest=False), most
    return most, most


@dataclass(frozen=True)
class _Save:
    """One save that is to come, and the path that it is going to have."""

    epoch: int
    step: int
    path: str = ""


class _Points:
    """The saves of a callback from now until a moment: the least and the most, and the one that is in question."""

    def __init__(self, callback: Any, trainer: Any, run: Run, moment: Moment, saves: bool) -> None:
        self.unknown = callback._train_time_interval is not None
        earlier, until = [], []
        for point in () if self.unknown else _timeline(callback, trainer, run, moment):
            by_step = point.step >= 0 and not run.manual
            at, least, most = (point.step, *moment.step) if by_step else (point.epoch, *moment.epoch)
            save = _Save(max(0, point.epoch), max(0, point.step))
            if at < least:
                earlier.append(save)
            if at < most or (at == most and not saves):
                until.append(save)
        self.unknown = self.unknown or len(until) >= _MOST_ENTRIES
        self.least, self.most = earlier, until
        if may_wait(callback, trainer):
            # Lightning lets a trigger wait even at step 0, which the forecast, for which all metrics are there, skips.
            self.least, self.most = [], [_Save(run.epoch, run.start.steps + 1), *until]
        ends = {_Save(epoch, step) for epoch, step in zip(moment.epoch, moment.step)}
        self.here = sorted(ends, key=lambda save: (save.epoch, save.step)) if saves else []


def _timeline(callback: Any, trainer: Any, run: Run, moment: Moment) -> Iterable[Any]:
    """The saves that the forecast plays ahead, not much further than that moment."""
    spec = run_spec(callback, trainer, 1)
    if moment.epoch.most < BEYOND:
        ends = moment.epoch.most + 1
        spec = spec.replace(max_epochs=ends if spec.max_epochs in (None, -1) else min(ends, spec.max_epochs or 0))
    elif moment.step.most < BEYOND and spec.max_steps == -1:
        spec = spec.replace(max_steps=moment.step.most)
    try:
        timeline = _core.forecast(spec).timeline
    except ValueError:  # too many to be played ahead
        return []
    return [point for point in timeline[:_MOST_ENTRIES] if not point.last_only]


class _State:
    """Puts a state together."""

    def __init__(
        self,
        callback: Any,
        trainer: Any,
        ghosts: Ghosts,
        findings: Findings,
        item_bytes: int,
        given: Mapping[str, float],
    ) -> None:
        self.callback, self.trainer, self.ghosts, self.item_bytes = callback, trainer, ghosts, item_bytes
        self.ours = hasattr(callback, "_inventory")
        options = getattr(callback, "guard_options", None)
        self.rules: Sequence[Any] = () if options is None else options.rules
        self.cap = None if options is None else options.cap
        # Rules keep what is not among the best, and the file that a run goes on from stays as well.
        self.keeps_more = bool(self.rules) or bool(trainer.ckpt_path)
        # Before Lightning 2.6, `last` is written at every epoch's end, whatever else is.
        version = tuple(int(part) for part in lightning_version(callback).split(".")[:2])
        self.last_goes_alone = bool(callback.save_last) and version < (2, 6)
        self.metrics = self._metrics(given, findings)

    def _metrics(self, given: Mapping[str, float], findings: Findings) -> list[dict[str, Any]]:
        """Values for file names: those that are given, else some of which one has a short text and one a long one."""
        import torch

        callback = self.callback
        monitor = callback.monitor
        known = logged_metrics(self.trainer)
        if monitor not in (None, "epoch", "step", *known):
            known[monitor] = torch.tensor(0.0)
            findings.assume(f"{monitor} is logged as a number of the default precision")
        known.update({name: torch.tensor(value) for name, value in given.items()})
        named = set(re.findall(r"\{([^:}]*)", callback.filename or "")) - {"epoch", "step", *given}
        if not named:
            return [known]
        names = " and ".join(sorted(named))
        findings.assume(f"{names} in file names stays between -{_LARGEST:,} and {_LARGEST:,}")
        return [{**known, **dict.fromkeys(named, torch.tensor(value))} for value in (0.0, *_LONG_VALUES)]

    def after(self, earlier: Sequence[_Save], here: Sequence[_Save], *, fullest: bool) -> dict[str, Any]:
        """The state once some saves were made, and then the one that may be at any of the places ``here``."""
        callback = self.callback
        state: dict[str, Any] = callback.state_dict()
        limit = max(1, callback.save_top_k) if callback.save_top_k >= 0 else -1
        if self.cap is not None and not fullest:
            limit = 1
        everything = limit < 0 or (self.keeps_more and fullest)
        coming = self._named(earlier if everything else _ends(earlier, limit), (), fullest)
        if here:
            options = [self._named([save], coming, fullest)[0] for save in here]
            coming.append((max if fullest else min)(options, key=lambda save: len(save.path)))
        if not coming:
            return state
        current = coming[-1]
        existing = {path: score for path, score in callback.best_k_models.items() if self._is_there(path)}
        entries = self._chosen([*existing, *(save.path for save in coming[:-1])], current.path, limit, fullest)
        # Ours names the `last` that is about to be made, Lightning's the one before, unless the file is `last` itself.
        if callback.save_last and (self.ours or earlier or callback.save_top_k == 0):
            last = self._path(current, callback.CHECKPOINT_NAME_LAST, {callback.last_model_path}, (), fullest)
            state["last_model_path"] = last
        if callback.save_top_k != 0:
            state["best_model_path"] = current.path
        if callback.monitor is not None and callback.save_top_k != 0:
            self._put_scores(state, entries, existing, fullest)
        if self.ours:
            state["checkroom"] = {"format": 1, "items": self._items(entries, coming, fullest)}
        return state

    def with_last(self, points: _Points) -> tuple[dict[str, Any], dict[str, Any]]:
        """The state in a `last` of its own: no file beside it is new."""
        ends = []
        for place in points.here:
            state = self.callback.state_dict()
            path = self._path(place, self.callback.CHECKPOINT_NAME_LAST, {self.callback.last_model_path}, (), True)
            ends.append({**state, "last_model_path": path})
        return min(ends, key=_last_length), max(ends, key=_last_length)

    def _is_there(self, path: str) -> bool:
        """Ours drops what has vanished from the directory when a run goes on."""
        return not self.ours or os.path.exists(path)

    def _named(self, saves: Sequence[_Save], others: Sequence[_Save], fullest: bool) -> list[_Save]:
        """The saves with the paths that they are going to have, each its own."""
        callback = self.callback
        monitored = callback.monitor is not None
        full = len(callback.best_k_models) == callback.save_top_k
        found: list[_Save] = []
        for save in saves:
            before = [*others, *found]
            taken = {other.path for other in before}
            # The file that a save displaces lends it its name.
            displaced = {callback.kth_best_model_path} if monitored and full else set()
            if not monitored:
                displaced = {before[-1].path if before else callback.best_model_path}
            path = self._path(save, None, displaced, taken - displaced, fullest)
            found.append(_Save(save.epoch, save.step, path))
        return found

    def _path(
        self, save: _Save, template: str | None, own: Collection[str], taken: Collection[str], fullest: bool
    ) -> str:
        """Lightning's name; with the version that keeps it off what is there, ``own`` apart, and what is ``taken``."""
        callback = self.callback

        def named(version: int | None) -> str:
            texts = [self._formatted(save, values, template, version) for values in self.metrics]
            return (max if fullest else min)(texts, key=len)

        path, version = named(None), callback.STARTING_VERSION
        # Scores tell names apart; and in a run that goes on, files of another branch may be gone by then.
        sure = len(self.metrics) == 1 and not self.trainer.ckpt_path
        looks = callback._enable_version_counter and (fullest or sure)
        while looks and (path in taken or (path not in own and os.path.exists(path))):
            path = named(version)
            version += 1
        if path in taken and callback._enable_version_counter:
            return _another(path, taken)
        return path

    def _formatted(self, save: _Save, values: Mapping[str, Any], template: str | None, version: int | None) -> str:
        import torch

        metrics = {**values, "epoch": torch.tensor(save.epoch), "step": torch.tensor(save.step)}
        text: str = self.callback.format_checkpoint_name(metrics, template, ver=version)
        return text

    def _chosen(self, others: Sequence[str], current: str, limit: int, fullest: bool) -> list[str]:
        """The top k: the newest, and of the others those with the shortest or the longest names."""
        if self.callback.monitor is None:
            return [current]
        others = [path for path in others if path != current]
        if 0 <= limit - 1 < len(others):
            ranked = set(sorted(others, key=len, reverse=fullest)[: limit - 1])
            others = [path for path in others if path in ranked]
        return [*others, current]

    def _put_scores(
        self, state: dict[str, Any], entries: list[str], existing: dict[str, Any], fullest: bool
    ) -> None:
        monitor = self.callback.monitor
        scores = {
            path: existing[path] if path in existing else score_like(self.trainer, monitor, self.ghosts)
            for path in entries
        }
        # Which of them is the best makes no difference, unless the pickle's memo passes 255 among them.
        best, worst = (entries[0], entries[-1]) if fullest else (entries[-1], entries[0])
        state.update(best_k_models=scores, best_model_path=best, best_model_score=scores[best])
        state["current_score"] = scores[entries[-1]]
        if len(entries) == self.callback.save_top_k or self.callback.save_top_k == -1:
            state.update(kth_best_model_path=worst, kth_value=scores[worst])

    def _items(self, entries: list[str], coming: Sequence[_Save], fullest: bool) -> list[dict[str, Any]]:
        """Our inventory: the top k, and with rules up to everything that was saved."""
        callback = self.callback
        folder = os.fspath(callback.dirpath)
        # Through an item and back, as the guard does: a pickle writes each text object once, so which object counts.
        items = [item_as_dict(item_from_dict(item)) for item in callback._inventory]
        known = {item["name"]: item for item in items if self._is_there(os.path.join(folder, item["name"]))}
        if callback.save_top_k == 0 and not self.rules:  # nothing but `last`, which is not in it
            return list(known.values())
        monitors = [callback.monitor, *(rule.monitor for rule in self.rules if isinstance(rule, KeepBest))]
        scores = {monitor: 0.5 for monitor in monitors if monitor is not None}
        for save in coming:
            name = os.path.basename(save.path)
            item = Item(name, self.item_bytes, epoch=save.epoch, step=save.step, saved_at=1.5, scores=scores)
            known[name] = item_as_dict(item)
        if (self.keeps_more and fullest) or (callback.monitor is None and callback.save_top_k == -1):
            return list(known.values())
        return [known[name] for name in map(os.path.basename, entries) if name in known]


def _another(path: str, taken: Collection[str]) -> str:
    """A path of the same length that is not taken: only its length matters, and that a pickle holds it once."""
    stem, extension = os.path.splitext(path)
    index = 0
    while path in taken:
        text = str(index)
        path = f"{stem[: -len(text)]}{text}{extension}"
        index += 1
    return path


def _last_length(state: dict[str, Any]) -> int:
    return len(state["last_model_path"])


def _ends(saves: Sequence[_Save], limit: int) -> list[_Save]:
    """The first and the last of them: those with the shortest and with the longest names."""
    if len(saves) <= 2 * limit:
        return list(saves)
    return [*saves[:limit], *saves[-limit:]]
