"""A line for a person in the middle of a training run, with progress bars on the same terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

__all__ = ["above_progress_bars"]


@contextmanager
def above_progress_bars(logger: str) -> Iterator[None]:
    """What is logged or warned inside does not run into a progress bar: it stands on a line above it.

    Both bars of Lightning are known, tqdm's and rich's; neither is imported for it.

    Args:
        logger: The name of the logger whose handlers print; its parents' are looked at too.
    """
    with ExitStack() as stack:
        tqdm = sys.modules.get("tqdm")
        if hasattr(tqdm, "tqdm"):
            # Wipes the bars of the terminal and draws them again behind the line.
            stack.enter_context(tqdm.tqdm.external_write_mode(file=sys.stderr))  # type: ignore[union-attr]
        # While a bar of rich is shown, sys.stderr is rich's, which knows of the bar. A handler that was made before
        # holds the stream behind it.
        behind = getattr(sys.stderr, "rich_proxied_file", None)
        for handler in _handlers(logger) if behind is not None else ():
            if isinstance(handler, logging.StreamHandler) and handler.stream is behind:
                handler.setStream(sys.stderr)
                stack.callback(handler.setStream, behind)
        yield


def _handlers(name: str) -> Iterator[Any]:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None
