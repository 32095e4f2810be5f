"""What a LightningCLI config says about a run: the trainer's length and its ModelCheckpoints, as a run file would.

The file is read as YAML; nothing of Lightning or of the user's code is imported. What it does not say, such as the
size of a checkpoint, is asked for by flag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._policy import POLICY_KEYS, TRIGGER_KEYS
from checkroom.cli._run_file import RunFile
from checkroom.cli._values import Given

__all__ = ["read_config"]

_LIGHTNINGS_DEFAULT_EPOCHS = 1000
# What a printed config holds of every class, and a call to paste need not.
_DEFAULTS = {
    "mode": "min", "save_last": False, "save_weights_only": False, "auto_insert_metric_name": True, "keep": [],
    "last_as": "auto",
}


@dataclass
class _Reader:
    """The parts of one config, as they are found."""

    path: Path
    values: dict[str, Given] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def where(self, key: str) -> str:
        """Where a value stands, for the reader."""
        return f"{self.path}: {key}"

    def take(self, trainer: Mapping[str, Any], key: str, as_key: str | None = None) -> None:
        """One of the trainer's arguments under the name that a run file has for it."""
        if trainer.get(key) is not None:
            self.values[as_key or key] = Given(trainer[key], self.where(f"trainer.{key}"), self.path.parent)


def read_config(path: Path) -> RunFile:
    """Reads the config of a LightningCLI.

    Args:
        path: The YAML file, of one command or with the arguments of ``fit`` under that key.

    Returns:
        The trainer's arguments under the names of a run file, and a policy for each ModelCheckpoint.

    Raises:
        CommandError: The file cannot be read, is not YAML, or is not the config of a trainer that saves.
    """
    config = _parse(path)
    if "trainer" not in config and isinstance(config.get("fit"), Mapping):
        config = dict(config["fit"])
    trainer = config.get("trainer")
    if not isinstance(trainer, Mapping):
        raise CommandError(f"--config: {quoted(path)} has no trainer (give the config of a LightningCLI)")
    if trainer.get("enable_checkpointing") is False:
        raise CommandError(f"{path}: trainer.enable_checkpointing: 'False': this run saves nothing (set it to true)")
    reader = _Reader(path)
    _read_length(reader, trainer)
    _read_steps(reader, trainer)
    policies = {name: dict(arguments) for name, arguments in _policies(reader, config, trainer)}
    return RunFile(reader.values, policies, remarks=tuple(reader.remarks), together=len(policies) > 1)


def _parse(path: Path) -> dict[str, Any]:
    import yaml

    try:
        with path.open(encoding="utf-8") as file:
            config = yaml.safe_load(file)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise CommandError(f"--config: {quoted(path)}: {reason} (give the path of a LightningCLI config)") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"--config: {quoted(path)}: not text: byte {error.start} is not UTF-8") from None
    except yaml.YAMLError as error:
        raise CommandError(f"--config: {quoted(path)}: not YAML: {quoted(error)[1:-1]}") from None
    if not isinstance(config, dict):
        raise CommandError(f"--config: {quoted(path)} has no trainer (give the config of a LightningCLI)")
    return config


def _read_length(reader: _Reader, trainer: Mapping[str, Any]) -> None:
    for key in ("max_epochs", "max_steps"):
        if trainer.get(key) != -1:  # without that limit
            reader.take(trainer, key)
    if trainer.get("max_time") is not None:
        reader.remarks.append(
            f"{reader.where('trainer.max_time')} {quoted(trainer['max_time'])} may end the run sooner: not counted."
        )
    if not {"max_epochs", "max_steps"} & set(reader.values) and trainer.get("max_epochs") is None:
        reader.values["max_epochs"] = Given(_LIGHTNINGS_DEFAULT_EPOCHS, reader.where("trainer"))
        reader.remarks.append(f"{reader.path} names no length of the run: Lightning's default of 1000 epochs is taken.")


def _read_steps(reader: _Reader, trainer: Mapping[str, Any]) -> None:
    reader.take(trainer, "accumulate_grad_batches", "accumulate")
    reader.take(trainer, "check_val_every_n_epoch")
    reader.take(trainer, "val_check_interval")
    if trainer.get("limit_val_batches") == 0:
        reader.values["validates"] = Given(False, reader.where("trainer.limit_val_batches"))
    devices, nodes = trainer.get("devices"), trainer.get("num_nodes") or 1
    if isinstance(devices, list):
        devices = len(devices)
    if isinstance(devices, int) and devices > 0 and isinstance(nodes, int):
        reader.values["devices"] = Given(devices * nodes, reader.where("trainer.devices"))
    elif devices not in (None, 1):
        reader.remarks.append(
            f"{reader.where('trainer.devices')} {quoted(devices)} depends on the machine: where the steps come from "
            f"samples, give --devices."
        )
    limit = trainer.get("limit_train_batches")
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        accumulate = trainer.get("accumulate_grad_batches") or 1
        if isinstance(accumulate, int):
            steps = -(-limit // max(1, accumulate))
            reader.values["steps_per_epoch"] = Given(steps, reader.where("trainer.limit_train_batches"))
    elif isinstance(limit, float) and limit != 1.0:
        reader.remarks.append(
            f"{reader.where('trainer.limit_train_batches')} {quoted(limit)} is a part of an epoch that is not known: "
            f"give the --steps-per-epoch that are left."
        )


def _policies(
    reader: _Reader, config: Mapping[str, Any], trainer: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Given]]]:
    found = list(_checkpoints(config, trainer))
    if not found:
        reader.remarks.append(
            f"{reader.path} has no ModelCheckpoint: Lightning adds its own, which keeps the newest checkpoint."
        )
        yield "default", {}
        return
    for index, (place, arguments) in enumerate(found, 1):
        name = "checkpoint" if len(found) == 1 else f"checkpoint {index}"
        if arguments.get("min_free") is not None:
            reader.values["min_free"] = Given(arguments["min_free"], reader.where(f"{place}.min_free"))
        yield name, {
            key: Given(value, reader.where(f"{place}.{key}"), reader.path.parent)
            for key, value in arguments.items()
            # A trigger of 0 is one that is off; what only names files or prints is not asked.
            if key in POLICY_KEYS and value is not None and not (key in TRIGGER_KEYS and value == 0)
            and not (key in _DEFAULTS and value == _DEFAULTS[key])
        }


def _checkpoints(config: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every ModelCheckpoint: among the trainer's callbacks, or a section of its own that the user's CLI made."""
    callbacks = trainer.get("callbacks")
    entries = callbacks if isinstance(callbacks, list) else [] if callbacks is None else [callbacks]
    for index, entry in enumerate(entries):
        place = f"trainer.callbacks[{index}]" if isinstance(callbacks, list) else "trainer.callbacks"
        if isinstance(entry, str):
            entry = {"class_path": entry}
        if isinstance(entry, Mapping) and _is_checkpoint(entry.get("class_path")):
            arguments = entry.get("init_args") or {}
            if not isinstance(arguments, Mapping):
                raise CommandError(
                    f"--config: {place}.init_args: not a mapping: {quoted(arguments)} (write its arguments by name)"
                )
            yield f"{place}.init_args", arguments
    for key, section in config.items():
        if key != "trainer" and isinstance(section, Mapping) and {"save_top_k", "monitor", "dirpath"} <= set(section):
            yield str(key), section


def _is_checkpoint(class_path: object) -> bool:
    return isinstance(class_path, str) and re.search(r"(^|\.)\w*ModelCheckpoint$", class_path) is not None
