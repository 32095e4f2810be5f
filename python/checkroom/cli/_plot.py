"""Bytes over epochs as a picture: at rest, at the peak, and what there is, with Lightning alone beside with checkroom.

Every figure is read off a forecast. matplotlib is loaded only here, and only when a picture is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkroom import Forecast, RunSpec, forecast, format_size
from checkroom._figures import figure
from checkroom.cli._errors import CommandError, quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from checkroom._core import SavePoint

__all__ = ["Curve", "Row", "Space", "check_plot_path", "curve", "plot"]

_ENDINGS = (".png", ".svg")
# Okabe and Ito's palette: told apart by people with any kind of colour blindness. Line styles and markers differ too,
# for a printer without colours.
_REST, _PEAK, _FREE, _CAP, _FLOOR = "#0072B2", "#D55E00", "#000000", "#009E73", "#999999"
_MOST_POINTS = 400  # more than this are thinned out: a picture has no room for them
_MOST_MARKERS = 40
_LONGEST_NAME = 20  # in front of what stands above a picture; a longer one gets a line of its own
_UNITS = ((10**18, "EB"), (10**15, "PB"), (10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))


@dataclass(frozen=True)
class Space:
    """What there is, in bytes.

    Attributes:
        free: Free on the filesystem, what the run itself has there included; ``None``: unknown.
        floor: Of it, what is to stay free.
        taken: What others have in the directory: it counts against the cap.
    """

    free: int | None = None
    floor: int = 0
    taken: int = 0


@dataclass(frozen=True)
class Row:
    """A row of the picture.

    Attributes:
        name: What stands above it.
        spec: The run with checkroom's writer; its ``max_size`` is the cap.
        space: What there is for it.
    """

    name: str
    spec: RunSpec
    space: Space = Space()

    @property
    def cap(self) -> int | None:
        """What the run may occupy of its cap; ``None``: no cap."""
        return None if self.spec.max_size is None else max(0, self.spec.max_size - self.space.taken)


@dataclass(frozen=True)
class Curve:
    """One run, played ahead: at each opportunity to save the state after it, in bytes, logs included.

    Attributes:
        x: Epochs since the start of training (steps, where ``unit`` says so).
        least, most: At rest.
        peak: The most at the worst moment inside the save.
        unit: ``"epoch"`` or ``"step"``.
        grows: Without end: this is only its beginning.
    """

    x: tuple[float, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    peak: tuple[int, ...]
    unit: str = "epoch"
    grows: bool = False

    @property
    def height(self) -> str:
        """How high it gets, for a person."""
        return "grows without end" if self.grows else f"peak {format_size(max(self.peak, default=0))}"


def check_plot_path(path: str | None) -> Path | None:
    """The path of a picture, before anything is computed for it.

    Raises:
        CommandError: Its ending is not one of a picture, its folder is missing, or matplotlib is.
    """
    if path is None:
        return None
    if not path.lower().endswith(_ENDINGS):
        raise CommandError(f"--plot: not a picture: {quoted(path)} (write a name that ends in .png or .svg)")
    folder = Path(path).expanduser().parent
    if not folder.is_dir():
        raise CommandError(f"--plot: {quoted(path)}: its folder {quoted(folder)} does not exist (make it first)")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CommandError(
            f"--plot: {quoted(path)} needs matplotlib, which is not installed (pip install 'checkroom[plot]')"
        ) from None
    return Path(path).expanduser()


def curve(spec: RunSpec, room: int | None = None) -> Curve:
    """Plays a run ahead for a picture; a run with many saves is thinned out, without losing its highest peak.

    Args:
        spec: The run.
        room: Where it is full, in bytes: of a run that grows without end not much more is shown.
    """
    played = forecast(spec)
    timeline = played.timeline
    grows = figure(played, "peak_bytes") is None
    count = _beginning(timeline, room) if grows else len(timeline)
    width = max(1, math.ceil(count / _MOST_POINTS))
    unit = "epoch" if spec.steps_per_epoch is not None or (count and timeline[0].epoch >= 0) else "step"
    x: list[float] = []
    least: list[int] = []
    most: list[int] = []
    peak: list[int] = []
    for start in range(0, count, width):
        group = timeline[start : min(start + width, count)]
        place = _place(group[-1], spec)
        logs = _logs(played, spec, place)
        x.append(place)
        least.append(group[-1].at_rest_bytes.least + logs)
        most.append(group[-1].at_rest_bytes.most + logs)
        peak.append(max(point.peak_bytes.most for point in group) + logs)
    return Curve(tuple(x), tuple(least), tuple(most), tuple(peak), unit, grows)


def _beginning(timeline: Sequence[SavePoint], room: int | None) -> int:
    """How many saves of a run without an end are shown: up to twice the room."""
    if room is None:
        return min(len(timeline), _MOST_MARKERS)
    full = (index for index, point in enumerate(timeline) if point.peak_bytes.most > 2 * room)
    return next(full, len(timeline) - 1) + 1


def _place(point: Any, spec: RunSpec) -> float:
    if point.step > 0 and spec.steps_per_epoch is not None:
        return float(point.step / spec.steps_per_epoch)
    return float(point.epoch + 1 if point.epoch >= 0 else point.step)


def _logs(played: Forecast, spec: RunSpec, place: float) -> int:
    epochs = played.epochs
    if not played.has_end or not epochs:
        return 0
    return round((played.tensorboard_bytes + played.csv_bytes) * min(1.0, place / epochs))


def alone(spec: RunSpec) -> RunSpec:
    """The same run with Lightning's own class, which knows neither ``keep`` nor ``max_size``."""
    return spec.replace(writer="lightning", keep=(), max_size=None)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draws a row of two pictures for each run: with Lightning alone, and with checkroom.

    Args:
        rows: The runs.
        path: The file, .png or .svg.

    Raises:
        CommandError: The file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logs = any(row.spec.tensorboard_bytes_per_epoch or row.spec.csv_bytes_per_epoch for row in rows)
    with pyplot.rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "checkroom"}):
        figure, axes = pyplot.subplots(
            len(rows), 2, figsize=(7.2, 2.5 * len(rows) + 0.9), sharey="row", squeeze=False, layout="constrained"
        )
        for pair, row in zip(axes, rows):
            lightning, checkroom = curve(alone(row.spec), row.space.free), curve(row.spec, row.space.free)
            top = _top([lightning, checkroom], row.space, row.cap)
            scale, unit = next((size, word) for size, word in _UNITS if top >= size)
            before = f"{row.name}, " if len(row.name) <= _LONGEST_NAME else f"{row.name}\n"
            _draw(pair[0], lightning, scale, f"{before}Lightning alone")
            _draw(pair[1], checkroom, scale, f"{before}checkroom")
            for axis in pair:
                _draw_space(axis, row.space, top, scale)
            if row.cap is not None and row.cap <= top:
                pair[1].axhline(row.cap / scale, color=_CAP, linestyle="-.", linewidth=1.3, label="cap (max_size)")
            pair[0].set_ylim(0, top / scale)
            pair[0].set_ylabel(f"checkpoints and logs, {unit}" if logs else f"checkpoints, {unit}")
        handles: dict[str, Any] = {}
        for axis in axes.flat:
            for handle, label in zip(*axis.get_legend_handles_labels()):
                handles.setdefault(label, handle)
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
        try:
            figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise CommandError(f"--plot: {quoted(path)}: {error.strerror or error} (name another file)") from None
        finally:
            pyplot.close(figure)


