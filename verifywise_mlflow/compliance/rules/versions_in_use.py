"""The versions of a model that are in use at the same time. A rule on one version can read their numbers.

A version is in use if it is in production or staging, or if its deployment status states that it is at least partly
deployed. A rule reads the numbers of these versions as the variable ``model_versions``, which is known only for
versions in use. So if one version changes, only the other versions in use are evaluated again, even if the model has
many versions.

* ``production``: the numbers of the versions that are in production or deployed, the newest first, at most
  ``MAX_LISTED``;
* ``production_count``: the number of all these versions;
* ``newest_production``: the greatest number of such a version; 0 if there is no such version;
* ``candidates``: the numbers of the other versions in use, such as a challenger, the newest first, at most
  ``MAX_LISTED``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.normalizer.record import STATUSES_IN_USE, CanonicalRecord

PRODUCTION: Final = "production"
DEPLOYED: Final = "deployed"
STAGES_IN_USE: Final = (PRODUCTION, "staging")

MAX_LISTED: Final = 20
"""The maximum number of versions that are listed. A model may have any number of versions in use."""


@dataclass(frozen=True, slots=True)
class VersionsInUse:
    """The versions of one model that are in use."""

    production: tuple[int, ...] = ()
    """Versions in production or deployed, the newest first, at most ``MAX_LISTED``."""
    production_count: int = 0
    candidates: tuple[int, ...] = ()
    """The other versions in use, the newest first, at most ``MAX_LISTED``."""

    def variable(self) -> dict[str, int | list[int]]:
        """Return the variable ``model_versions``."""
        return {
            "production": [*self.production],
            "production_count": self.production_count,
            "newest_production": self.production[0] if self.production else 0,
            "candidates": [*self.candidates],
        }


def is_in_use(record: CanonicalRecord) -> bool:
    """Return whether a version is in use."""
    return record.lifecycle_stage in STAGES_IN_USE or record.deployment_status in STATUSES_IN_USE
