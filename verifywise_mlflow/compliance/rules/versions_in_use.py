"""The versions of a model that are in use at the same time: what a rule on one version can read about the others.

A version is in use if it is in production or staging, or if its deployment status says that it is deployed at least in
part. A rule reads their numbers as the variable ``model_versions``, which is known only for versions in use. So a
change of one version causes the evaluation of only those other versions that are in use, however many versions a model
has.

* ``production``: the numbers of the versions in production or deployed, the newest first, at most ``MAX_LISTED``;
* ``production_count``: the number of all these versions;
* ``newest_production``: the greatest number among them; 0 if there is none;
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
"""The most versions that are listed by number: a model may have any number in use."""


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
