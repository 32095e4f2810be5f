"""How big a checkpoint is going to be, before it exists.

Importing this package imports neither PyTorch nor Lightning; what needs PyTorch imports it when it is called.
"""

from checkroom.sizing._closed_form import from_parameters
from checkroom.sizing._existing import from_checkpoint
from checkroom.sizing._predict import predict_checkpoint
from checkroom.sizing._types import CheckpointSize, KeyShare, ModuleShare, Split, Trap

__all__ = [
    "CheckpointSize", "KeyShare", "ModuleShare", "Split", "Trap", "from_checkpoint", "from_parameters",
    "predict_checkpoint",
]
