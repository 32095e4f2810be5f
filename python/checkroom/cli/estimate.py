"""``checkroom estimate``: what a run will write, for the policies and the lengths that one asks about."""

from __future__ import annotations

import sys

import typer

from checkroom.cli import _flags as flags
from checkroom.cli._errors import check_format

__all__ = ["estimate"]

_FORMATS = ("table", "json", "markdown", "csv")


def estimate(
    context: typer.Context,
    checkpoint_size: flags.CheckpointSize = None,
    from_checkpoint: flags.FromCheckpoint = None,
    parameters: flags.Parameters = None,
    trainable: flags.Trainable = None,
    dtype: flags.Dtype = None,
    optimizer: flags.Optimizer = None,
    weights_only_size: flags.WeightsOnlySize = None,
    epochs: flags.Epochs = None,
    max_epochs: flags.MaxEpochs = None,
    max_steps: flags.MaxSteps = None,
    steps_per_epoch: flags.StepsPerEpoch = None,
    samples: flags.Samples = None,
    batch_size: flags.BatchSize = None,
    accumulate: flags.Accumulate = None,
    devices: flags.Devices = None,
    check_val_every_n_epoch: flags.CheckValEveryNEpoch = None,
    val_check_interval: flags.ValCheckInterval = None,
    seconds_per_step: flags.SecondsPerStep = None,
    hours: flags.Hours = None,
    lightning_version: flags.LightningVersion = None,
    save_top_k: flags.SaveTopK = None,
    monitor: flags.Monitor = None,
    mode: flags.Mode = None,
    save_last: flags.SaveLast = None,
    every_n_epochs: flags.EveryNEpochs = None,
    every_n_train_steps: flags.EveryNTrainSteps = None,
    train_time_interval: flags.TrainTimeInterval = None,
    save_weights_only: flags.SaveWeightsOnly = False,
    filename: flags.Filename = None,
    max_size: flags.MaxSize = None,
    policy: flags.Policy = None,
    compare: flags.Compare = False,
    dataset: flags.Dataset = None,
    dataset_files: flags.DatasetFiles = None,
    mean_file: flags.MeanFile = None,
    val_fraction: flags.ValFraction = None,
    scale_dataset: flags.ScaleDataset = None,
    model_files: flags.ModelFiles = None,
    misc: flags.Misc = None,
    tensorboard_per_epoch: flags.TensorboardPerEpoch = None,
    csv_per_epoch: flags.CsvPerEpoch = None,
    log_steps_per_epoch: flags.LogStepsPerEpoch = None,
    logs: flags.Logs = None,
    free: flags.Free = None,
    min_free: flags.MinFree = None,
    run: flags.Run = None,
    config: flags.Config = None,
    format: flags.Format = "table",
    plot: flags.Plot = None,
) -> None:
    """Estimate what a run will write: files and bytes at rest, at the peak, and whether they fit.

    The peak is shown for Lightning's own ModelCheckpoint beside checkroom's.

    Two values are needed: the size of a checkpoint and the number of epochs. For example:

    checkroom estimate --checkpoint-size 6.9GB --epochs 20 --monitor val_loss --save-top-k 3 --free .

    With --from-checkpoint FILE alone it shows what is in that file.

    The exit code is 0 even where the run does not fit; a wrong value ends with 2.
    """
    check_format(format, _FORMATS)
    # The rest waits until it is needed, so that --help answers at once.
    from checkroom.cli._estimate_request import given_flags

    given = given_flags(context.params)
    if set(given) == {"from_checkpoint"} and not (run or config or policy or compare or plot):
        _show_split(given["from_checkpoint"], format)
        return
    from checkroom.cli._estimate_report import estimate as compute
    from checkroom.cli._estimate_report import run_spec
    from checkroom.cli._estimate_request import estimate_request
    from checkroom.cli._plot import Row, Space, check_plot_path
    from checkroom.cli._plot import plot as draw

    picture = check_plot_path(plot)
    request = estimate_request(given, run=run, config=config, policies=policy or (), compare=compare)
    report = compute(request)
    if picture is not None:
        space = Space() if request.free is None else Space(request.free.bytes, request.free.floor)
        draw([Row(one.title, run_spec(request, one, request.max_epochs), space) for one in request.policies], picture)
    if format in ("json", "csv"):
        from checkroom.cli._render_data import as_csv, as_json

        sys.stdout.write(as_json(report) if format == "json" else as_csv(report))
        return
    from checkroom.cli._console import console_for
    from checkroom.cli._render import as_markdown, print_tables

    if format == "markdown":
        sys.stdout.write(as_markdown(report))
    else:
        print_tables(report, console_for())


def _show_split(path: str, format: str) -> None:
    """What is in a file, without a run."""
    from checkroom.cli._checkpoint_size import checkpoint_size
    from checkroom.cli._console import console_for
    from checkroom.cli._render import print_split, split_markdown
    from checkroom.cli._render_data import split_json
    from checkroom.cli._split import split_csv
    from checkroom.cli._values import Given

    size = checkpoint_size({"from_checkpoint": Given(path, "--from-checkpoint")})
    if format == "table":
        print_split(size, console_for())
    else:
        sys.stdout.write({"json": split_json, "csv": split_csv, "markdown": split_markdown}[format](size))
