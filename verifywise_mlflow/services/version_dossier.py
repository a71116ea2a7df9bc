"""One value with all facts about one version as of a given time, including its unknown facts.

The evidence pack, the report and other documents for people are rendered only from a dossier.
``dossiers`` loads many dossiers with a few queries for each batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.compliance.coverage import version_evidence
from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.queries import states_by_version
from verifywise_mlflow.persistence.queries.coverage import StoredPolicies, StoredRule, current_policies
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, VerdictState
from verifywise_mlflow.persistence.repositories import waivers
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.clause_evidence import CitedClause, RuleOnVersion, VersionClause
from verifywise_mlflow.services.record_parts import (
    DataSet,
    Environment,
    PromptUse,
    data_sets,
    environment,
    manifest,
    prompts,
)
from verifywise_mlflow.services.unknown_facts import Unknowns, find_unknowns, never_in_mlflow

VERSIONS_PER_BATCH: Final = 250
"""The maximum number of versions that are loaded together, since a record may have a megabyte."""

_VERDICT_ORDER: Final = (
    *(Verdict.FAIL, Verdict.ERROR, Verdict.NOT_EVIDENCED, Verdict.NOT_READ),
    *(Verdict.PASS, Verdict.NOT_APPLICABLE),
)
_SEVERITY_ORDER: Final = tuple(reversed(Severity))


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A rule and its verdict on the version as of the dossier's time."""

    rule: StoredRule
    """The rule; its texts are empty if the policy at that time did not have the rule."""
    verdict: VerdictState
    waiver: StoredWaiver | None
    """The waiver that covered the gap at that time; None if no waiver covered it, or if the verdict is not a gap."""
    clauses: tuple[CitedClause, ...]
    """The clauses that the rule gives evidence for."""

    @property
    def is_gap(self) -> bool:
        """Whether the verdict is a gap, waived or not."""
        return self.verdict.verdict in OPEN_VERDICTS

    @property
    def open_since(self) -> datetime:
        """Since when the gap has been open without interruption."""
        return self.verdict.open_since or self.verdict.span.valid_from


@dataclass(frozen=True, slots=True)
class VersionDossier:
    """All facts about one version as of a given time."""

    tenant_id: str
    as_of: datetime
    state: RecordState
    """The record, the origins of its values, the findings, and the objects that could not be read."""
    manifest: ArtifactManifest | None
    """The files, without the environment."""
    data_sets: tuple[DataSet, ...]
    prompts: tuple[PromptUse, ...]
    environment: Environment | None
    badge: BadgeState | None
    badges: tuple[BadgeState, ...]
    """All badges up to that time, the oldest first."""
    rules: tuple[JudgedRule, ...]
    """Sorted by importance: first the gaps, the most severe gap first, then the other verdicts."""
    waivers: tuple[StoredWaiver, ...]
    """All waivers up to that time for one of the rules, including ended waivers, the oldest first."""
    lifecycle_events: tuple[RecordedEvent, ...]
    """The lifecycle events, oldest first."""
    integrity_events: tuple[tuple[IntegrityEvent, datetime], ...]
    """Changes of files under the unchanged version, each with the time at which a sync saw it, oldest first."""
    policies: StoredPolicies
    """The policies in force at that time. All dossiers that are loaded together share this object."""
    unknowns: Unknowns
    """The facts that were not read, that MLflow does not show, or that no MLflow server records."""

    @property
    def key(self) -> Key:
        """The model's name and the version's number."""
        return self.state.key

    @property
    def record(self) -> CanonicalRecord:
        """The canonical record."""
        return self.state.record

    @property
    def gaps(self) -> tuple[JudgedRule, ...]:
        """The gaps, including waived gaps."""
        return tuple(judged for judged in self.rules if judged.is_gap)

    @property
    def open_gaps(self) -> tuple[JudgedRule, ...]:
        """The gaps that no waiver covers."""
        return tuple(judged for judged in self.gaps if judged.waiver is None)

    @property
    def moves(self) -> tuple[RecordedEvent, ...]:
        """The changes of the stage and of aliases."""
        kinds = (EventKind.STAGE, EventKind.ALIAS)
        return tuple(recorded for recorded in self.lifecycle_events if recorded.event.kind in kinds)

    @property
    def frameworks(self) -> tuple[Framework, ...]:
        """The frameworks that the rules in force at that time refer to."""
        names = {name for clauses in self.policies.references.values() for name, _ in clauses}
        return tuple(framework for name, framework in self.policies.catalog.items() if name in names)

    def clauses_of(self, framework: Framework) -> tuple[VersionClause, ...]:
        """Return the version's evidence for each clause of a framework, with the rules, but without files."""
        judged = {entry.verdict.rule_id: entry for entry in self.rules}
        references = self.policies.references
        clauses = []
        for clause in framework.clauses:
            rule_ids = tuple(rule_id for rule_id, cited in references.items() if (framework.name, clause.id) in cited)
            rules = tuple(
                RuleOnVersion(self.policies.rules[rule_id], judged[rule_id].verdict if rule_id in judged else None)
                for rule_id in rule_ids
            )
            given = {rule_id: judged[rule_id].verdict.verdict for rule_id in rule_ids if rule_id in judged}
            evidence = version_evidence(rule_ids, given) if rule_ids else None
            clauses.append(VersionClause(CitedClause(framework, clause), evidence, rules, ()))
        return tuple(clauses)


