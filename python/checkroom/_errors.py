"""The exceptions of checkroom.

::

    CheckroomError
    ├── PreflightError          the run cannot fit
    ├── DiskFullError (OSError) a save does not fit
    └── DamagedFileError (OSError) what was read back is not what was written

Wrong values are ``ValueError``; other failures of the disk are the ``OSError`` of their ``errno``.
"""

from __future__ import annotations

import errno as _errno
from typing import Any

__all__ = ["CheckroomError", "DamagedFileError", "DiskFullError", "PreflightError"]


class CheckroomError(Exception):
    """The root of what checkroom raises beside the builtin exceptions.

    Attributes:
        need: Bytes that are needed, where known.
        have: Bytes that are there, where known.
        limit: What limits: ``"filesystem"``, ``"cap"``, ``"floor"``, ``"quota"``, ``"inodes"``, ...
        path: Where, where known.

    Example:
        >>> import checkroom
        >>> try:
        ...     raise checkroom.PreflightError("the run cannot fit", need=30, have=20, limit="floor")
        ... except checkroom.CheckroomError as error:
        ...     print(error, error.short_by, error.limit)
        the run cannot fit 10 floor
    """

    need: int | None = None
    have: int | None = None
    limit: str | None = None
    path: str | None = None

    _short_by: int | None = None

    @property
    def short_by(self) -> int | None:
        """Bytes that must come free, where known: ``need`` less ``have``, and what the floor lacks already."""
        if self._short_by is not None:
            return self._short_by
        if self.need is None or self.have is None:
            return None
        return max(0, self.need - self.have)


class PreflightError(CheckroomError):
    """The run cannot fit: what is certain to be written exceeds the space that is there.

    Args:
        message: What the user reads.
        need: Bytes that the run needs at least.
        have: Bytes that it can have.
        short_by: Bytes that must come free; ``None``: ``need`` less ``have``.
        limit: What limits.
        path: The directory of the checkpoints.

    Example:
        >>> error = PreflightError("does not fit", need=30, have=20, path="runs/vla")
        >>> error.short_by
        10
    """

    def __init__(
        self, message: str, *, need: int | None = None, have: int | None = None, short_by: int | None = None,
        limit: str | None = None, path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.need, self.have, self.limit, self.path, self._short_by = need, have, limit, path, short_by

    def __reduce__(self) -> Any:
        figures = {"need": self.need, "have": self.have, "short_by": self._short_by, "limit": self.limit}
        return _rebuild_preflight, (str(self), {**figures, "path": self.path})


def _rebuild_preflight(message: str, figures: dict[str, Any]) -> PreflightError:
    return PreflightError(message, **figures)


class DiskFullError(CheckroomError, OSError):
    """A save does not fit: the filesystem, a quota, the cap or the floor says no.

    An ``OSError`` as well: ``errno`` is ``ENOSPC`` or ``EDQUOT``, ``filename`` the path.

    Args:
        errnum: The errno.
        message: What went wrong.
        path: Where.
        need: Bytes that are needed.
        have: Bytes that are there.
        short_by: Bytes that must come free; ``None``: ``need`` less ``have``.
        limit: What limits.

    Example:
        >>> error = DiskFullError(28, "not enough space", "runs/a.ckpt", need=30, have=20)
        >>> isinstance(error, OSError), error.errno, error.short_by
        (True, 28, 10)
    """

    def __init__(
        self,
        errnum: int = _errno.ENOSPC,
        message: str = "not enough space",
        path: str | None = None,
        *,
        need: int | None = None,
        have: int | None = None,
        short_by: int | None = None,
        limit: str | None = None,
    ) -> None:
        OSError.__init__(self, errnum, message, path)
        self.need, self.have, self.limit, self.path, self._short_by = need, have, limit, path, short_by

    def __reduce__(self) -> Any:
        figures = {"need": self.need, "have": self.have, "short_by": self._short_by, "limit": self.limit}
        return _rebuild_disk_full, (self.errno, self.strerror, self.path, figures)


def _rebuild_disk_full(errnum: int, message: str, path: str | None, figures: dict[str, Any]) -> DiskFullError:
    return DiskFullError(errnum, message, path, **figures)


class DamagedFileError(CheckroomError, OSError):
    """What was read back is not what was written; the file is kept aside, what it was to replace stays.

    An ``OSError`` as well: ``errno`` is ``EIO``, ``filename`` the path that it was to have.

    Args:
        message: What is wrong with it, and where it lies.
        path: The path that it was to have.

    Example:
        >>> error = DamagedFileError("record 'archive/data/0' is damaged", "runs/a.ckpt")
        >>> error.errno, error.path
        (5, 'runs/a.ckpt')
    """

    def __init__(self, message: str, path: str | None = None) -> None:
        OSError.__init__(self, _errno.EIO, message, path)
        self.path = path

    def __reduce__(self) -> Any:
        return DamagedFileError, (self.strerror, self.path)
