"""What has to be looked up on a disk for a request: datasets, model files, free space."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from checkroom._core import free_space
from checkroom.cli._errors import CommandError, quoted
from checkroom.cli._values import Given, path_of, size

__all__ = ["Tree", "free_bytes", "measure_tree", "size_or_tree", "split"]


_SIZE_INSTEAD = "give a size instead, for example 5.66GB"


@dataclass(frozen=True)
class Tree:
    """Files below a path.

    Attributes:
        bytes: The sum of the files' lengths; a file with several names counts once.
        files: How many; ``None``: only the size was given.
    """

    bytes: int
    files: int | None = None

    @property
    def mean_bytes(self) -> int | None:
        """The mean length of a file, in bytes."""
        return self.bytes // self.files if self.files else None


def measure_tree(path: Path, where: str) -> Tree:
    """Counts the regular files at or below a path. Links to directories are not followed.

    Raises:
        CommandError: A file or a folder cannot be read, or there is no file.
    """
    try:
        top = path.stat()
        if stat.S_ISREG(top.st_mode):
            return Tree(top.st_size, 1)
        if not stat.S_ISDIR(top.st_mode):
            raise CommandError(f"{where}: neither a file nor a folder: {quoted(path)} ({_SIZE_INSTEAD})")
        total = files = 0
        seen: set[tuple[int, int]] = set()

        def refuse(error: OSError) -> None:
            raise error

        for folder, _, names in os.walk(path, onerror=refuse):
            for name in names:
                file = os.path.join(folder, name)
                if os.path.islink(file) and not os.path.exists(file):
                    continue  # a link to nothing occupies nothing
                status = os.stat(file)
                if not stat.S_ISREG(status.st_mode):
                    continue
                files += 1
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    except OSError as error:
        raise _unreadable(where, error.filename or path, error) from None
    if files == 0:
        raise CommandError(f"{where}: no file in {quoted(path)} (give another folder, or a size, for example 5.66GB)")
    return Tree(total, files)


def _unreadable(where: str, path: object, error: OSError) -> CommandError:
    reason = (error.strerror or "cannot be read").lower()
    return CommandError(f"{where}: cannot measure {quoted(path)}: {reason} ({_SIZE_INSTEAD})")


def size_or_tree(given: Given) -> Tree:
    """A size as written, or the measured path. What reads as a size is a size: write ``./500M`` for such a path.

    Raises:
        CommandError: Neither a size nor a path that exists.
    """
    path = _path_unless_size(given)
    return Tree(size(given)) if path is None else measure_tree(path, given.where)


def free_bytes(given: Given) -> tuple[int | None, str | None]:
    """Free space as written, or what the filesystem of a path has for us.

    Returns:
        The bytes, ``None`` where the filesystem does not say; and the path, ``None`` where a size was written.

    Raises:
        CommandError: Neither a size nor a path that exists.
    """
    path = _path_unless_size(given)
    if path is None:
        return size(given), None
    try:
        return free_space(str(path)).available, os.path.abspath(path)
    except OSError as error:
        raise _unreadable(given.where, path, error) from None


def _path_unless_size(given: Given) -> Path | None:
    try:
        size(given)
        return None
    except CommandError as error:
        if not isinstance(given.value, str) or not given.value.strip():
            raise
        path = path_of(given)
        try:
            os.lstat(path)
            return path
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as failure:
            raise _unreadable(given.where, path, failure) from None
        if given.value.strip()[0] in "-+0123456789" and os.sep not in given.value:
            raise error  # it was meant as a size: its message says what is wrong with it
        raise CommandError(
            f"{given.where}: neither a size nor a path that exists: {quoted(given.value)} "
            f"(write for example 5.66GB, or the path of a file or folder that exists)"
        ) from None


def split(files: int, val_fraction: Decimal) -> tuple[int, int]:
    """Train and validation counts as ``torch.utils.data.random_split`` makes them: the odd one goes to training.

    Args:
        files: How many there are.
        val_fraction: From 0 to 1.

    Returns:
        Train, validation.
    """
    validation = int(files * val_fraction)
    return files - validation, validation
