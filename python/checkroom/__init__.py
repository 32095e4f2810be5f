"""Room for your checkpoints: forecast, check, save and prune, without PyTorch in sight."""

from checkroom._core import __version__, format_size, parse_size
from checkroom._errors import CheckroomError, DiskFullError, PreflightError

__all__ = ["CheckroomError", "DiskFullError", "PreflightError", "__version__", "format_size", "parse_size"]
