"""What ``checkroom estimate`` is asked: flags and run file, made into one frozen value.

A flag counts more than the file, and drops what the file says about the same thing in another way
(``--samples`` drops the file's ``steps_per_epoch``). Nothing is computed here but what has to be
known to ask: sizes are read, paths measured, steps derived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from checkroom.cli import _values
from checkroom.cli._checkpoint_size import SIZE_KEYS, CheckpointSize, checkpoint_size
from checkroom.cli._config import read_config
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._logs import LOG_KEYS, RATE_KEYS, LogRates, log_rates
from checkroom.cli._measure import Tree, free_bytes, size_or_tree, split
from checkroom.cli._policy import POLICY_KEYS, TRIGGER_KEYS, Policy, policy, policy_text
from checkroom.cli._run_file import RunFile, read_run_file
from checkroom.cli._steps import STEP_KEYS, Steps, read_steps
from checkroom.cli._trainer import TRAINER_KEYS, epochs_of, trainer_arguments
from checkroom.cli._values import Given

__all__ = [
    "FILE_KEYS", "Dataset", "EstimateRequest", "Free", "Strategy", "estimate_request", "given_flags",
]

_OTHER_KEYS = (
    "epochs", "max_epochs", "compare", "dataset", "dataset_files", "mean_file", "val_fraction", "model_files",
    "misc", "free", "min_free", "scale_dataset",
    "lightning_version",
)

#: Every key that a run file may have at its top: the flags' names with ``_`` for ``-``.
FILE_KEYS = (*SIZE_KEYS, *STEP_KEYS, *TRAINER_KEYS, *POLICY_KEYS, *LOG_KEYS, *_OTHER_KEYS)

# A flag on the left drops the file's keys on the right: they say the same thing in another way.
_DROPS: Mapping[str, tuple[str, ...]] = {
    "checkpoint_size": tuple(key for key in SIZE_KEYS if key not in ("checkpoint_size", "weights_only_size")),
    "from_checkpoint": tuple(key for key in SIZE_KEYS if key != "from_checkpoint"),
    "parameters": ("checkpoint_size", "from_checkpoint", "weights_only_size"),
    "epochs": ("max_epochs",),
    "steps_per_epoch": ("samples",),
    "samples": ("steps_per_epoch",),
    "seconds_per_step": ("hours",),
    "hours": ("seconds_per_step",),
    **{key: tuple(other for other in TRIGGER_KEYS if other != key) for key in TRIGGER_KEYS},
    "dataset": ("dataset_files", "mean_file"),
    "logs": RATE_KEYS,
    **dict.fromkeys(RATE_KEYS, ("logs",)),
}

# What the policies are called that nobody gave a name.
_LABELS = {"default": "the defaults", "flags": "your flags", "file": "the run file"}

_EPOCHS_HINT = "write for example 5,10,20"
_MOST_EPOCHS = 1_000_000
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}(\.\d{1,6})*((a|b|rc|\.?dev|\.?post)\d{1,9})?(\+[a-z0-9.]{1,40})?", re.ASCII)


@dataclass(frozen=True)
class Dataset:
    """The training data.

    Attributes:
        bytes: Its size.
        files: How many files (episodes); ``None``: unknown.
        stated_mean_bytes: The mean length of a file as written, which may contradict the others.
        train, validation: How the files are split; ``None``: the number of files is unknown.
    """

    bytes: int
    files: int | None = None
    stated_mean_bytes: int | None = None
    train: int | None = None
    validation: int | None = None

    @property
    def mean_bytes(self) -> int | None:
        """Bytes over files."""
        return self.bytes // self.files if self.files else None


@dataclass(frozen=True)
class Free:
    """The space that a verdict compares with.

    Attributes:
        bytes: What is free; ``None``: the filesystem does not say.
        path: Where it was measured; ``None``: it was given.
        floor: Bytes to leave free.
    """

    bytes: int | None
    path: str | None
    floor: int


@dataclass(frozen=True)
class Strategy:
    """A policy for runs of some length: from ``first`` epochs to ``last`` (``None``: and more)."""

    first: int
    last: int | None
    policy: Policy


@dataclass(frozen=True)
class EstimateRequest:
    """Everything that an estimate is computed from. Bytes, seconds and counts are plain numbers.

    Attributes:
        trainer: Further arguments of the run spec that follow from the trainer.
        together: The policies act in one run, not in each other's stead.
    """

    checkpoint: CheckpointSize
    epochs: tuple[int, ...]
    max_epochs: int
    policies: tuple[Policy, ...]
    steps: Steps = Steps()
    compare: bool = False
    strategies: tuple[Strategy, ...] = ()
    dataset: Dataset | None = None
    model_files_bytes: int = 0
    misc_bytes: int = 0
    logs: LogRates = LogRates()
    free: Free | None = None
    scale_dataset: tuple[int, ...] = ()
    lightning_version: str = "2.6"
    trainer: tuple[tuple[str, Any], ...] = ()
    together: bool = False
    remarks: tuple[str, ...] = ()


def given_flags(parameters: Mapping[str, object]) -> dict[str, str]:
    """The flags that were written, by key, as text; of a flag that is only there or not, ``"true"``."""
    given = {key: value for key, value in parameters.items() if key in FILE_KEYS}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    return texts | {key: "true" for key, value in given.items() if value is True and key != "compare"}


def estimate_request(
    flags: Mapping[str, str], *, run: str | None = None, config: str | None = None, policies: Sequence[str] = (),
    compare: bool = False,
) -> EstimateRequest:
    """Makes the request of flags and a run file.

    Args:
        flags: The flags that were given, by key (``save_top_k``), as text.
        run: The path of a run file.
        config: The path of a LightningCLI config, instead of a run file.
        policies: The texts of ``--policy``.
        compare: Whether the policies are wanted side by side.

    Raises:
        CommandError: Something makes no sense; the text quotes it and names the way out.
    """
    file = RunFile()
    if run is not None and config is not None:
        raise CommandError(f"--run {quoted(run)} and --config {quoted(config)} exclude each other (keep one of them)")
    if config is not None:
        file = read_config(_values.path_of(Given(config, "--config")))
    elif run is not None:
        file = read_run_file(
            _values.path_of(Given(run, "--run")), keys=FILE_KEYS,
            tables={"policies": POLICY_KEYS, "strategies": ("epochs", *POLICY_KEYS)},
        )
    given = {key: Given(text, "--" + key.replace("_", "-")) for key, text in flags.items()}
    dropped = {old for key in given for old in _DROPS.get(key, ())}
    values = {key: value for key, value in file.values.items() if key not in dropped} | given

    if "max_steps" in values and not {"epochs", "max_epochs"} & set(values):
        values["max_epochs"] = epochs_of(values, given)
    epochs, max_epochs = _length(values)
    comparing = Given(True, "--compare") if compare else values.get("compare")
    compare = comparing is not None and _values.truth(comparing)
    chosen = _policies(file, given, policies, comparing if compare else None)
    dataset = _dataset(values)
    train = dataset.train if dataset is not None else None
    steps = read_steps(values, given, file.values, max_epochs=_stated_length(values, file), dataset=train)
    remarks = [*steps.remarks, *_idle(given, dataset, chosen)]
    checkpoint = checkpoint_size(values)
    if checkpoint.weights_only is None and any(item.get("save_weights_only") for item in chosen):
        remarks.append("save_weights_only: the size of a whole checkpoint is taken; give --weights-only-size.")
    request = EstimateRequest(
        checkpoint=checkpoint,
        epochs=epochs,
        max_epochs=max_epochs,
        policies=chosen,
        steps=steps,
        compare=compare,
        strategies=_strategies(file),
        dataset=dataset,
        model_files_bytes=_tree(values, "model_files").bytes,
        misc_bytes=_size(values, "misc"),
        logs=log_rates(values, steps),
        free=_free(values),
        scale_dataset=_scale(values, steps, dataset),
        lightning_version=_lightning_version(values),
        trainer=trainer_arguments(values),
        together=file.together and len(chosen) > 1,
        remarks=(*file.remarks, *remarks),
    )
    _check_triggers(request)
    return request


def _length(values: Mapping[str, Given]) -> tuple[tuple[int, ...], int]:
    if "epochs" not in values and "max_epochs" not in values:
        raise CommandError(
            "no length of the run (give --max-epochs 20, or several lengths to estimate: --epochs 5,10,20)"
        )
    epochs: tuple[int, ...] = ()
    if "epochs" in values:
        epochs = _values.counts(values["epochs"], hint=_EPOCHS_HINT)
    max_epochs = epochs[-1] if epochs else 0
    if "max_epochs" in values:
        max_epochs = _values.integer(values["max_epochs"], least=1, hint="write how many epochs the run has")
    longest = max(max_epochs, *epochs, 0)
    if longest > _MOST_EPOCHS:
        key = "epochs" if epochs and epochs[-1] == longest else "max_epochs"
        raise CommandError(f"{values[key].where}: {quoted(longest)} epochs are too many (at most {_MOST_EPOCHS})")
    return epochs or (max_epochs,), max_epochs


def _stated_length(values: Mapping[str, Given], file: RunFile) -> int:
    # The file's `hours` belong to the file's own length, whatever other lengths the flags ask about.
    own = values.get("hours") is not None and values["hours"] is file.values.get("hours")
    return _length(file.values if own and ({"epochs", "max_epochs"} & set(file.values)) else values)[1]


def _idle(given: Mapping[str, Given], dataset: Dataset | None, policies: Sequence[Policy]) -> Iterator[str]:
    """A remark for every flag that changes nothing. Keys of a file may be there for other flags."""
    if dataset is not None and dataset.files is None:
        for key in ("mean_file", "val_fraction"):
            if key in given:
                yield f"{given[key].where}: without effect, as the dataset's files are not known; give --dataset-files."
    if "weights_only_size" in given and not any(policy.get("save_weights_only") for policy in policies):
        yield f"{given['weights_only_size'].where}: without effect; give --save-weights-only as well."
    if "log_steps_per_epoch" in given and not {"tensorboard_per_epoch", "csv_per_epoch"} & set(given):
        yield f"{given['log_steps_per_epoch'].where}: without effect; give --tensorboard-per-epoch or --csv-per-epoch."


def _policies(
    file: RunFile, given: Mapping[str, Given], texts: Sequence[str], comparing: Given | None
) -> tuple[Policy, ...]:
    """The file's policies, those of ``--policy`` over them, and one that the single flags make."""
    tables = {name: (dict(table), f"policy {quoted(name)[1:-1]}") for name, table in file.policies.items()}
    plain = {key: value for key, value in file.values.items() if key in POLICY_KEYS}
    if plain:
        tables = {"file": (plain, "the file's policy"), **tables}
    named: set[str] = set()
    for text in texts:
        name, arguments = policy_text(Given(text, "--policy"))
        if name in named:
            raise CommandError(f"--policy: two policies of the name {quoted(name)} (give each a name of its own)")
        named.add(name)
        base = tables.get(name, ({}, ""))[0]
        tables[name] = (_overridden(base, arguments), f"policy {name}")
    flags = {key: value for key, value in given.items() if key in POLICY_KEYS}
    if flags and len(tables) == 1 and comparing is None:
        name, (base, where) = next(iter(tables.items()))
        tables = {name: (_overridden(base, flags), where)}
    elif flags:
        # Several policies have no one argument to override: the flags are a policy of their own. They stand for what
        # the file says, but not for what stands beside them on the command line.
        if "flags" in tables:
            raise CommandError("policy 'flags': single flags make a policy of that name (give yours another)")
        kept = tables if comparing is not None else {name: table for name, table in tables.items() if name in named}
        tables = {**kept, "flags": (flags, "the flags")}
    if comparing is not None and len(tables) < 2:
        there = f"only the policy {quoted(next(iter(tables)))}" if tables else "no policy"
        raise CommandError(
            f"{comparing.where}: {there} is there to compare (add --policy NAME:save_top_k=3,..., or [policies.NAME] "
            f"tables to the run file)"
        )
    if not tables:
        return (Policy("default", label=_LABELS["default"]),)
    return tuple(
        policy(name, table, where, label=_LABELS.get(name, "") if name not in {*file.policies, *named} else "")
        for name, (table, where) in tables.items()
    )


