"""The newest version of Dagster that this project was tested with."""

from __future__ import annotations

import re
import warnings
from typing import Final

TESTED_VERSION: Final = (1, 13)
"""Major and minor version. Before raising it, run all tests: they exercise this package on a real instance."""


class UntestedDagsterWarning(UserWarning):
    """The installed Dagster is newer than the newest version that this project was tested with."""


def warn_if_untested(version: str) -> None:
    """Warn if a version of Dagster is newer than ``TESTED_VERSION``."""
    parts = re.match(r"(\d+)\.(\d+)", version)
    if parts is None or (int(parts[1]), int(parts[2])) > TESTED_VERSION:
        tested = ".".join(map(str, TESTED_VERSION))
        warnings.warn(
            f"Dagster {version} is installed; verifywise_mlflow was tested with versions up to {tested} and uses "
            f"internals that a newer version may have changed. Install dagster<{TESTED_VERSION[0]}."
            f"{TESTED_VERSION[1] + 1}.",
            UntestedDagsterWarning,
            stacklevel=2,
        )
