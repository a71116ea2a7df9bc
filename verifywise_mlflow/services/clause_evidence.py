"""Finds the evidence for a clause: rules, versions, and a version's values, origins and files.

The module reads stored verdicts and evaluates nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from verifywise_mlflow.compliance.coverage import (
    ClauseCoverage,
    References,
    VersionEvidence,
    framework_coverage,
)
from verifywise_mlflow.compliance.coverage import version_evidence as evidence_of_verdicts
from verifywise_mlflow.compliance.frameworks import Clause, Framework
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.clause_verdicts import VersionVerdicts, verdict_counts_of, worst_versions
from verifywise_mlflow.persistence.queries.coverage import StoredRule, current_policies, verdict_groups
from verifywise_mlflow.persistence.queries.history import VerdictState
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class CitedClause:
    """A clause and its framework."""

    framework: Framework
    clause: Clause


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A rule that gives evidence for a clause, and its verdicts."""

    rule: StoredRule
    verdict_counts: Mapping[str, int]
    """The number of versions by verdict. Archived versions are left out."""


@dataclass(frozen=True, slots=True)
class ClauseEvidence:
    """The rules that give evidence for a clause, and the versions with their verdicts."""

    framework: Framework
    coverage: ClauseCoverage
    version_count: int
    archived_count: int
    rules: tuple[CountedRule, ...]
    worst_versions: tuple[VersionVerdicts, ...]
    """The versions with the worst verdicts, the worst first; empty if no rule gives evidence for the clause."""

    @property
    def unlisted_count(self) -> int:
        """The number of versions that the list leaves out."""
        return self.version_count - len(self.worst_versions) if self.rules else 0


def clause_evidence(session: TenantSession, cited: Sequence[CitedClause], limit: int) -> list[ClauseEvidence]:
    """Return the rules and versions of each clause, with at most ``limit`` versions each."""
    policies = current_policies(session)
    rule_ids = {rule_id for entry in cited for rule_id in _rules_of(entry, policies.references)}
    coverages = framework_coverage(
        list({entry.framework.name: entry.framework for entry in cited}.values()),
        {rule_id: policies.references[rule_id] for rule_id in policies.references if rule_id in rule_ids},
        verdict_groups(session, rule_ids),
    )
    by_clause = {
        (coverage.framework.name, covered.clause.id): (coverage, covered)
        for coverage in coverages
        for covered in coverage.clauses
    }
    evidence = []
    for entry in cited:
        coverage, covered = by_clause[entry.framework.name, entry.clause.id]
        counts = verdict_counts_of(session, covered.rules) if covered.rules else {}
        evidence.append(
            ClauseEvidence(
                entry.framework,
                covered,
                coverage.version_count,
                coverage.archived_count,
                tuple(CountedRule(policies.rules[rule_id], counts.get(rule_id, {})) for rule_id in covered.rules),
                tuple(worst_versions(session, covered.rules, limit)) if covered.rules else (),
            )
        )
    return evidence


@dataclass(frozen=True, slots=True)
class RuleOnVersion:
    """A rule that gives evidence for a clause, and its verdict on a version; None before the first evaluation."""

    rule: StoredRule
    verdict: VerdictState | None


@dataclass(frozen=True, slots=True)
class VersionClause:
    """The evidence that a version has for a clause."""

    cited: CitedClause
    evidence: VersionEvidence | None
    """None if no rule gives evidence for the clause."""
    rules: tuple[RuleOnVersion, ...]
    files: tuple[Mapping[str, object], ...]
    """The files that the rules read, each with its path, kind, size and SHA-256."""


@dataclass(frozen=True, slots=True)
class VersionClauses:
    """The evidence that a version has for some clauses."""

    key: Key
    lifecycle_stage: str | None
    deleted_at: datetime | None
    clauses: tuple[VersionClause, ...]


def version_evidence(session: TenantSession, cited: Sequence[CitedClause], key: Key) -> VersionClauses | None:
    """Return the evidence that a version has for some clauses; None if there is no such version."""
    now = datetime.now(UTC)
    state = history.record_as_of(session, key, now)
    if state is None:
        return None
    policies = current_policies(session)
    verdicts = {verdict.rule_id: verdict for verdict in history.verdicts_as_of(session, key, now)}
    clauses = []
    for entry in cited:
        rule_ids = _rules_of(entry, policies.references)
        rules = tuple(RuleOnVersion(policies.rules[rule_id], verdicts.get(rule_id)) for rule_id in rule_ids)
        given = {rule_id: verdicts[rule_id].verdict for rule_id in rule_ids if rule_id in verdicts}
        clauses.append(
            VersionClause(
                entry,
                evidence_of_verdicts(rule_ids, given) if rule_ids else None,
                rules,
                tuple(files_read(state.record, rules)),
            )
        )
    return VersionClauses(key, state.record.lifecycle_stage, state.deleted_at, tuple(clauses))


def _rules_of(cited: CitedClause, references: References) -> tuple[str, ...]:
    reference = (cited.framework.name, cited.clause.id)
    return tuple(rule_id for rule_id, clauses in references.items() if reference in clauses)


def files_read(record: CanonicalRecord, rules: Sequence[RuleOnVersion]) -> Iterator[Mapping[str, object]]:
    """Yield the files that are the source of the fields that the rules read, each file once."""
    fields = {path.partition(".")[0] for applied in rules if applied.verdict for path in applied.verdict.values}
    manifest = record.artifact_manifest if isinstance(record.artifact_manifest, Mapping) else {}
    listed = [file for file in _list(manifest.get("files")) if isinstance(file, Mapping)]
    evidence = {_location(file) for file in _list(record.evidence_files) if isinstance(file, Mapping)}
    environment = record.runtime_environment if isinstance(record.runtime_environment, Mapping) else {}
    sources = {_name(source) for source in _list(environment.get("sources"))}
    for file in listed:
        if (
            "artifact_manifest" in fields
            or ("evidence_files" in fields and _location(file) in evidence)
            or ("runtime_environment" in fields and _name(file.get("path")) in sources)
        ):
            yield file


def _name(path: object) -> str:
    return str(path).rpartition("/")[2]


def _location(file: Mapping[str, object]) -> tuple[object, object]:
    return file.get("root"), file.get("path")


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
