"""The guard for ``lightning`` (``from checkroom.lightning import ModelCheckpoint``)."""

from __future__ import annotations

from typing import Any

try:
    from lightning import __version__
    from lightning.fabric.plugins import TorchCheckpointIO
    from lightning.pytorch.callbacks import ModelCheckpoint as _ModelCheckpoint
    from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"checkroom.lightning needs the package lightning ({error}): pip install 'checkroom[lightning]'",
        name=error.name,
    ) from error

from checkroom._callback import GuardMixin
from checkroom._checkpoint_io import CheckroomIOMixin
from checkroom._lines import above_progress_bars
from checkroom._signature import join_signatures

__all__ = ["CheckroomIO", "ModelCheckpoint"]


class CheckroomIO(CheckroomIOMixin, TorchCheckpointIO):
    """Lightning's ``TorchCheckpointIO`` whose local files are staged, published atomically and fsynced.

    ``ModelCheckpoint`` installs it by itself; pass it as a plugin to have every ``trainer.save_checkpoint`` written
    this way without the callback.

    Raises:
        OSError: From a save: the disk failed; nothing of the file stays. A full disk is a ``DiskFullError``.

    Example:
        >>> import os, tempfile, torch
        >>> from checkroom.lightning import CheckroomIO
        >>> path = os.path.join(tempfile.mkdtemp(), "a.ckpt")
        >>> CheckroomIO().save_checkpoint({"w": torch.zeros(2)}, path)
        >>> torch.load(path)
        {'w': tensor([0., 0.])}
    """


class ModelCheckpoint(GuardMixin, _ModelCheckpoint):
    """Lightning's ``ModelCheckpoint`` under guard: same arguments, same files, same attributes.

    It prints a preflight before the first batch, checks every save against the space that is there, writes each file
    atomically and durably, lets ``last`` share the blocks of the file just saved, and prunes by a plan that never puts
    the best or the last at risk.

    Args:
        *args: Lightning's own arguments.
        min_free: Free space that is never eaten into: bytes, or a text such as ``"20 GB"``.
        max_size: The directory never exceeds this, not even for a moment: bytes or a text; ``None``: no cap.
        preflight: ``"error"`` raises before the first batch when what is certain cannot fit, and warns when only the
            most cannot; ``"warn"`` only warns; ``"off"``.
        when_full: A save that does not fit: ``"skip"`` it, ``"wait"`` for room, ``"stop"`` the training in good
            order, or raise an ``"error"``.
        wait_minutes: How long ``when_full="wait"`` waits at the most, in minutes.
        prune_first: May the file that a save displaces go before the new one is written, if only then it fits?
            Never the best, the last, or the only one.
        keep: Rules beyond the top k: ``KeepLast``, ``KeepEvery``, ``KeepBest``; in YAML ``{last: 1}``,
            ``{every: {epochs: 10}}``, ``{best: {k: 2, monitor: val_acc, mode: max}}``.
        last_as: ``"auto"`` shares blocks with the newest save (a reflink where the filesystem has it, else a hard
            link), ``"link"`` is a hard link, ``"copy"`` a file of its own.
        durable: ``False``: no fsync; a power cut may then take checkpoints that were acknowledged.
        verify: Read each file back from the disk, beside the training, before what it replaces is pruned. One that is
            damaged is kept aside, and the save counts as failed.
        **kwargs: Lightning's own arguments.

    Raises:
        ValueError: An argument is wrong, or the rules repeat or contradict each other.
        PreflightError: From ``fit``: what is certain to be written cannot fit.
        DiskFullError: From ``fit``, with ``when_full="error"``: a save did not fit.

    Example:
        >>> from checkroom.lightning import ModelCheckpoint
        >>> checkpoint = ModelCheckpoint(monitor="val_loss", save_top_k=3, save_last=True, min_free="20 GB")
        >>> checkpoint.guard_options.floor
        20000000000
    """

    _io_class = CheckroomIO
    _torch_io_class = TorchCheckpointIO
    _lightning_class = _ModelCheckpoint
    _lightning_version = __version__
    _package = "lightning"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def _say(self, text: str) -> None:
        with above_progress_bars("lightning.pytorch"):
            rank_zero_info(text)

    def _warn(self, text: str) -> None:
        with above_progress_bars("lightning.pytorch"):
            rank_zero_warn(text)


join_signatures(ModelCheckpoint.__init__, _ModelCheckpoint.__init__, GuardMixin.__init__)
