"""Writes and logs the verdicts and badges of a batch of evaluated records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from verifywise_mlflow.audit.state_leaf import State, content_hash
from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.verdict import EvaluatedRule, RuleResult
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.repositories import state_log, verdict_bulk_writer
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import (
    BadgeRow,
    VerdictRow,
    VersionVerdicts,
    stored_json,
    stored_text,
)
from verifywise_mlflow.persistence.repositories.verdicts import PendingEvaluation
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import column_hashes, evaluation_content, joined_columns


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """The policy that a rule belongs to."""

    policy_id: str
    version: str


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """The values that all verdicts of one evaluation share."""

    digest: str
    """A digest of all policies; it is stored with the badges."""
    sync_id: str
    now: datetime


class VerdictRows:
    """Makes the rows of verdicts. Versions that share a result of a rule also share the row of the verdict."""

    def __init__(self, policy_of: Mapping[str, PolicyIdentity]) -> None:
        """Store the policy of each rule."""
        self._policy_of = policy_of
        self._known: dict[int, tuple[RuleResult, VerdictRow]] = {}
        """Rows by the address of the result. The result is stored too, so that its address is not reused."""

    def row(self, verdict: EvaluatedRule, fingerprint: str) -> VerdictRow:
        """Return the row for a verdict."""
        result = verdict.result()
        if known := self._known.get(id(result)):
            return known[1]
        if len(self._known) >= _MAX_KNOWN_ROWS:
            self._known.clear()
        policy = self._policy_of[result.rule_id]
        row = VerdictRow(
            result.rule_id,
            str(result.rule_version),
            result.verdict.value,
            stored_text(result.reason),
            stored_json(result.values_json),
            policy.policy_id,
            policy.version,
            stored_json(result.origins_json),
            stored_json(result.thresholds_json),
            result.day.isoformat() if result.day else "",
            result.input_hash,
            fingerprint,
        )
        self._known[id(result)] = (result, row)
        return row


_MAX_KNOWN_ROWS: Final = 5_000
"""The maximum number of cached rows: at 2 kB each, they take 10 MB. A full cache is emptied."""


class VerdictBatch:
    """The verdicts on a batch of records that differ from the stored ones.

    An equal verdict keeps its first time, sync, day and policy. The badge has the policy that evaluated the record
    last, and the time of that evaluation. A verdict ends if no policy has its rule any more. A trigger saves ended
    verdicts as history, and reads the time and the sync from two settings of the transaction.

    Records are added one by one, so that the objects of one evaluation are freed before the next: with all objects of a
    batch alive, Python's cycle detection takes two fifths of the time of the evaluation.
    """

    def __init__(self, context: EvaluationContext) -> None:
        """Create an empty batch."""
        self._context = context
        self._verdicts = VersionVerdicts()
        self._badges: list[BadgeRow] = []
        self._changed = 0
        """The number of verdicts that are new, differ or end."""
        self._new_states: list[Key] = []
        self._contents: dict[Key, str] = {}
        """The hash of the evaluation's content, for each version with changed verdicts."""
        self._kept: dict[Key, Mapping[str, str]] = {}
        """The fingerprint of each rule's verdict, for each record whose verdicts all stay."""

    def __len__(self) -> int:
        """The number of records."""
        return len(self._badges)

    @property
    def keys(self) -> list[Key]:
        """The records."""
        return [(row.model_name, row.version_number) for row in self._badges]

    @property
    def new_states(self) -> Sequence[Key]:
        """The records whose content, policy or verdicts changed, for deliveries. A new day alone is not a change."""
        return self._new_states

    def count(self, badge: Badge) -> int:
        """Return how many records have a badge."""
        return sum(row.badge == badge.value for row in self._badges)

    def add(self, due: PendingEvaluation, results: Sequence[EvaluatedRule], badge: Badge, rows: VerdictRows) -> None:
        """Add a record's verdicts and badge."""
        current = due.present
        new = {verdict.rule_id: verdict.fingerprint() for verdict in results}
        if new == current:
            self._kept[due.key] = new
        else:
            self._add_verdicts(due, new, results, badge, rows)
        if new != current or due.is_new_state:
            self._new_states.append(due.key)
        self._badges.append(BadgeRow(*due.key, badge.value, due.revision, due.versions_digest))

    def _add_verdicts(
        self,
        due: PendingEvaluation,
        new: Mapping[str, str],
        results: Sequence[EvaluatedRule],
        badge: Badge,
        rows: VerdictRows,
    ) -> None:
        """Add the verdicts on a record that has changed verdicts. They are stored sorted by rule."""
        current, by_rule = due.present, dict(zip(new, results, strict=True))
        kept = {rule_id: fingerprint for rule_id, fingerprint in new.items() if current.get(rule_id) == fingerprint}
        begun = {rule_id: rows.row(by_rule[rule_id], new[rule_id]) for rule_id in sorted(new) if rule_id not in kept}
        if kept:
            columns = joined_columns(begun.values())
            self._verdicts.add(due.key, [begun.get(rule_id) or VerdictRow.stored(rule_id) for rule_id in sorted(new)])
        else:
            columns = self._verdicts.add(due.key, [*begun.values()])
        self._contents[due.key] = content_hash(evaluation_content(column_hashes(columns), kept, badge.value))
        self._changed += len(begun) + len(current.keys() - new.keys())

    def write(self, session: TenantSession) -> int:
        """Write the batch; return how many verdicts are new, differ or end."""
        context = self._context
        settings = {"now": context.now.isoformat(), "sync_id": context.sync_id}
        session.execute(
            select(*(func.set_config(f"verifywise_mlflow.{name}", value, True) for name, value in settings.items()))
        )
        verdict_bulk_writer.upsert_verdicts(session, self._verdicts, context.now, context.sync_id)
        badges = verdict_bulk_writer.upsert_badges(session, self._badges, context.digest, context.now, context.sync_id)
        state_log.append(session, [*self._states(badges)])
        return self._changed

    def _states(self, badges: Collection[Key]) -> Iterator[State]:
        """Yield the evaluations that begin a verdict or a badge, or end a verdict."""
        context = self._context
        for row in self._badges:
            key = (row.model_name, row.version_number)
            content = self._contents.get(key)
            if content is None and key in badges:
                content = content_hash(evaluation_content({}, self._kept[key], row.badge))
            if content:
                name, number = escape(row.model_name), row.version_number
                yield State("evaluation", name, number, "", context.now, context.sync_id, content)
