"""The compiled core: values in, values out. What is public is re-exported by ``checkroom``."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, final, overload

from typing_extensions import Buffer, TypeAlias

# Goes in as os.fsencode takes it; comes out as os.fsdecode gives it: any bytes that a file may be named with survive.
_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]

__version__: str

# ---------------------------------------------------------------- base
def parse_size(text: str) -> int: ...
def format_size(n: int) -> str: ...

# ---------------------------------------------------------------- plan: retention
@final
class Item:
    """One checkpoint of an inventory."""

    def __init__(
        self,
        name: _Path,
        bytes: int,
        *,
        own_bytes: int | None = None,
        epoch: int = 0,
        step: int = 0,
        saved_at: float = 0.0,
        scores: Mapping[str, float] = {},
        run: str = "",
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def own_bytes(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def saved_at(self) -> float: ...
    @property
    def scores(self) -> dict[str, float]: ...
    @property
    def run(self) -> str: ...

@final
class KeepLast:
    def __init__(self, n: int = 1) -> None: ...
    @property
    def n(self) -> int: ...

@final
class KeepEvery:
    def __init__(self, *, epochs: int | None = None, steps: int | None = None, hours: float | None = None) -> None: ...
    @property
    def epochs(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def hours(self) -> float | None: ...

@final
class KeepBest:
    def __init__(self, k: int, monitor: str, mode: Literal["min", "max"] = "min") -> None: ...
    @property
    def k(self) -> int: ...
    @property
    def monitor(self) -> str: ...
    @property
    def mode(self) -> str: ...

@final
class RetentionPolicy:
    def __init__(
        self,
        *,
        save_top_k: int = 1,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        keep: Sequence[KeepLast | KeepEvery | KeepBest] = (),
        pinned: Sequence[_Path] = (),
        budget: int | None = None,
    ) -> None: ...
    @property
    def save_top_k(self) -> int: ...
    @property
    def monitor(self) -> str | None: ...
    @property
    def mode(self) -> Literal["min", "max"]: ...
    @property
    def keep(self) -> list[KeepLast | KeepEvery | KeepBest]: ...
    @property
    def pinned(self) -> list[str]: ...
    @property
    def budget(self) -> int | None: ...

@final
class RetentionPlan:
    @property
    def keep(self) -> list[tuple[Item, tuple[str, ...]]]: ...
    @property
    def remove(self) -> list[tuple[Item, tuple[str, ...]]]: ...
    @property
    def top_k(self) -> list[str]: ...  # names, in the order of saving
    @property
    def best(self) -> str | None: ...
    @property
    def over_budget(self) -> int: ...  # bytes; 0: the budget holds

def plan(
    inventory: Sequence[Item], policy: RetentionPolicy, *, last: _Path | None = None, resumed_from: _Path | None = None
) -> RetentionPlan: ...

@final
class RetentionEngine:
    """The incremental engine: a published item goes in, the items that leave come out."""

    def __init__(self, policy: RetentionPolicy) -> None: ...
    def decide(self, candidate: Item) -> tuple[bool, tuple[str, ...]]: ...   # would it be kept, and why (not)
    def publish(self, item: Item) -> list[tuple[Item, tuple[str, ...]]]: ...  # what leaves, with reasons
    def forget(self, name: _Path) -> None: ...                                  # it vanished
    def set_last(self, name: _Path | None) -> None: ...
    def set_resumed_from(self, name: _Path | None) -> None: ...
    def set_budget(self, budget: int | None) -> None: ...
    def plan(self) -> RetentionPlan: ...                                      # what is kept now, and why
    def copy(self) -> RetentionEngine: ...

# ---------------------------------------------------------------- plan: run spec and forecast
@final
class RunSpec:
    """What decides how many files a run will write. Lightning's own argument names."""

    def __init__(
        self,
        *,
        # how long the run is (-1: without an end)
        max_epochs: int | None = None,
        max_steps: int = -1,
        max_hours: float | None = None,
        steps_per_epoch: int | None = None,         # optimizer steps
        batches_per_epoch: int | None = None,       # training batches; default: steps times accumulation
        accumulate_grad_batches: int = 1,
        seconds_per_step: float | None = None,
        start_epoch: int = 0,                       # of a resumed run
        start_step: int = 0,
        # when it validates
        validates: bool = True,
        check_val_every_n_epoch: int | None = 1,
        val_check_interval: int | float = 1.0,
        # when it saves
        every_n_epochs: int | None = None,
        every_n_train_steps: int | None = None,
        train_time_interval_seconds: float | None = None,
        save_on_train_epoch_end: bool | None = None,
        # what it keeps
        save_top_k: int = 1,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        save_last: bool | Literal["link"] | None = None,
        keep: Sequence[KeepLast | KeepEvery | KeepBest] = (),
        max_size: int | None = None,
        # how large it is
        checkpoint_bytes: int = 0,                  # one full checkpoint
        weights_only_bytes: int | None = None,
        save_weights_only: bool = False,
        tensorboard_bytes_per_epoch: int = 0,       # at log_steps_per_epoch
        csv_bytes_per_epoch: int = 0,
        log_steps_per_epoch: int | None = None,     # default: steps_per_epoch
        dataset_bytes: int = 0,
        model_files_bytes: int = 0,
        misc_bytes: int = 0,
        existing_files: int = 0,                    # what already lies in the directory
        existing_bytes: int = 0,
        # who writes it
        writer: Literal["checkroom", "lightning"] = "checkroom",
        lightning_version: str = "2.6",
        staging: Literal["same", "other"] = "same", # is $TMPDIR on the destination's filesystem?
        last_as: Literal["auto", "link", "copy"] = "auto",
    ) -> None: ...
    @property
    def max_epochs(self) -> int | None: ...
    @property
    def max_steps(self) -> int: ...
    @property
    def max_hours(self) -> float | None: ...
    @property
    def steps_per_epoch(self) -> int | None: ...
    @property
    def batches_per_epoch(self) -> int | None: ...
    @property
    def accumulate_grad_batches(self) -> int: ...
    @property
    def seconds_per_step(self) -> float | None: ...
    @property
    def start_epoch(self) -> int: ...
    @property
    def start_step(self) -> int: ...
    @property
    def validates(self) -> bool: ...
    @property
    def check_val_every_n_epoch(self) -> int | None: ...
    @property
    def val_check_interval(self) -> int | float: ...
    @property
    def every_n_epochs(self) -> int | None: ...
    @property
    def every_n_train_steps(self) -> int | None: ...
    @property
    def train_time_interval_seconds(self) -> float | None: ...
    @property
    def save_on_train_epoch_end(self) -> bool | None: ...
    @property
    def save_top_k(self) -> int: ...
    @property
    def monitor(self) -> str | None: ...
    @property
    def mode(self) -> Literal["min", "max"]: ...
    @property
    def save_last(self) -> bool | Literal["link"] | None: ...
    @property
    def keep(self) -> list[KeepLast | KeepEvery | KeepBest]: ...
    @property
    def max_size(self) -> int | None: ...
    @property
    def checkpoint_bytes(self) -> int: ...
    @property
    def weights_only_bytes(self) -> int | None: ...
    @property
    def save_weights_only(self) -> bool: ...
    @property
    def tensorboard_bytes_per_epoch(self) -> int: ...
    @property
    def csv_bytes_per_epoch(self) -> int: ...
    @property
    def log_steps_per_epoch(self) -> int | None: ...
    @property
    def dataset_bytes(self) -> int: ...
    @property
    def model_files_bytes(self) -> int: ...
    @property
    def misc_bytes(self) -> int: ...
    @property
    def existing_files(self) -> int: ...
    @property
    def existing_bytes(self) -> int: ...
    @property
    def writer(self) -> Literal["checkroom", "lightning"]: ...
    @property
    def lightning_version(self) -> str: ...
    @property
    def staging(self) -> Literal["same", "other"]: ...
    @property
    def last_as(self) -> Literal["auto", "link", "copy"]: ...
    def replace(self, **changes: object) -> RunSpec: ...
    @property
    def save_count(self) -> int | None: ...         # opportunities to save; None: without an end