def _overridden(base: Mapping[str, Given], over: Mapping[str, Given]) -> dict[str, Given]:
    dropped = {old for key in over for old in _DROPS.get(key, ())}
    return {key: value for key, value in base.items() if key not in dropped} | dict(over)


def _strategies(file: RunFile) -> tuple[Strategy, ...]:
    result = []
    for name, table in file.strategies.items():
        where = f"strategy {name}"
        if "epochs" not in table:
            raise CommandError(f"{where}: no epochs (write epochs = [20, 50], or [100] for 100 and more)")
        bounds = _values.counts(table["epochs"], hint="write [20, 50], or [100] for 100 and more")
        if len(bounds) > 2 or bounds[-1] > _MOST_EPOCHS:
            raise CommandError(
                f"{table['epochs'].where}: not a range of epochs: {quoted(table['epochs'].value)} (write [20, 50])"
            )
        arguments = {key: value for key, value in table.items() if key != "epochs"}
        result.append(Strategy(bounds[0], bounds[1] if len(bounds) == 2 else None, policy(name, arguments, where)))
    return tuple(result)


def _dataset(values: Mapping[str, Given]) -> Dataset | None:
    if "dataset" not in values:
        for key in ("dataset_files", "mean_file", "val_fraction"):
            if key in values:
                raise CommandError(
                    f"{values[key].where}: {quoted(values[key].value)} of what? (give --dataset PATH or SIZE as well)"
                )
        return None
    tree = size_or_tree(values["dataset"])
    files = tree.files
    if "dataset_files" in values:
        stated = _values.integer(values["dataset_files"], least=1, hint="write how many files the dataset has")
        if files is not None:
            raise CommandError(
                f"{values['dataset_files'].where}: {quoted(stated)}, but the dataset's files were counted: {files} "
                f"(leave it out)"
            )
        files = stated
    mean = _size(values, "mean_file") if "mean_file" in values else None
    fraction = _values.fraction(values["val_fraction"]) if "val_fraction" in values else Decimal(0)
    train, validation = split(files, fraction) if files is not None else (None, None)
    return Dataset(tree.bytes, files, mean, train, validation)


