"""Saves side by side: Lightning's, PyTorch's, safetensors' and checkroom's, beside what the disk can do.

    python benchmarks/save.py --gigabytes 0.5 2 --rounds 5 --directory DIR --json FILE
    python benchmarks/save.py --gigabytes --large 4

All of a size run in one process and in turn, so that whatever else the machine does meets them alike; what counts is
the ratio to the limit. It needs about six times the checkpoint in memory and three times on the disk.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from rich import box
from rich.console import Console
from rich.table import Table

import checkroom
from save_methods import METHODS, Method, Workload, takes_direct
from save_probes import Neighbour, Pauses, cached_bytes, extra_memory, in_child, written_bytes
from save_removal import WAYS, remove_once

SMALL_GIGABYTES = 0.002
Progress = Callable[[str], None]


class Place:
    """Where the checkpoints go: an empty directory, and beside it the one for Lightning's staging copy.

    Args:
        root: A directory of its own.
        settle: Seconds of rest after each save.
    """

    def __init__(self, root: Path, settle: float) -> None:
        self.settle = settle
        self.watched = root / "work"
        self.directory = self.watched / "checkpoints"
        self.temporary = self.watched / "tmp"
        self.neighbour = root / "neighbour"
        self.empty()

    def empty(self) -> None:
        """Removes what a save has left, and waits until the disk has nothing more to do for it."""
        shutil.rmtree(self.watched, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.temporary.mkdir()
        # The same filesystem: Lightning's rename at the end is then no second copy.
        tempfile.tempdir = str(self.temporary)
        if self.settle > 0:
            os.sync()
            time.sleep(self.settle)


# ---------------------------------------------------------------- measuring


def installed() -> Iterator[tuple[Method, Callable[[Workload, Path], None]]]:
    """The methods that can run here."""
    for method in METHODS:
        if method.save is not None:
            yield method, method.save


def measure_size(gigabytes: float, rounds: int, watched: int, place: Place, say: Progress) -> dict[str, Any]:
    """Everything about one size. For a process of its own, in which nothing was saved yet."""
    torch.set_num_threads(1)
    say(f"{gigabytes:g} GB: building the checkpoint")
    small, work = Workload(SMALL_GIGABYTES), Workload(gigabytes)
    methods = list(installed())
    found: dict[str, dict[str, Any]] = {method.key: {"label": method.label} for method in METHODS}
    for method in METHODS:
        if method.save is None:
            found[method.key]["missing"] = "not installed"
    for method, save in methods:
        say(f"{gigabytes:g} GB: memory of {method.label}")
        run = functools.partial(save, work, place.directory)
        try_out = functools.partial(save, small, place.directory)
        found[method.key]["extra_memory_bytes"] = in_child(functools.partial(extra_memory, try_out, run))
        place.empty()
    for method, save in methods:
        say(f"{gigabytes:g} GB: warming up {method.label}")
        save(work, place.directory)
        place.empty()
        found[method.key]["seconds"] = []
    for turn in range(rounds):
        for method, save in _from(methods, turn):
            say(f"{gigabytes:g} GB: round {turn + 1} of {rounds}, {method.label}")
            start = time.perf_counter()
            save(work, place.directory)
            found[method.key]["seconds"].append(time.perf_counter() - start)
            place.empty()
    watch(found, methods, watched, work, place, say)
    for entry in found.values():
        if "seconds" in entry:
            entry.update(_figures(entry["seconds"], found["limit"]["seconds"]))
    storages = len({tensor.untyped_storage().data_ptr() for tensor in work.flat.values()})
    return {"gigabytes": gigabytes, "bytes": work.bytes, "storages": storages, "methods": found}


def _from(methods: list[Any], turn: int) -> list[Any]:
    """The same order, begun elsewhere: nobody always comes after the same one."""
    start = turn * 3 % len(methods)
    return methods[start:] + methods[:start]


def _figures(seconds: list[float], limit: list[float]) -> dict[str, float]:
    median, least = statistics.median(seconds), min(seconds)
    return {
        "median": median,
        "minimum": least,
        "ratio_median": median / statistics.median(limit),
        "ratio_minimum": least / min(limit),
    }


def watch(
    found: dict[str, dict[str, Any]], methods: list[Any], rounds: int, work: Workload, place: Place, say: Progress
) -> None:
    """Rounds that are not timed, because a neighbour fsyncs and a thread of Python wants to run."""

    def nothing(_: Workload, __: Path) -> None:
        time.sleep(1)

    idle = Method("nothing", "nothing: a second of sleep", nothing)
    found[idle.key] = {"label": idle.label}
    with Neighbour(place.neighbour, place.watched) as neighbour:
        for turn in range(rounds):
            for method, save in _from([*methods, (idle, nothing)], turn):
                say(f"watched round {turn + 1} of {rounds}, {method.label}")
                before = written_bytes()
                neighbour.begin()
                with Pauses() as pauses:
                    save(work, place.directory)
                told = neighbour.end()
                entry = found[method.key]
                entry["written_bytes"] = written_bytes() - before
                entry["peak_disk_bytes"] = max(told["peak_bytes"], entry.get("peak_disk_bytes", 0))
                entry["page_cache_bytes"] = max(cached_bytes(place.directory), entry.get("page_cache_bytes", 0))
                entry.setdefault("neighbour_seconds", []).append(told["worst"])
                entry.setdefault("pause_seconds", []).append(pauses.worst)
                place.empty()


def measure_removals(gigabytes: float, rounds: int, place: Place, say: Progress) -> dict[str, Any]:
    """The second part: a large file goes."""
    size = int(gigabytes * 1e9)
    found: dict[str, dict[str, Any]] = {way.key: {"label": way.label} for way in WAYS}
    checkroom.save({}, place.directory / "warm.ckpt")
    place.empty()
    with Neighbour(place.neighbour, place.watched) as neighbour:
        for turn in range(rounds):
            for way in WAYS:
                say(f"{gigabytes:g} GB to remove: round {turn + 1} of {rounds}, {way.label}")
                for what, seconds in remove_once(way, place.directory, size, neighbour, place.settle).items():
                    found[way.key].setdefault(what + "_seconds", []).append(seconds)
                place.empty()
    for entry in found.values():
        entry["median"] = statistics.median(entry["blocked_seconds"])
        entry["minimum"] = min(entry["blocked_seconds"])
    return {"gigabytes": gigabytes, "bytes": size, "ways": found}


# ---------------------------------------------------------------- targets


def targets(sizes: list[dict[str, Any]], large: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What was promised, and what was measured."""
    found: list[dict[str, Any]] = []

    def at_most(what: str, value: float, most: float, unit: str) -> None:
        found.append({"what": what, "value": value, "at_most": most, "unit": unit, "met": value <= most})

    def at_least(what: str, value: float, least: float) -> None:
        found.append({"what": what, "value": value, "at_least": least, "unit": "x", "met": value >= least})

    for size in sizes:
        methods, name = size["methods"], f"{size['gigabytes']:g} GB: "
        ours = methods["checkroom"]
        at_most(name + "time over the limit's", ours["ratio_median"], 1.2 if size["gigabytes"] >= 1 else 1.5, "x")
        for what, other, mine, least in (
            ("with last, against Lightning + fsync", "lightning_last_fsync", "checkroom_last", 11),
            ("against Lightning + fsync", "lightning_fsync", "checkroom", 3.5),
            ("against Lightning as it is", "lightning", "checkroom", 3.5),
            ("against torch.save + fsync", "torch_fsync", "checkroom", 1.7),
        ):
            at_least(name + what, methods[other]["median"] / methods[mine]["median"], least)
        at_most(name + "extra memory", ours["extra_memory_bytes"] / 2**20, 16, "MiB")
        at_most(name + "page cache left behind", ours["page_cache_bytes"] / 2**20, 32, "MiB")
        at_most(name + "worst fsync of a neighbour", max(ours["neighbour_seconds"]) * 1e3, 15, "ms")
        at_most(name + "longest pause of a thread", max(ours["pause_seconds"]) * 1e3, 20, "ms")
    if large is not None:
        ways, name = large["ways"], f"{large['gigabytes']:g} GB: "
        over = ways["publish_over_durable"]["median"] - ways["publish_beside_durable"]["median"]
        at_most(name + "publishing over it, more than beside it", over * 1e3, 2, "ms")
        at_most(name + "publishing over it, durable=False", ways["publish_over"]["median"] * 1e3, 2, "ms")
        at_most(name + "pruning it", ways["trash_durable"]["median"] * 1e3, 2, "ms")
    return found


