"""The state that a ModelCheckpoint will have saved about itself: names and scores of its top k, and our inventory.

It is part of the file that it writes, about 300 bytes an entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from checkroom._core import Item, KeepBest
from checkroom._ghosts import Ghosts
from checkroom._guard import item_as_dict, item_from_dict
from checkroom._run_spec import lightning_version
from checkroom.sizing._findings import Findings
from checkroom.sizing._moment import Moment
from checkroom.sizing._run import Run
from checkroom.sizing._saves import Points, Save, may_wait
from checkroom.sizing._scores import logged_metrics, score_like

__all__ = ["states_at"]

# Beyond so many versions of one name only the length of a name is looked at.
_MOST_VERSIONS = 20
# A metric in a file name is taken to be no larger; as 32-bit floats these have the longest texts.
_LARGEST = 10_000
_LONG_VALUES = (-9876.54321, -0.000123456789)


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
    points = Points(callback, trainer, run, moment, saves)
    if saves and moment.only_last:
        return _State(callback, trainer, ghosts, findings, item_bytes, metrics).with_last(points)
    if points.unknown:
        findings.unsure(f"how often {type(callback).__name__} will have saved by then is not known")
    if not points.most and not points.here:
        now = callback.state_dict()
        return now, now
    state = _State(callback, trainer, ghosts, findings, item_bytes, metrics)
    if state.names_may_coincide([*points.most, *points.here], run):
        findings.unsure(f"file names of {type(callback).__name__} may coincide: which get a version is open")
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

    def names_may_coincide(self, saves: Sequence[Save], run: Run) -> bool:
        """May two of the files that it keeps have the same name? Then one takes the other's, or gets a version."""
        callback, template = self.callback, self.callback.filename
        if template is None or "{step" in template or (callback.monitor is None and callback.save_top_k >= 0):
            return False
        if "{epoch" in template:
            epochs = [save.epoch for save in saves]
            return len(set(epochs)) < len(epochs) or bool(callback.best_k_models and run.current_batch)
        return len(saves) + len(callback.best_k_models) > 1

    def after(self, earlier: Sequence[Save], here: Sequence[Save], *, fullest: bool) -> dict[str, Any]:
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
            # One that takes the name of a file that it knows adds no entry.
            known = self._known_names()
            coming.append(
                (max if fullest else min)(
                    options, key=lambda save: (os.path.basename(save.path) not in known, len(save.path))
                )
            )
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

    def with_last(self, points: Points) -> tuple[dict[str, Any], dict[str, Any]]:
        """The state in a `last` of its own: no file beside it is new."""
        ends = []
        for place in points.here:
            state = self.callback.state_dict()
            path = self._path(place, self.callback.CHECKPOINT_NAME_LAST, {self.callback.last_model_path}, (), True)
            ends.append({**state, "last_model_path": path})
        return min(ends, key=_last_length), max(ends, key=_last_length)

    def _known_names(self) -> set[str]:
        inventory = self.callback._inventory if self.ours else ()
        return {*map(os.path.basename, self.callback.best_k_models), *(item["name"] for item in inventory)}

    def _is_there(self, path: str) -> bool:
        """Ours drops what has vanished from the directory when a run goes on."""
        return not self.ours or os.path.exists(path)

    def _named(self, saves: Sequence[Save], others: Sequence[Save], fullest: bool) -> list[Save]:
        """The saves with the paths that they are going to have, each its own."""
        callback = self.callback
        monitored = callback.monitor is not None
        full = len(callback.best_k_models) == callback.save_top_k
        found: list[Save] = []
        taken = {other.path for other in others}
        newest = others[-1].path if others else callback.best_model_path
        for save in saves:
            # The file that a save displaces lends it its name.
            displaced = {callback.kth_best_model_path} if monitored and full else set()
            if not monitored:
                displaced = {newest}
            path = newest = self._path(save, None, displaced, taken, fullest)
            taken.add(path)
            found.append(Save(save.epoch, save.step, path))
        return found

    def _path(
        self, save: Save, template: str | None, own: Collection[str], taken: Collection[str], fullest: bool
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
        while looks and path not in own and (path in taken or os.path.exists(path)):
            if version > _MOST_VERSIONS and path in taken:
                break
            path = named(version)
            version += 1
        if path in taken and path not in own and callback._enable_version_counter:
            return _another(path, taken)
        return path

    def _formatted(self, save: Save, values: Mapping[str, Any], template: str | None, version: int | None) -> str:
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

    def _items(self, entries: list[str], coming: Sequence[Save], fullest: bool) -> list[dict[str, Any]]:
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
    index = len(taken)
    while path in taken:
        text = str(index)
        path = f"{stem[: -len(text)]}{text}{extension}"
        index += 1
    return path


def _last_length(state: dict[str, Any]) -> int:
    return len(state["last_model_path"])


def _ends(saves: Sequence[Save], limit: int) -> list[Save]:
    """The first and the last of them: those with the shortest and with the longest names."""
    if len(saves) <= 2 * limit:
        return list(saves)
    return [*saves[:limit], *saves[-limit:]]
