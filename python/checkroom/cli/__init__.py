"""The command line: ``checkroom estimate`` and its siblings, one file a command.

Importing this package is cheap: typer, rich and the commands are imported by :func:`main`, and
PyTorch only by a command that has to read a checkpoint with it.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process.

    Args:
        arguments: The words after the program's name; ``None``: those of this process.

    Raises:
        SystemExit: Always: 0 for success, 2 for a value that makes no sense (one line on stderr).

    Example:
        >>> from checkroom.cli import main
        >>> try:
        ...     main(["--version"])
        ... except SystemExit as end:
        ...     print("exit", end.code)
        checkroom ...
        exit 0
    """
    from checkroom.cli._app import run

    raise SystemExit(run(arguments))