# ---------------------------------------------------------------- telling


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.MARKDOWN, title_justify="left")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def size_tables(size: dict[str, Any]) -> Iterator[Table]:
    """Time, and what else a save costs."""
    title = f"{size['bytes'] / 1e9:.2f} GB, {size['storages']:,} storages"
    times = _table(f"{title}: time", "", "seconds: median", "least", "over the limit: median", "least")
    costs = _table(
        f"{title}: what else it costs", "", "memory, MiB", "page cache, MiB", "written, GB", "peak on disk, GB",
        "neighbour's worst fsync, ms", "longest pause, ms",
    )  # fmt: skip
    for entry in size["methods"].values():
        if "missing" in entry:
            times.add_row(entry["label"], entry["missing"])
            continue
        if "seconds" in entry:
            figures = [f"{entry[key]:.3f}" for key in ("median", "minimum")]
            times.add_row(entry["label"], *figures, *(f"{entry[key]:.2f}" for key in ("ratio_median", "ratio_minimum")))
        costs.add_row(
            entry["label"],
            f"{entry['extra_memory_bytes'] / 2**20:.1f}" if "extra_memory_bytes" in entry else "",
            f"{entry['page_cache_bytes'] / 2**20:.1f}",
            f"{entry['written_bytes'] / 1e9:.3f}",
            f"{entry['peak_disk_bytes'] / 1e9:.3f}",
            *(f"{max(entry[key]) * 1e3:.1f}" for key in ("neighbour_seconds", "pause_seconds")),
        )
    yield from (times, costs)