def dossier(session: TenantSession, key: Key, at: datetime | None = None) -> VersionDossier | None:
    """Return the dossier of one version, as of now or a given time; None if no sync had seen the version by then."""
    return next(dossiers(session, [key], at), None)


def dossiers(
    session: TenantSession, versions: Iterable[Key] | None = None, at: datetime | None = None
) -> Iterator[VersionDossier]:
    """Yield the dossiers of versions in the given order, as of now or a time, without versions that lack a record.

    Args:
        session: The tenant's transaction.
        versions: The versions; None for all that MLflow has now, sorted by key.
        at: The time; None for now.
    """
    at = at or datetime.now(UTC)
    policies = current_policies(session, at=at)
    waivers_then = _waivers_until(session, at)
    loader = _Loader(session, at, policies, waivers_then, _clauses_of_rules(policies), never_in_mlflow(policies))
    remaining = iter(states_by_version.living_versions(session) if versions is None else versions)
    while batch := list(islice(remaining, VERSIONS_PER_BATCH)):
        yield from loader.load(batch)


@dataclass(frozen=True, slots=True)
class _Loader:
    """The data that all dossiers of one tenant and time share."""

    session: TenantSession
    at: datetime
    policies: StoredPolicies
    waivers: Sequence[StoredWaiver]
    clauses: Mapping[str, tuple[CitedClause, ...]]
    """The clauses that each rule gives evidence for, by rule ID."""
    never_in_mlflow: tuple[CitedClause, ...]

    def load(self, keys: Sequence[Key]) -> Iterator[VersionDossier]:
        session, at = self.session, self.at
        records = states_by_version.records_as_of(session, keys, at)
        verdicts = states_by_version.verdicts_as_of(session, keys, at)
        badges = states_by_version.badges_until(session, keys, at)
        lifecycle = states_by_version.lifecycle_events_until(session, keys, at)
        integrity = states_by_version.integrity_events_until(session, keys, at)
        for key in keys:
            if state := records.get(key):
                rules = self._judged(key, verdicts.get(key, ()))
                files, packages = manifest(state.record), environment(state.record)
                history = tuple(badges.get(key, ()))
                yield VersionDossier(
                    tenant_id=session.tenant_id,
                    as_of=at,
                    state=state,
                    manifest=files,
                    data_sets=data_sets(state.record),
                    prompts=prompts(state.record),
                    environment=packages,
                    badge=_held_at(history, at),
                    badges=history,
                    rules=rules,
                    waivers=tuple(
                        stored
                        for stored in self.waivers
                        if any(stored.waiver.covers(judged.verdict.rule_id, *key) for judged in rules)
                    ),
                    lifecycle_events=tuple(lifecycle.get(key, ())),
                    integrity_events=tuple(integrity.get(key, ())),
                    policies=self.policies,
                    unknowns=find_unknowns(state, files, packages, verdicts.get(key, ()), self.never_in_mlflow),
                )

    def _judged(self, key: Key, verdicts: Sequence[VerdictState]) -> tuple[JudgedRule, ...]:
        judged = [self._judged_rule(key, verdict) for verdict in verdicts]
        return tuple(sorted(judged, key=_rank))

    def _judged_rule(self, key: Key, verdict: VerdictState) -> JudgedRule:
        rule_id, policies = verdict.rule_id, self.policies
        waiver = None
        if verdict.verdict in OPEN_VERDICTS:
            waiver = next(
                (
                    stored
                    for stored in self.waivers
                    if stored.is_in_force(self.at) and stored.waiver.covers(rule_id, *key)
                ),
                None,
            )
        rule = policies.rules.get(rule_id) or StoredRule(rule_id, "", "")
        return JudgedRule(rule, verdict, waiver, self.clauses.get(rule_id, ()))


def _clauses_of_rules(policies: StoredPolicies) -> Mapping[str, tuple[CitedClause, ...]]:
    return {
        rule_id: tuple(
            CitedClause(framework, framework.by_id[number])
            for name, number in sorted(cited)
            if (framework := policies.catalog.get(name)) and number in framework.by_id
        )
        for rule_id, cited in policies.references.items()
    }


def _rank(judged: JudgedRule) -> tuple[int, int, int, str]:
    """Return the sort key of a rule in ``VersionDossier.rules``."""
    verdict = _index(_VERDICT_ORDER, judged.verdict.verdict)
    group = 0 if judged.is_gap else 1 + verdict
    return group, _index(_SEVERITY_ORDER, judged.rule.severity), verdict, judged.verdict.rule_id


def _index(order: Sequence[str], word: str) -> int:
    return order.index(word) if word in order else len(order)


def _held_at(badges: Sequence[BadgeState], at: datetime) -> BadgeState | None:
    """Return the badge that was valid at a given time."""
    return next((badge for badge in badges if badge.span.valid_to is None or badge.span.valid_to > at), None)


def _waivers_until(session: TenantSession, at: datetime) -> list[StoredWaiver]:
    """Return the waivers that were granted by a given time, as they were known at that time."""
    return [
        stored if stored.ended_at is None or stored.ended_at <= at else replace(stored, ended_at=None, end_reason=None)
        for stored in waivers.all_waivers(session)
        if stored.granted_at <= at
    ]
