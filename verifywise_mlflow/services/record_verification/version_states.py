"""The states of one version in the log and in the tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredState, StoredVerdicts
from verifywise_mlflow.persistence.state_contents import column_hashes, evaluation_content
from verifywise_mlflow.services.record_verification.evaluations import OPEN_VERDICTS


@dataclass(slots=True)
class VersionStates:
    """The states of one version in the log and in the tables."""

    logged: defaultdict[str, list[LoggedState]] = field(default_factory=lambda: defaultdict(list))
    records: list[StoredState] = field(default_factory=list)
    verdicts: list[StoredVerdicts] = field(default_factory=list)
    badges: list[StoredBadge] = field(default_factory=list)
    manifests: list[StoredState] = field(default_factory=list)
    events: defaultdict[str, list[StoredState]] = field(default_factory=lambda: defaultdict(list))

    has_one_evaluation: bool = False
    """Whether there was only one evaluation, and the tables have its results. This is the case for most versions."""

    def add_verdicts(self, row: StoredVerdicts, *, keeps_columns: bool) -> None:
        """Add a row of verdicts. Call it only after the logged states and the badges were added.

        Args:
            row: The row.
            keeps_columns: Whether to keep the row's columns, about 30 KB. They are no longer needed after the hash of
                the version's only evaluation has confirmed them.
        """
        self.has_one_evaluation = not self.verdicts and self._is_only_evaluation(row)
        self.verdicts.append(row._replace(columns=()) if self.has_one_evaluation and not keeps_columns else row)

    @property
    def lacks_columns(self) -> bool:
        """Whether the columns of a row were dropped, and another row shows that they are needed."""
        return len(self.verdicts) > 1 and any(not row.columns for row in self.verdicts)

    def _is_only_evaluation(self, row: StoredVerdicts) -> bool:
        logged = self.logged["evaluation"]
        return len(logged) == len(self.badges) == 1 and _is_result(row, self.badges[0], logged[0])


def _is_result(row: StoredVerdicts, badge: StoredBadge, logged: LoggedState) -> bool:
    if (row.written_at, row.open_since, row.ended_at, badge.ended_at) != (None, None, None, None):
        return False
    write = (logged.written_at, logged.sync_id)
    if (row.first_written_at, row.first_sync_id) != write or (badge.written_at, badge.sync_id) != write:
        return False
    outcomes = row.outcomes()
    open_places = [place for place, verdict in enumerate(outcomes, start=1) if verdict in OPEN_VERDICTS]
    # An element of an array can have the separator, and then two cells. The hash does not show that.
    if row.size != len(outcomes) or row.opened_with_first != open_places:
        return False
    return content_hash(evaluation_content(column_hashes(row.columns), {}, badge.badge)) == logged.content
