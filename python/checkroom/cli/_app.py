"""The program: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from checkroom import __version__
from checkroom.cli import advise, estimate, preflight, verify
from checkroom.cli._errors import CommandError, one_line
from checkroom.cli._output import discard_output

__all__ = ["app", "run"]

PROGRAM = "checkroom"
USAGE_EXIT = 2

app = typer.Typer(
    name=PROGRAM,
    help="Room for your checkpoints: forecast what a training run will write, before it starts.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("estimate")(estimate.estimate)
app.command("advise")(advise.advise)
app.command("preflight", cls=preflight.WithScript, help=preflight.HELP)(preflight.preflight)
app.command("verify")(verify.verify)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Room for your checkpoints: forecast what a training run will write, before it starts."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: The words after the program's name; ``None``: those of this process.

    Returns:
        The exit code: 0 for success, 2 for a value that makes no sense, 130 after an interrupt.
    """
    words = _with_save_last_value(list(sys.argv[1:] if arguments is None else arguments))
    command = PROGRAM + (f" {words[0]}" if words and not words[0].startswith("-") else "")
    try:
        _prepare_output()
        code = app(words, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CommandError as error:
        return _fail(command, str(error))
    except BrokenPipeError:
        discard_output()  # the reader has gone (`| head`)
        return 1
    except OSError as error:
        # What a command reads it reports itself: this is the output.
        discard_output()
        reason = (error.strerror or str(error)).lower()
        return _fail(command, f"cannot write the output: {reason} (give another file, or make room)")
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        # Typer's usage errors have moved between packages and bases over its versions; this they all have.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        context = getattr(error, "ctx", None)
        path = command if context is None else context.command_path
        return _fail(path, f"{message().rstrip('.')} (see {path} --help)")


def _prepare_output() -> None:
    """Makes sure that there is an output, and that it can take every character in some form."""
    if sys.stdout is None:  # closed by the caller (`>&-`)
        raise CommandError("cannot write the output: it is closed (give it a file, a pipe or a terminal)")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may be bytes that are no characters, and the terminal may know few.
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(command: str, message: str) -> int:
    if sys.stderr is not None:  # closed by the caller (`2>&-`): print would take stdout instead
        print(f"{command}: {one_line(message)}", file=sys.stderr)
    return USAGE_EXIT


def _with_save_last_value(words: list[str]) -> list[str]:
    """Lets ``--save-last`` stand alone, as in Lightning's own command lines: it then means ``true``."""
    result: list[str] = []
    for index, word in enumerate(words):
        if word == "--":  # what follows is somebody else's command line
            return result + words[index:]
        result.append(word)
        if word == "--save-last":
            following = words[index + 1] if index + 1 < len(words) else "-"
            if following.startswith("-"):
                result.append("true")
    return result
