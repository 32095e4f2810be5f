"""Lightning's own classes, run as the specification."""

import pytest

# Modules that compare with Lightning are skipped where it is not installed.
LIGHTNING_VERSION: str = pytest.importorskip("lightning").__version__
