"""The guard for ``pytorch-lightning`` (``from checkroom.pytorch_lightning import ModelCheckpoint``)."""

from __future__ import annotations

from typing import Any

try:
    from lightning_fabric.plugins import TorchCheckpointIO
    from pytorch_lightning.__version__ import version as __version__
    from pytorch_lightning.callbacks import ModelCheckpoint as _ModelCheckpoint
    from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "checkroom.pytorch_lightning needs the package pytorch-lightning "
        f"({error}): pip install 'checkroom[pytorch-lightning]'",
        name=error.name,
    ) from error

from checkroom._callback import GuardMixin
from checkroom._checkpoint_io import CheckroomIOMixin
from checkroom._lines import above_progress_bars
from checkroom._signature import join_signatures

__all__ = ["CheckroomIO", "ModelCheckpoint"]


class CheckroomIO(CheckroomIOMixin, TorchCheckpointIO):
    """As :class:`checkroom.lightning.CheckroomIO`, for ``pytorch-lightning``.

    Raises:
        OSError: From a save: the disk failed; nothing of the file stays. A full disk is a ``DiskFullError``.

    Example:
        >>> import os, tempfile, torch
        >>> from checkroom.pytorch_lightning import CheckroomIO
        >>> path = os.path.join(tempfile.mkdtemp(), "a.ckpt")
        >>> CheckroomIO().save_checkpoint({"w": torch.zeros(2)}, path)
        >>> torch.load(path)
        {'w': tensor([0., 0.])}
    """


class ModelCheckpoint(GuardMixin, _ModelCheckpoint):
    """As :class:`checkroom.lightning.ModelCheckpoint`, with the same arguments, for ``pytorch-lightning``.

    Raises:
        ValueError: An argument is wrong, or the rules repeat or contradict each other.
        PreflightError: From ``fit``: what is certain to be written cannot fit.
        DiskFullError: From ``fit``, with ``when_full="error"``: a save did not fit.

    Example:
        >>> from checkroom.pytorch_lightning import ModelCheckpoint
        >>> checkpoint = ModelCheckpoint(monitor="val_loss", save_top_k=3, save_last=True, min_free="20 GB")
        >>> checkpoint.guard_options.floor
        20000000000
    """

    _io_class = CheckroomIO
    _torch_io_class = TorchCheckpointIO
    _lightning_class = _ModelCheckpoint
    _lightning_version = __version__
    _package = "pytorch_lightning"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def _say(self, text: str) -> None:
        with above_progress_bars("pytorch_lightning"):
            rank_zero_info(text)

    def _warn(self, text: str) -> None:
        with above_progress_bars("pytorch_lightning"):
            rank_zero_warn(text)


join_signatures(ModelCheckpoint.__init__, _ModelCheckpoint.__init__, GuardMixin.__init__)