def removal_table(large: dict[str, Any]) -> Table:
    """Who is held up by a large file that goes, and for how long."""
    table = _table(
        f"a file of {large['gigabytes']:g} GB goes: milliseconds", "", "caller blocked: median", "worst",
        "until the blocks are back", "neighbour's worst fsync",
    )  # fmt: skip
    for entry in large["ways"].values():
        blocked, returned, neighbour = (entry[f"{key}_seconds"] for key in ("blocked", "returned", "neighbour"))
        figures = (entry["median"], max(blocked), statistics.median(returned), max(neighbour))
        table.add_row(entry["label"], *(f"{seconds * 1e3:.2f}" for seconds in figures))
    return table


def target_table(found: list[dict[str, Any]]) -> Table:
    """Met or missed."""
    table = _table("targets", "", "measured", "target", "")
    for entry in found:
        sign, bound = ("<=", entry["at_most"]) if "at_most" in entry else (">=", entry["at_least"])
        unit = "" if entry["unit"] == "x" else " " + entry["unit"]
        verdict = "met" if entry["met"] else "MISSED"
        table.add_row(entry["what"], f"{entry['value']:.2f}{unit}", f"{sign} {bound:g}{unit}", verdict)
    return table


def _filesystem(directory: Path) -> str:
    """The type of the filesystem that holds a directory."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, name, *_ = line.split()
        if directory.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def machine(place: Place) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "filesystem": _filesystem(place.directory.resolve()),
        "direct": takes_direct(place.directory),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measures, prints the tables, and writes the figures where they are asked for."""
    parser = argparse.ArgumentParser(description="Saves side by side; see benchmarks/README.md.")
    parser.add_argument("--gigabytes", type=float, nargs="*", default=[0.5, 2.0], help="sizes of the checkpoint")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed (5)")
    parser.add_argument("--watched", type=int, default=3, help="how often each is watched (3)")
    parser.add_argument("--large", type=float, nargs="?", const=4.0, help="also remove a file of so many GB (4)")
    parser.add_argument("--directory", type=Path, default=Path(), help="where to write; it is left as it was")
    parser.add_argument("--settle", type=float, default=0.5, help="seconds of rest between two saves (0.5)")
    parser.add_argument("--json", type=Path, help="a file for all the figures")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.watched) < 1 or min([*arguments.gigabytes, arguments.large or 1]) <= 0:
        parser.error("sizes and rounds are numbers above 0")

    errors = Console(stderr=True)
    say: Progress = functools.partial(errors.print, style="dim", highlight=False)
    root = Path(tempfile.mkdtemp(prefix="checkroom-save-", dir=arguments.directory))
    try:
        place = Place(root, arguments.settle)
        found: dict[str, Any] = {"machine": machine(place), "rounds": arguments.rounds}
        found["sizes"] = [
            in_child(functools.partial(measure_size, gigabytes, arguments.rounds, arguments.watched, place, say))
            for gigabytes in arguments.gigabytes
        ]
        found["large"] = arguments.large and in_child(
            functools.partial(measure_removals, arguments.large, arguments.rounds, place, say)
        )
    finally:
        shutil.rmtree(root)
    found["targets"] = targets(found["sizes"], found["large"])

    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in [table for size in found["sizes"] for table in size_tables(size)]:
        console.print(table)
    if found["large"]:
        console.print(removal_table(found["large"]))
    console.print(target_table(found["targets"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
