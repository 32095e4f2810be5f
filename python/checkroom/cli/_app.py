"""The program: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from checkroom import __version__
from checkroom.cli import advise, estimate
from checkroom.cli._errors import CommandError

__all__ = ["app", "run"]

PROGRAM = "checkroom"
USAGE_EXIT = 2

app = typer.Typer(
    name=PROGRAM,
    help="Room for your checkpoints: forecast what a training run will write, before it starts.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("estimate")(estimate.estimate)
app.command("advise")(advise.advise)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
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
        code = app(words, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CommandError as error:
        return _fail(command, str(error))
    except BrokenPipeError:
        # The reader has gone (`| head`). Python flushes once more at exit: give that somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(command, f"'{error.filename}': {error.strerror}" if error.filename else str(error))
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


def _fail(command: str, message: str) -> int:
    print(f"{command}: {' '.join(message.split())}", file=sys.stderr)
    return USAGE_EXIT


def _with_save_last_value(words: list[str]) -> list[str]:
    """Lets ``--save-last`` stand alone, as in Lightning's own command lines: it then means ``true``."""
    result: list[str] = []
    for index, word in enumerate(words):
        result.append(word)
        if word == "--save-last":
            following = words[index + 1] if index + 1 < len(words) else "-"
            if following.startswith("-"):
                result.append("true")
    return result
