"""What the log and the tables have of one version."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredState, StoredVerdicts
from verifywise_mlflow.persistence.state_contents import column_hashes, evaluation_content
from verifywise_mlflow.services.record_verification.evaluations import OPEN_VERDICTS


@dataclass(slots=True)
class VersionStates:
    """What the log and the tables have of one version."""

    logged: defaultdict[str, list[LoggedState]] = field(default_factory=lambda: defaultdict(list))
    records: list[StoredState] = field(default_factory=list)
    verdicts: list[StoredVerdicts] = field(default_factory=list)
    badges: list[StoredBadge] = field(default_factory=list)
    manifests: list[StoredState] = field(default_factory=list)
    events: defaultdict[str, list[StoredState]] = field(default_factory=lambda: defaultdict(list))

    def has_one_evaluation(self) -> bool:
        """Return whether there was one evaluation and the tables have its result, as for most versions."""
        logged = self.logged["evaluation"]
        if not len(logged) == len(self.verdicts) == len(self.badges) == 1:
            return False
        return _is_result(self.verdicts[0], self.badges[0], logged[0])


def _is_result(row: StoredVerdicts, badge: StoredBadge, logged: LoggedState) -> bool:
    if (row.written_at, row.open_since, row.ended_at, badge.ended_at) != (None, None, None, None):
        return False
    write = (logged.written_at, logged.sync_id)
    if (row.first_written_at, row.first_sync_id) != write or (badge.written_at, badge.sync_id) != write:
        return False
    open_places = [place for place, verdict in enumerate(row.outcomes(), start=1) if verdict in OPEN_VERDICTS]
    if row.opened_with_first != open_places:
        return False
    return content_hash(evaluation_content(column_hashes(row.columns), {}, badge.badge)) == logged.content
