"""What the log and the tables have of one version, with the hash of each state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from verifywise_mlflow.persistence.queries.state_rows import JoinedVerdicts, LoggedState, StoredBadge, StoredState
from verifywise_mlflow.services.record_verification.evaluations import OPEN_VERDICTS, Parts, StoredVerdict


@dataclass(slots=True)
class VersionStates:
    """What the log and the tables have of one version."""

    logged: defaultdict[str, list[LoggedState]] = field(default_factory=lambda: defaultdict(list))
    records: list[StoredState] = field(default_factory=list)
    verdicts: list[HashedVerdicts] = field(default_factory=list)
    badges: list[StoredBadge] = field(default_factory=list)
    manifests: list[StoredState] = field(default_factory=list)
    events: defaultdict[str, list[StoredState]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class HashedVerdicts:
    """A row of verdicts with the hash of each."""

    row: JoinedVerdicts
    """Without its columns, which are large."""
    rule_ids: Sequence[str]
    verdicts: Sequence[str]
    fingerprints: Sequence[str]
    contents: Sequence[str]

    def is_first_and_only(self, logged: LoggedState, badge: StoredBadge) -> bool:
        """Return whether an evaluation gave exactly these verdicts and a badge: so it is with most versions."""
        row = self.row
        if (row.written_at, row.open_since, row.ended_at, badge.ended_at) != (None, None, None, None):
            return False
        write = (logged.written_at, logged.sync_id)
        if (row.first_written_at, row.first_sync_id) != write or (badge.written_at, badge.sync_id) != write:
            return False
        open_places = [place for place, verdict in enumerate(self.verdicts, start=1) if verdict in OPEN_VERDICTS]
        if row.opened_with_first != open_places:
            return False
        contents = dict(zip(self.rule_ids, self.contents, strict=True))
        return len(contents) == row.size and Parts(contents, {}, badge.badge).content() == logged.content

    def single(self) -> Iterator[StoredVerdict]:
        """Yield each verdict by itself."""
        row = self.row
        opened = frozenset(row.opened_with_first or ())
        for place, (rule_id, verdict, fingerprint, content) in enumerate(
            zip(self.rule_ids, self.verdicts, self.fingerprints, self.contents, strict=True)
        ):
            written_at = row.written_at[place] if row.written_at else row.first_written_at
            sync_id = row.sync_ids[place] if row.sync_ids else row.first_sync_id
            open_since = row.first_written_at if place + 1 in opened else None
            if row.open_since:
                open_since = row.open_since[place]
            yield StoredVerdict(
                row.table,
                rule_id,
                verdict,
                content,
                fingerprint,
                written_at,  # type: ignore[arg-type]  # a row has one verdict at least
                sync_id or "",
                open_since,
                row.ended_at,
                row.ended_by,
            )
