"""The flags of the commands, each in one place: name, what it takes, its group in ``--help`` and its text.

Values stay text: a run file has the same keys, and one reader serves both.
"""

from __future__ import annotations

from typing import Annotated, Optional

import typer

_SIZE = "One checkpoint (one of the first three)"
_RUN = "The run"
_POLICY = "When it saves and what it keeps: ModelCheckpoint's own arguments"
_DISK = "What else lies on the disk, and what is free"
_OUT = "Input and output"


def _flag(name: str, metavar: str, panel: str, text: str) -> typer.models.OptionInfo:
    # Some versions of typer would say "default: None" after every text.
    option: typer.models.OptionInfo = typer.Option(
        name, metavar=metavar, help=text, rich_help_panel=panel, show_default=False
    )
    return option


def _switch(name: str, panel: str, text: str) -> typer.models.OptionInfo:
    # An empty metavar: some versions of typer would name a type that the reader is not to write.
    option: typer.models.OptionInfo = typer.Option(name, metavar="", help=text, rich_help_panel=panel)
    return option


_Text = Optional[str]

CheckpointSize = Annotated[_Text, _flag("--checkpoint-size", "SIZE", _SIZE, "Its size, for example 6.9GB.")]
FromCheckpoint = Annotated[
    _Text, _flag("--from-checkpoint", "FILE", _SIZE, "As large as this .ckpt; it is not unpickled.")
]
Parameters = Annotated[
    _Text, _flag("--parameters", "N", _SIZE, "Estimated from the model's parameters, for example 7B.")
]
Trainable = Annotated[
    _Text, _flag("--trainable", "N", _SIZE, "Of these, how many are trained, for example 40M; default: all.")
]
Dtype = Annotated[
    _Text, _flag("--dtype", "NAME", _SIZE, "Type of weights and states, for example bf16; default: fp32.")
]
Optimizer = Annotated[_Text, _flag("--optimizer", "NAME", _SIZE, "For example sgd; default: adamw.")]
WeightsOnlySize = Annotated[
    _Text, _flag("--weights-only-size", "SIZE", _SIZE, "Without optimizer states, for --save-weights-only.")
]

Epochs = Annotated[_Text, _flag("--epochs", "N,N,...", _RUN, "Lengths to estimate, for example 5,10,20.")]
MaxEpochs = Annotated[
    _Text, _flag("--max-epochs", "N", _RUN, "The run's own length, for the verdict; default: the longest of --epochs.")
]
Length = Annotated[_Text, _flag("--max-epochs", "N", _RUN, "The run's length, for example 20.")]
MaxSteps = Annotated[_Text, _flag("--max-steps", "N", _RUN, "Optimizer steps after which the run ends.")]
StepsPerEpoch = Annotated[_Text, _flag("--steps-per-epoch", "N", _RUN, "Optimizer steps; default: from the samples.")]
Samples = Annotated[_Text, _flag("--samples", "N", _RUN, "Training samples; default: the dataset's training files.")]
BatchSize = Annotated[_Text, _flag("--batch-size", "N", _RUN, "Samples a batch and device; default: 1.")]
Accumulate = Annotated[_Text, _flag("--accumulate", "N", _RUN, "Batches an optimizer step; default: 1.")]
Devices = Annotated[_Text, _flag("--devices", "N", _RUN, "Devices that share the samples; default: 1.")]
CheckValEveryNEpoch = Annotated[
    _Text, _flag("--check-val-every-n-epoch", "N", _RUN, "The trainer's own; default: 1.")
]
ValCheckInterval = Annotated[
    _Text, _flag("--val-check-interval", "N|F", _RUN, "The trainer's own: batches, or a part of the epoch.")
]
SecondsPerStep = Annotated[_Text, _flag("--seconds-per-step", "SECONDS", _RUN, "How long an optimizer step takes.")]
Hours = Annotated[_Text, _flag("--hours", "HOURS", _RUN, "How long the whole run takes, instead.")]
LightningVersion = Annotated[
    _Text, _flag("--lightning-version", "X.Y", _RUN, "Whose ModelCheckpoint to compare with; default: 2.6.")
]

