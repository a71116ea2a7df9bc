"""The badges and verdicts of some versions, for a comparison of the states before and after an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.row_mapping import Key, keys_of_versions, rows_by_key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR
from verifywise_mlflow.persistence.tables import compliance_badges, version_verdicts


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A rule's verdict on a version."""

    verdict: str
    reason: str
    is_open: bool
    """Whether the verdict is an open gap, or was an open gap when the objects that it rests on could still be read."""


@dataclass(frozen=True, slots=True)
class ComplianceState:
    """A version's badge and verdicts."""

    badge: str | None
    rules: Mapping[str, StoredVerdict]
    """Rule id to verdict."""

    @property
    def open_gaps(self) -> frozenset[str]:
        """The rules whose gaps are open."""
        return frozenset(rule_id for rule_id, stored in self.rules.items() if stored.is_open)


def compliance_states(session: TenantSession, keys: Collection[Key]) -> dict[Key, ComplianceState]:
    """Return the states of the versions. Versions that were never evaluated are left out."""
    if not keys:
        return {}
    wanted = keys_of_versions(keys)
    badges = rows_by_key(session, compliance_badges, wanted, ("model_name", "version_number", "badge"))
    columns = ("model_name", "version_number", "rule_ids", "verdicts", "reasons", "open_since")
    rules = {
        (name, number): {
            rule_id: StoredVerdict(verdict, unescape(reason), since is not None)
            for rule_id, verdict, reason, since in zip(
                rule_ids, verdicts, reasons.split(CELL_SEPARATOR), open_since, strict=True
            )
        }
        for name, number, rule_ids, verdicts, reasons, open_since in rows_by_key(
            session, version_verdicts, wanted, columns
        )
    }
    return {(name, number): ComplianceState(badge, rules.get((name, number), {})) for name, number, badge in badges}