def _top(curves: Sequence[Curve], space: Space, cap: int | None) -> float:
    """Where the picture ends: above everything, but not so far above the free space that this cannot be seen."""
    highest = max([1, *(peak for one in curves for peak in one.peak)])
    limits = [limit for limit in (space.free, cap) if limit is not None]
    if not limits:
        return highest * 1.12
    if max(limits) > 4 * highest:  # far away: the run has the picture to itself
        return highest * 1.4
    return min(max(highest, *limits), 2 * max(limits)) * 1.12


def _draw(axis: Axes, one: Curve, scale: int, name: str) -> None:
    axis.set_title(f"{name}: {one.height}", fontsize=9)
    axis.set_xlabel("epochs" if one.unit == "epoch" else "optimizer steps")
    axis.grid(axis="y", linewidth=0.4, color="#dddddd")
    axis.spines[["top", "right"]].set_visible(False)
    if one.x:
        x = [0.0, *one.x]
        least, most = ([0.0, *(value / scale for value in values)] for values in (one.least, one.most))
        axis.fill_between(x, least, step="post", color=_REST, alpha=0.4, linewidth=0, label="at rest, at the least")
        axis.step(x, most, where="post", color=_REST, linewidth=1.6, label="at rest, at the most")
        peak = [value / scale for value in one.peak]
        if len(one.x) <= _MOST_MARKERS:
            axis.vlines(one.x, [value / scale for value in one.most], peak, color=_PEAK, linewidth=1)
            axis.plot(one.x, peak, linestyle="none", marker="^", markersize=5, color=_PEAK, label="peak of a save")
        else:
            axis.plot(one.x, peak, linestyle=":", linewidth=1.8, color=_PEAK, label="peak of a save")
    axis.set_xlim(left=0)


def _draw_space(axis: Axes, space: Space, top: float, scale: int) -> None:
    if space.free is None or space.free > top:
        return
    free = space.free / scale
    if space.floor:
        axis.axhspan(
            max(0, space.free - space.floor) / scale, free, color=_FLOOR, alpha=0.5, linewidth=0,
            label="floor, to stay free",
        )
    axis.axhline(free, color=_FREE, linestyle="--", linewidth=1.2, label="free before the run")
