"""``checkroom estimate``: what a run will write, for the policies and the lengths that one asks about."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from checkroom.cli._errors import CommandError, quoted

__all__ = ["estimate"]

_FORMATS = ("table", "json", "markdown", "csv")

_SIZE = "One checkpoint (one of the first three)"
_RUN = "The run"
_POLICY = "When it saves and what it keeps: ModelCheckpoint's own arguments"
_DISK = "What else lies on the disk, and what is free"
_OUT = "Input and output"


def _flag(name: str, metavar: str, panel: str, text: str) -> typer.models.OptionInfo:
    # Values stay text: the run file has the same keys, and one reader serves both.
    option: typer.models.OptionInfo = typer.Option(name, metavar=metavar, help=text, rich_help_panel=panel)
    return option


def _switch(name: str, panel: str, text: str) -> typer.models.OptionInfo:
    # An empty metavar: some versions of typer would name a type that the reader is not to write.
    option: typer.models.OptionInfo = typer.Option(name, metavar="", help=text, rich_help_panel=panel)
    return option


_Text = Optional[str]


def estimate(
    context: typer.Context,
    checkpoint_size: Annotated[_Text, _flag("--checkpoint-size", "SIZE", _SIZE, "Its size, for example 6.9GB.")] = None,
    from_checkpoint: Annotated[
        _Text, _flag("--from-checkpoint", "FILE", _SIZE, "As large as this .ckpt; it is not unpickled.")
    ] = None,
    parameters: Annotated[
        _Text, _flag("--parameters", "N", _SIZE, "Estimated from the model's parameters, for example 7B.")
    ] = None,
    trainable: Annotated[
        _Text, _flag("--trainable", "N", _SIZE, "Of these, how many are trained, for example 40M; default: all.")
    ] = None,
    dtype: Annotated[
        _Text, _flag("--dtype", "NAME", _SIZE, "Type of weights and states, for example bf16; default: fp32.")
    ] = None,
    optimizer: Annotated[_Text, _flag("--optimizer", "NAME", _SIZE, "For example sgd; default: adamw.")] = None,
    weights_only_size: Annotated[
        _Text, _flag("--weights-only-size", "SIZE", _SIZE, "Without optimizer states, for --save-weights-only.")
    ] = None,
    epochs: Annotated[_Text, _flag("--epochs", "N,N,...", _RUN, "Lengths to estimate, for example 5,10,20.")] = None,
    max_epochs: Annotated[
        _Text,
        _flag("--max-epochs", "N", _RUN, "The run's own length, for the verdict; default: the longest of --epochs."),
    ] = None,
    steps_per_epoch: Annotated[
        _Text, _flag("--steps-per-epoch", "N", _RUN, "Optimizer steps; default: from the samples.")
    ] = None,
    samples: Annotated[
        _Text, _flag("--samples", "N", _RUN, "Training samples; default: the dataset's training files.")
    ] = None,
    batch_size: Annotated[_Text, _flag("--batch-size", "N", _RUN, "Samples a batch and device; default: 1.")] = None,
    accumulate: Annotated[_Text, _flag("--accumulate", "N", _RUN, "Batches an optimizer step; default: 1.")] = None,
    devices: Annotated[_Text, _flag("--devices", "N", _RUN, "Devices that share the samples; default: 1.")] = None,
    seconds_per_step: Annotated[_Text, _flag("--seconds-per-step", "SECONDS", _RUN, "Of an optimizer step.")] = None,
    hours: Annotated[_Text, _flag("--hours", "HOURS", _RUN, "Of the whole run, instead.")] = None,
    lightning_version: Annotated[
        _Text, _flag("--lightning-version", "X.Y", _RUN, "Whose ModelCheckpoint to compare with; default: 2.6.")
    ] = None,
    save_top_k: Annotated[_Text, _flag("--save-top-k", "K", _POLICY, "Best to keep; -1: all. Default: 1.")] = None,
    monitor: Annotated[_Text, _flag("--monitor", "NAME", _POLICY, "By which metric, for example val_loss.")] = None,
    mode: Annotated[_Text, _flag("--mode", "min|max", _POLICY, "Which is better; default: min.")] = None,
    save_last: Annotated[
        _Text, _flag("--save-last", "[true|link]", _POLICY, "Keep a last.ckpt as well; alone it means true.")
    ] = None,
    every_n_epochs: Annotated[_Text, _flag("--every-n-epochs", "N", _POLICY, "Save so often; default: 1.")] = None,
    every_n_train_steps: Annotated[_Text, _flag("--every-n-train-steps", "N", _POLICY, "Instead.")] = None,
    save_weights_only: Annotated[
        bool, _switch("--save-weights-only", _POLICY, "No optimizer states.")
    ] = False,
    filename: Annotated[_Text, _flag("--filename", "PATTERN", _POLICY, "For the call to paste.")] = None,
    policy: Annotated[
        Optional[list[str]],
        typer.Option(
            "--policy", metavar="NAME:KEY=V,...", rich_help_panel=_POLICY,
            help="A policy under a name, for example two:save_top_k=2,monitor=loss; may be repeated.",
        ),
    ] = None,
    compare: Annotated[
        bool, _switch("--compare", _POLICY, "Show the policies side by side as well.")
    ] = False,
    dataset: Annotated[
        _Text, _flag("--dataset", "PATH|SIZE", _DISK, "A path is measured: files, bytes, train and validation counts.")
    ] = None,
    dataset_files: Annotated[_Text, _flag("--dataset-files", "N", _DISK, "Its files, where a size was given.")] = None,
    mean_file: Annotated[_Text, _flag("--mean-file", "SIZE", _DISK, "Its mean file, to check the size with.")] = None,
    val_fraction: Annotated[
        _Text, _flag("--val-fraction", "F", _DISK, "How much of it validates, for example 0.2; default: 0.")
    ] = None,
    scale_dataset: Annotated[
        _Text, _flag("--scale-dataset", "N,N,...", _DISK, "The run over more data, for example 1,2,4,10.")
    ] = None,
    model_files: Annotated[_Text, _flag("--model-files", "PATH|SIZE", _DISK, "Pretrained weights on the disk.")] = None,
    misc: Annotated[_Text, _flag("--misc", "SIZE", _DISK, "Anything else.")] = None,
    tensorboard_per_epoch: Annotated[
        _Text, _flag("--tensorboard-per-epoch", "SIZE", _DISK, "TensorBoard logs, for example 10MB.")
    ] = None,
    csv_per_epoch: Annotated[_Text, _flag("--csv-per-epoch", "SIZE", _DISK, "CSV logs, for example 200kB.")] = None,
    log_steps_per_epoch: Annotated[
        _Text,
        _flag("--log-steps-per-epoch", "N", _DISK, "At how many steps these rates hold; default: the run's own."),
    ] = None,
    free: Annotated[
        _Text, _flag("--free", "PATH|SIZE", _DISK, "Ends in a verdict. A path: what its filesystem has.")
    ] = None,
    min_free: Annotated[_Text, _flag("--min-free", "SIZE", _DISK, "To leave free; default: 1GB.")] = None,
    run: Annotated[
        Optional[str],
        typer.Option("--run", metavar="FILE", rich_help_panel=_OUT,
                     help="A TOML file whose keys are these flags with _ for -; flags count more than the file."),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="|".join(_FORMATS), rich_help_panel=_OUT, help="How to print it.")
    ] = "table",
) -> None:
    """Estimate what a run will write: files and bytes at rest, at the peak, and whether they fit.

    The peak is shown for Lightning's own ModelCheckpoint beside checkroom's.

    Two values are needed: the size of a checkpoint and the number of epochs. For example:

    checkroom estimate --checkpoint-size 6.9GB --epochs 20 --monitor val_loss --save-top-k 3 --free .

    The exit code is 0 even where the run does not fit; a wrong value ends with 2.
    """
    if format not in _FORMATS:
        raise CommandError(f"--format: not a format: {quoted(format)} (one of {', '.join(_FORMATS)})")
    # The rest waits until it is needed, so that --help answers at once.
    from checkroom.cli._estimate_report import estimate as compute
    from checkroom.cli._estimate_request import FILE_KEYS, estimate_request

    flags = {key: value for key, value in context.params.items() if key in FILE_KEYS and isinstance(value, str)}
    if save_weights_only:
        flags["save_weights_only"] = "true"
    report = compute(estimate_request(flags, run=run, policies=policy or (), compare=compare))
    if format in ("json", "csv"):
        from checkroom.cli._render_data import as_csv, as_json

        sys.stdout.write(as_json(report) if format == "json" else as_csv(report))
        return
    from checkroom.cli._render import as_markdown, console_for, print_tables

    if format == "markdown":
        sys.stdout.write(as_markdown(report))
    else:
        print_tables(report, console_for())