SaveTopK = Annotated[_Text, _flag("--save-top-k", "K", _POLICY, "Best to keep; -1: all. Default: 1.")]
Monitor = Annotated[_Text, _flag("--monitor", "NAME", _POLICY, "By which metric, for example val_loss.")]
Mode = Annotated[_Text, _flag("--mode", "min|max", _POLICY, "Which is better; default: min.")]
SaveLast = Annotated[
    _Text, _flag("--save-last", "[true|link]", _POLICY, "Keep a last.ckpt as well; alone it means true.")
]
EveryNEpochs = Annotated[_Text, _flag("--every-n-epochs", "N", _POLICY, "Save every N epochs; default: 1.")]
EveryNTrainSteps = Annotated[_Text, _flag("--every-n-train-steps", "N", _POLICY, "Save every N steps, instead.")]
TrainTimeInterval = Annotated[
    _Text, _flag("--train-time-interval", "H:MM:SS", _POLICY, "Save by the clock, instead, for example 0:30:00.")
]
MaxSize = Annotated[_Text, _flag("--max-size", "SIZE", _POLICY, "checkroom's cap of the directory, for example 100GB.")]
SaveWeightsOnly = Annotated[bool, _switch("--save-weights-only", _POLICY, "No optimizer states.")]
Filename = Annotated[_Text, _flag("--filename", "PATTERN", _POLICY, "For the call to paste.")]
Policy = Annotated[
    Optional[list[str]], typer.Option(
        "--policy", metavar="NAME:KEY=V,...", rich_help_panel=_POLICY, show_default=False,
        help="A policy under a name, for example two:save_top_k=2,monitor=loss; may be repeated."
    ),
]
Compare = Annotated[bool, _switch("--compare", _POLICY, "Show the policies side by side as well.")]

Dataset = Annotated[
    _Text, _flag("--dataset", "PATH|SIZE", _DISK, "A path is measured: files, bytes, train and validation counts.")
]
DatasetFiles = Annotated[_Text, _flag("--dataset-files", "N", _DISK, "Its files, where a size was given.")]
MeanFile = Annotated[_Text, _flag("--mean-file", "SIZE", _DISK, "Its mean file, to check the size with.")]
ValFraction = Annotated[
    _Text, _flag("--val-fraction", "F", _DISK, "How much of it validates, for example 0.2; default: 0.")
]
ScaleDataset = Annotated[
    _Text, _flag("--scale-dataset", "N,N,...", _DISK, "The run over more data, for example 1,2,4,10.")
]
ModelFiles = Annotated[_Text, _flag("--model-files", "PATH|SIZE", _DISK, "Pretrained weights on the disk.")]
Misc = Annotated[_Text, _flag("--misc", "SIZE", _DISK, "Anything else that lies there.")]
TensorboardPerEpoch = Annotated[
    _Text, _flag("--tensorboard-per-epoch", "SIZE", _DISK, "TensorBoard logs, for example 10MB.")
]
CsvPerEpoch = Annotated[_Text, _flag("--csv-per-epoch", "SIZE", _DISK, "CSV logs, for example 200kB.")]
LogStepsPerEpoch = Annotated[
    _Text, _flag("--log-steps-per-epoch", "N", _DISK, "At how many steps these rates hold; default: the run's own.")
]
Logs = Annotated[
    _Text, _flag("--logs", "DIR", _DISK, "Log rates as measured from an earlier run's TensorBoard and CSV files.")
]
Free = Annotated[_Text, _flag("--free", "PATH|SIZE", _DISK, "Ends in a verdict. A path: what its filesystem has.")]
Room = Annotated[_Text, _flag("--free", "PATH|SIZE", _DISK, "The space to fit into. A path: what its filesystem has.")]
MinFree = Annotated[_Text, _flag("--min-free", "SIZE", _DISK, "Space to leave free; default: 1GB.")]

Run = Annotated[
    Optional[str], typer.Option(
        "--run", metavar="FILE", rich_help_panel=_OUT, show_default=False,
        help="A TOML file whose keys are these flags with _ for -; flags count more than the file."
    ),
]
Config = Annotated[
    _Text, _flag("--config", "FILE", _OUT, "The config of a LightningCLI: its trainer and its ModelCheckpoints.")
]
Format = Annotated[
    str, typer.Option("--format", metavar="table|json|markdown|csv", rich_help_panel=_OUT, help="How to print it.")
]
AdviceFormat = Annotated[
    str, typer.Option("--format", metavar="table|json|markdown", rich_help_panel=_OUT, help="How to print it.")
]
PreflightFormat = Annotated[
    str, typer.Option("--format", metavar="table|json", help="How to print it; json: bytes as integers.")
]
# The backslash: typer would take the bracket for markup.
_PLOT_HELP = r"Draw it as well, into a .png or .svg (pip install 'checkroom\[plot]')."
Plot = Annotated[_Text, _flag("--plot", "FILE", _OUT, _PLOT_HELP)]
PreflightPlot = Annotated[
    Optional[str], typer.Option("--plot", metavar="FILE", show_default=False, help=_PLOT_HELP)
]