def _tree(values: Mapping[str, Given], key: str) -> Tree:
    return size_or_tree(values[key]) if key in values else Tree(0)


def _size(values: Mapping[str, Given], key: str) -> int:
    return _values.size(values[key]) if key in values else 0


def _free(values: Mapping[str, Given]) -> Free | None:
    floor = _values.size(values.get("min_free", Given("1 GB", "--min-free")))
    if "free" not in values:
        given = values.get("min_free")
        if given is not None and given.where.startswith("--"):  # a callback's own floor asks for nothing here
            raise CommandError(f"{given.where}: {quoted(given.value)} of what? (give --free PATH or SIZE as well)")
        return None
    return Free(*free_bytes(values["free"]), floor)


def _scale(values: Mapping[str, Given], steps: Steps, dataset: Dataset | None) -> tuple[int, ...]:
    if "scale_dataset" not in values:
        return ()
    factors = _values.counts(values["scale_dataset"], hint="write factors, for example 1,2,4,10")
    if steps.per_epoch is None:
        raise CommandError(
            f"{values['scale_dataset'].where}: {quoted(values['scale_dataset'].value)} needs the steps of an epoch "
            f"(give --steps-per-epoch, or --samples)"
        )
    largest = max(steps.scaled(factors[-1]) or 0, (dataset.bytes if dataset else 0) * factors[-1])
    if largest > _values.MOST_COUNT:
        raise CommandError(f"{values['scale_dataset'].where}: too large a number: {quoted(factors[-1])} (write less)")
    return factors


