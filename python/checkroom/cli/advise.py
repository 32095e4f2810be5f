"""``checkroom advise``: which arguments of ``ModelCheckpoint`` fit into the space that there is."""

from __future__ import annotations

import sys

import typer

from checkroom.cli import _flags as flags
from checkroom.cli._errors import check_format

__all__ = ["advise"]

_FORMATS = ("table", "json", "markdown")


def advise(
    context: typer.Context,
    checkpoint_size: flags.CheckpointSize = None,
    from_checkpoint: flags.FromCheckpoint = None,
    parameters: flags.Parameters = None,
    trainable: flags.Trainable = None,
    dtype: flags.Dtype = None,
    optimizer: flags.Optimizer = None,
    weights_only_size: flags.WeightsOnlySize = None,
    max_epochs: flags.Length = None,
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
    max_size: flags.MaxSize = None,
    tensorboard_per_epoch: flags.TensorboardPerEpoch = None,
    csv_per_epoch: flags.CsvPerEpoch = None,
    log_steps_per_epoch: flags.LogStepsPerEpoch = None,
    logs: flags.Logs = None,
    free: flags.Room = None,
    min_free: flags.MinFree = None,
    run: flags.Run = None,
    config: flags.Config = None,
    format: flags.AdviceFormat = "table",
    plot: flags.Plot = None,
) -> int:
    """Advise which arguments of ModelCheckpoint fit into the free space, best first, each as a call to paste.

    It starts from a strategy for the run's length; the output states the rule.

    Where nothing fits it says by how much, and what would.

    The exit code is 0 where something fits, 1 where nothing does; a wrong value ends with 2.
    """
    check_format(format, _FORMATS)
    # The rest waits until it is needed, so that --help answers at once.
    from checkroom.cli._advice_report import advice_report
    from checkroom.cli._estimate_request import estimate_request, given_flags
    from checkroom.cli._plot import Row, Space, check_plot_path
    from checkroom.cli._plot import plot as draw

    picture = check_plot_path(plot)
    report = advice_report(estimate_request(given_flags(context.params), run=run, config=config))
    if picture is not None:
        request = report.request
        assert request.free is not None
        space = Space(request.free.bytes, request.free.floor)
        rows = [Row(own.policy.title, own.configuration.spec, space) for own in report.own]
        best = [option.configuration.spec for option in report.options[:1]] or [report.advice.smallest.spec]
        draw([*rows, Row("advised", best[0], space)], picture)
    from checkroom.cli._advice_render import as_json, as_markdown, print_advice
    from checkroom.cli._console import console_for

    if format == "table":
        print_advice(report, console_for())
    else:
        sys.stdout.write(as_json(report) if format == "json" else as_markdown(report))
    return 0 if report.fits else 1