@final
class Range:
    @property
    def least(self) -> int: ...
    @property
    def most(self) -> int: ...

@final
class WrittenRange:
    @property
    def least(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def expected(self) -> float: ...

@final
class SavePoint:
    """The state after one opportunity to save."""

    @property
    def index(self) -> int: ...  # 0-based opportunity
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def seconds(self) -> float | None: ...  # since the run's start
    @property
    def files(self) -> Range: ...  # at rest, that own blocks
    @property
    def at_rest_bytes(self) -> Range: ...
    @property
    def peak_bytes(self) -> Range: ...  # the worst moment inside this save
    @property
    def peak_files(self) -> Range: ...
    @property
    def written_bytes(self) -> WrittenRange: ...  # since the run's start
    @property
    def saved(self) -> bool | None: ...  # was a file beside `last` written? None: the scores decide
    @property
    def last_only(self) -> bool: ...     # the rules are not asked: only `last` is written

@final
class FilesystemForecast:
    """One filesystem's share: destination, staging ($TMPDIR) or logs."""

    @property
    def name(self) -> str: ...
    @property
    def at_rest_bytes(self) -> Range: ...
    @property
    def peak_bytes(self) -> Range: ...
    @property
    def written_bytes(self) -> Range: ...

@final
class Timeline(Sequence[SavePoint]):
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> SavePoint: ...
    @overload
    def __getitem__(self, index: slice) -> list[SavePoint]: ...

@final
class Forecast:
    @property
    def spec(self) -> RunSpec: ...
    @property
    def files(self) -> Range: ...  # at rest, after the last save
    @property
    def at_rest_bytes(self) -> Range: ...
    @property
    def peak_files(self) -> Range: ...
    @property
    def peak_bytes(self) -> Range: ...  # over the whole run
    @property
    def written_bytes(self) -> WrittenRange: ...
    @property
    def tensorboard_bytes(self) -> int: ...
    @property
    def csv_bytes(self) -> int: ...
    @property
    def total_bytes(self) -> Range: ...  # at rest, with the logs
    @property
    def fixed_bytes(self) -> int: ...  # dataset, model files, misc
    @property
    def epochs(self) -> int | None: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def filesystems(self) -> dict[str, FilesystemForecast]: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def has_end(self) -> bool: ...
    @property
    def bytes_per_epoch(self) -> float | None: ...  # of a run without an end
    def first_save_that_may_not_fit(self, have: int) -> SavePoint | None: ...
    def first_save_that_cannot_fit(self, have: int) -> SavePoint | None: ...
    def epochs_until_full(self, have: int) -> int | None: ...
    # for given scores: names of saves that are kept, by opportunity
    @property
    def kept(self) -> list[int] | None: ...
    def kept_after(self, index: int) -> list[int] | None: ...

def forecast(spec: RunSpec, scores: Sequence[float] | Mapping[str, Sequence[float]] | None = None) -> Forecast: ...

# ---------------------------------------------------------------- plan: admission
@final
class Admission:
    @property
    def verdict(self) -> Literal["admit", "prune_first", "wait", "refuse"]: ...
    @property
    def need(self) -> int: ...
    @property
    def have(self) -> int: ...
    @property
    def short_by(self) -> int: ...
    @property
    def limit(self) -> Literal["filesystem", "cap", "floor", "inodes", "quota", "leases", "none"]: ...
    @property
    def unknown(self) -> bool: ...  # the filesystem's figures could not be trusted: the cap alone decided

def admit(
    *,
    file_bytes: int,
    last_copy_bytes: int = 0,
    available: int | None,          # None: unknown
    quota: int | None = None,
    cap: int | None = None,
    used: int = 0,                  # bytes in the directory, for the cap
    floor: int = 0,
    leases: int = 0,
    inodes: int | None = None,      # free inodes; None: not counted
    displaced_bytes: int = 0,       # what prune_first would free
    can_wait: bool = False,
) -> Admission: ...

# ---------------------------------------------------------------- plan: advice
@final
class Configuration:
    """Arguments of ModelCheckpoint for a run, and what they need."""

    @property
    def kind(self) -> Literal["strategy", "last", "newest", "no_last", "cap"] | None: ...  # None: not advised
    @property
    def spec(self) -> RunSpec: ...
    @property
    def need_bytes(self) -> int | None: ...  # checkpoints and logs at once, at the most; None: without bound
    @property
    def margin_bytes(self) -> int | None: ...  # negative: what is short
    @property
    def fits(self) -> bool: ...
    @property
    def model_checkpoint(self) -> dict[str, Any]: ...  # its arguments by name, defaults left out
    @property
    def call(self) -> str: ...  # to paste

@final
class Advice:
    """Which arguments fit into the space that there is."""

    @property
    def have_bytes(self) -> int: ...
    @property
    def rule(self) -> str: ...  # by which the options are ordered
    @property
    def strategy(self) -> Literal["short", "medium", "long"]: ...
    @property
    def own(self) -> Configuration: ...  # the spec as it was asked about
    @property
    def options(self) -> list[Configuration]: ...  # that fit, best first
    @property
    def smallest(self) -> Configuration: ...  # needs the least of all that was tried
    @property
    def weights_only(self) -> Configuration | None: ...  # fits where nothing else does
    @property
    def short_by(self) -> int: ...  # 0: something fits
    @property
    def fitting_checkpoint_bytes(self) -> int: ...  # with which the smallest would fit

def advise(spec: RunSpec, have: int | str) -> Advice: ...
def need_of(spec: RunSpec) -> int | None: ...  # checkpoints and logs at once, at the most; None: without bound

# ---------------------------------------------------------------- disk
@final
class FreeSpace:
    @property
    def path(self) -> str: ...
    @property
    def available(self) -> int | None: ...  # to us, bytes (f_bavail); None: unknown
    @property
    def free(self) -> int | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def inodes(self) -> int | None: ...  # available; None: not counted
    @property
    def device(self) -> str: ...  # "major:minor"
    @property
    def filesystem(self) -> str: ...  # "ext4", "xfs", "tmpfs", ... or "0x..." of statfs
    def minus_floor(self, floor: int) -> int | None: ...

def free_space(path: _Path) -> FreeSpace: ...

@final
class StagedFile:
    """A file that is being written under a temporary name with its blocks reserved."""

    @property
    def path(self) -> str: ...  # of the temporary name
    @property
    def bytes_written(self) -> int: ...
    @property
    def reserved(self) -> bool: ...  # False: the filesystem has no fallocate
    def reserve(self, bytes: int) -> None: ...
    def write(self, data: Buffer) -> int: ...
    def flush(self) -> None: ...
    def tell(self) -> int: ...
    def seek(self, offset: int, whence: int = 0) -> int: ...
    def abandon(self) -> None: ...

# ---------------------------------------------------------------- archive
def archive_size(records: Sequence[tuple[str, int]], *, prefix: str = "archive", alignment: int = 64) -> int: ...

@final
class ArchiveWriter:
    """Writes PyTorch's zip, byte for byte, record after record."""

    def __init__(
        self, target: StagedFile | None, *, prefix: str = "archive", alignment: int = 64, compute_crc: bool = True
    ) -> None: ...
    def write(self, name: str, data: Any) -> None: ...
    def write_memory(self, name: str, address: int, bytes: int) -> None: ...
    def begin(self, name: str, bytes: int) -> None: ...
    def append_memory(self, address: int, bytes: int) -> None: ...
    def end(self) -> None: ...
    def finish(self) -> int: ...
    def value(self) -> bytes: ...

@final
class ArchiveCheck:
    """Reads a file that torch.save wrote back from the disk, and compares the records' checksums."""

    def __init__(self, path: _Path) -> None: ...
    @property
    def bytes(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def has_checksums(self) -> bool: ...
    def step(self) -> int: ...
    @property
    def fault(self) -> tuple[str, str] | None: ...

# ---------------------------------------------------------------- store
@final
class Store:
    """One directory of checkpoints under guard."""

    def __init__(
        self,
        directory: _Path,
        policy: RetentionPolicy,
        *,
        min_free: int = 0,
        max_size: int | None = None,
        prune_first: bool = True,
        durable: bool = True,
        last_as: Literal["auto", "link", "copy"] = "auto",
    ) -> None: ...
    @property
    def directory(self) -> str: ...
    # -- what is there
    def adopt(
        self, items: Sequence[Item], *, last: _Path | None = None, last_files: Sequence[_Path] = [],
        resumed_from: _Path | None = None
    ) -> SavePlan: ...
    def inventory(self) -> list[Item]: ...
    def plan(self) -> RetentionPlan: ...
    def foreign(self) -> list[tuple[str, int]]: ...       # name, bytes: counted, never removed
    def used_bytes(self) -> int: ...                      # own blocks of everything below the directory
    # -- a save
    def plan_save(self, candidate: Item, *, forced: bool = False, own_last: bool = False) -> SavePlan: ...
    def make_room(self, plan: SavePlan) -> list[tuple[str, str]]: ...   # prune_first carried out
    def stage(self, name: _Path) -> StagedFile: ...
    def publish(                                                         # fsync, rename, fsync(dir); its bytes
        self, staged: StagedFile, name: _Path, *, check: Literal["structure", "whole"] | None = None
    ) -> int: ...
    def verify(self, name: _Path) -> str | None: ...
    def set_aside(self, name: _Path) -> str: ...
    def commit(self, item: Item) -> list[tuple[str, str]]: ...         # (name, reason) that leave: call trash for each
    def link_last(self, target: _Path, name: _Path) -> Literal["reflink", "link", "copy"]: ...
    def symlink_last(self, target: _Path, name: _Path) -> None: ...
    def trash(self, name: _Path) -> None: ...
    def forget(self, name: _Path) -> None: ...
    # -- the reaper
    def drain(self, timeout_seconds: float | None = None) -> int: ...   # bytes that really came back
    def close(self) -> None: ...

@final
class SavePlan:
    @property
    def wanted(self) -> bool: ...  # do the rules want this save at all?
    @property
    def reasons(self) -> tuple[str, ...]: ...  # why (not)
    @property
    def admission(self) -> Admission | None: ...
    @property
    def removes(self) -> list[tuple[str, str]]: ...  # (name, reason) after publishing
    @property
    def removes_first(self) -> list[tuple[str, str]]: ...  # (name, reason) before, by prune_first
    @property
    def top_k(self) -> list[str]: ...  # names after the save, in the order of saving
    @property
    def best(self) -> str | None: ...