def _lightning_version(values: Mapping[str, Given]) -> str:
    if "lightning_version" not in values:
        return "2.6"
    given = values["lightning_version"]
    text = given.value.strip() if isinstance(given.value, str) else ""
    # Not a TOML number: 2.10 would be read as 2.1.
    if _VERSION.fullmatch(text) is None:
        hint = "for example 2.6" if isinstance(given.value, str) else 'a text, for example "2.6"'
        raise CommandError(f"{given.where}: not a version: {quoted(given.value)} (write {hint})")
    return text


def _check_triggers(request: EstimateRequest) -> None:
    everything = [*request.policies, *(strategy.policy for strategy in request.strategies)]
    for item in everything:
        every, interval = item.get("every_n_train_steps"), item.get("train_time_interval")
        if request.steps.per_epoch is None and (every is not None or interval is not None):
            trigger = f"every_n_train_steps={quoted(every)}" if interval is None else f"train_time_interval={interval}"
            raise CommandError(
                f"policy {item.name}: {trigger} needs the steps of an epoch (give --steps-per-epoch, or --samples)"
            )
        if interval is not None and request.steps.seconds is None:
            raise CommandError(
                f"policy {item.name}: train_time_interval={interval} needs the time of a step "
                f"(give --seconds-per-step, or --hours)"
            )
