"""``checkroom preflight -- COMMAND``: a script run up to the preflight of its trainer, and no further."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import typer
from typer.core import TyperCommand

from checkroom.cli import _flags as flags
from checkroom.cli._errors import CommandError, check_format
from checkroom.cli._output import discard_output

__all__ = ["HELP", "WithScript", "preflight"]

_FORMATS = ("table", "json")

# Not the docstring: the lines of a paragraph there would stay apart.
HELP = """\
Run a training script up to the preflight of its trainer, print that, and stop before the first batch.

Everything that the script does before the first batch of its fit is done: data are loaded, loggers make their \
folders, sanity validation runs, a tuner searches. checkroom writes and removes no checkpoint. The script's own exit \
code does not count, nor what it catches.

The environment has to reach the processes that train: one that does not get it (behind sudo, in a container, on \
another machine) trains for real. Start the command there instead: sudo checkroom preflight -- python train.py

Exit code 0: the run fits. 1: it does not, or at its most it may not. 2: there is no verdict, and one line says why: \
the script ended before, its trainer has no callback of checkroom (then: the line to change), or the filesystem does \
not say what is free and there is no max_size.

Counted is what checkroom's callbacks write. Other checkpoint callbacks of the trainer are named, not counted; logs \
are not counted either.

With --format json the script's output goes to stderr.
"""


class WithScript(TyperCommand):
    """A command whose words after ``--`` are another command's: they come as ``context.obj``, untouched."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the script's words out before ours are parsed."""
        at = args.index("--") if "--" in args else len(args)
        ctx.obj, own = args[at + 1 :], args[:at]
        if not ctx.obj and not {"-h", "--help"} & set(own):
            raise CommandError("no command to run (write it after --: checkroom preflight -- python train.py)")
        rest: list[str] = super().parse_args(ctx, own)
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """For the first line of ``--help``."""
        return ["[OPTIONS]", "--", "COMMAND..."]


def preflight(
    context: typer.Context, format: flags.PreflightFormat = "table", plot: flags.PreflightPlot = None
) -> int:
    """Runs the script after ``--`` up to its preflight and prints that.

    Returns:
        The exit code, as in :data:`HELP`; 128 and the signal's number where the user sent one.

    Raises:
        CommandError: There is no preflight, or no verdict; or the picture cannot be drawn.
    """
    check_format(format, _FORMATS)
    # The rest waits until it is needed, so that --help answers at once.
    from checkroom.cli._plot import check_plot_path
    from checkroom.cli._plot import plot as draw
    from checkroom.cli._preflight_report import as_json, as_text, exit_code, plot_rows, preflight_data, without_verdict
    from checkroom.cli._script import rehearse

    picture = check_plot_path(plot)
    command: list[str] = context.obj
    aside = subprocess.DEVNULL if sys.stderr is None else 2  # the caller may have closed it
    ending = rehearse(command, stdout=aside if format == "json" else None)
    if ending.signal is not None:
        return 128 + ending.signal
    data = preflight_data(ending, command)
    try:
        sys.stdout.write(as_json(data) if format == "json" else as_text(data))
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()  # the reader has gone (`| head`); the exit code is still the verdict's
    rows = [] if picture is None else plot_rows(data)
    if picture is not None and rows:  # else nothing is known of the run, and the line below says so
        draw(rows, picture)
    missing = without_verdict(data)
    if missing:
        raise CommandError(missing)
    return exit_code(data)
