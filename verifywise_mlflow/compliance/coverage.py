"""The coverage of a framework: how much evidence a tenant's records give for each clause. Pure.

It takes counted verdicts and returns a report. For each clause, the catalog states how much MLflow can show, and the
report never claims more. The report also has the clauses that MLflow cannot show at all: auditors look for blanks
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from verifywise_mlflow.compliance.frameworks import ApplicationDate, Clause, Framework, Obtainable
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.verdict import Verdict


class ClauseState(StrEnum):
    """How much evidence a tenant's records hold for a clause."""

    EVIDENCED = "evidenced"
    """Every version that is not archived shows evidence. A version to which no rule applies shows no evidence: its
    stage may be missing."""
    PARTLY = "partly"
    DECLARED_ONLY = "declared only"
    SUPPORTS = "supports"
    """The clause is about keeping records, and there are records. Their existence fulfills no part of the clause."""
    NOTHING_SHOWN = "nothing shown"
    """MLflow could show a part, but no version does, or no rule checks it."""
    NOT_OBTAINABLE = "not obtainable from MLflow"


class VersionEvidence(StrEnum):
    """How much one version shows of a clause, by the verdicts of the rules that give evidence for the clause."""

    FAILED = "failed"
    """A rule found evidence that the clause is not met."""
    ERROR = "error"
    NOT_EVALUATED = "not judged"
    """A rule has not been evaluated on the version yet."""
    IN_PART = "in part"
    """Some rules found evidence, and other rules did not."""
    NOT_SHOWN = "not shown"
    NOT_READ = "not read"
    """An object that may show evidence could not be read, and no rule found evidence or a gap."""
    SHOWN = "shown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class VerdictGroup:
    """Versions on which all rules gave the same verdicts."""

    verdicts: Mapping[str, str]
    """Rule id to verdict; empty if the versions were not evaluated yet."""
    version_count: int
    are_archived: bool = False


@dataclass(frozen=True, slots=True)
class ClauseCoverage:
    """One clause, and how much a tenant's existing versions show of it."""

    clause: Clause
    application: ApplicationDate | None
    """The date from which the clause applies; None for a voluntary clause."""
    rules: tuple[str, ...]
    """The rules that give evidence for the clause."""
    state: ClauseState
    version_counts: Mapping[VersionEvidence, int]
    """The number of versions for each degree of evidence; all zero if no rule checks the clause. For a clause about
    keeping records, each version shows evidence, since its record exists."""


@dataclass(frozen=True, slots=True)
class FrameworkCoverage:
    """A framework, clause by clause, over a tenant's existing versions."""

    framework: Framework
    version_count: int
    """The number of versions that are not archived. Only these determine the states."""
    archived_count: int
    clauses: tuple[ClauseCoverage, ...]

    @property
    def state_counts(self) -> Mapping[ClauseState, int]:
        """The number of clauses by state, including states without a clause."""
        counts = Counter(clause.state for clause in self.clauses)
        return {state: counts[state] for state in ClauseState}


References: TypeAlias = Mapping[str, Collection[tuple[str, str]]]
"""Rule id to the clauses that the rule gives evidence for. Each clause is a pair of framework name and clause
number."""


def clause_references(rules: Iterable[Rule]) -> References:
    """Return the clauses that each rule gives evidence for."""
    return {rule.id: {(reference.framework, reference.clause) for reference in rule.references} for rule in rules}


def framework_coverage(
    frameworks: Sequence[Framework], references: References, groups: Iterable[VerdictGroup]
) -> tuple[FrameworkCoverage, ...]:
    """Return how much evidence versions give for each clause of each framework.

    Args:
        frameworks: the frameworks to report on.
        references: the references of the rules in force; verdicts of other rules do not count.
        groups: the tenant's existing versions; iterated once. Archived versions are only counted.
    """
    sources = {
        (framework.name, clause.id): _EvidenceSource(
            tuple(rule_id for rule_id, clauses in references.items() if (framework.name, clause.id) in clauses),
            clause.obtainable is Obtainable.SUPPORTS,
        )
        for framework in frameworks
        for clause in framework.clauses
    }
    # Many clauses depend on the same rules, so versions are counted once per set of rules.
    counts: dict[_EvidenceSource, Counter[VersionEvidence]] = {source: Counter() for source in sources.values()}
    version_count = archived_count = 0
    for group in groups:
        if group.are_archived:
            archived_count += group.version_count
            continue
        version_count += group.version_count
        for source, by_evidence in counts.items():
            if source.rules or source.is_records:
                by_evidence[version_evidence(source.rules, group.verdicts)] += group.version_count
    return tuple(
        FrameworkCoverage(
            framework,
            version_count,
            archived_count,
            tuple(
                _clause_coverage(framework, clause, source.rules, counts[source])
                for clause in framework.clauses
                for source in [sources[framework.name, clause.id]]
            ),
        )
        for framework in frameworks
    )


@dataclass(frozen=True, slots=True)
class _EvidenceSource:
    """The source of evidence for a clause: rules, or the stored records themselves."""

    rules: tuple[str, ...]
    is_records: bool


def _clause_coverage(
    framework: Framework, clause: Clause, rule_ids: tuple[str, ...], counts: Mapping[VersionEvidence, int]
) -> ClauseCoverage:
    return ClauseCoverage(
        clause,
        framework.application_date_of(clause),
        rule_ids,
        _clause_state(clause.obtainable, counts),
        {evidence: counts[evidence] for evidence in VersionEvidence},
    )


def version_evidence(rule_ids: Sequence[str], verdicts: Mapping[str, str]) -> VersionEvidence:
    """Return how much versions with these verdicts show. Without a rule, the record itself is the evidence."""
    rule_verdicts = {verdicts.get(rule_id) for rule_id in rule_ids}
    if Verdict.FAIL in rule_verdicts:
        return VersionEvidence.FAILED
    if Verdict.ERROR in rule_verdicts:
        return VersionEvidence.ERROR
    if None in rule_verdicts:
        return VersionEvidence.NOT_EVALUATED
    if rule_verdicts & {Verdict.NOT_EVIDENCED, Verdict.NOT_READ}:
        if Verdict.PASS in rule_verdicts:
            return VersionEvidence.IN_PART
        return VersionEvidence.NOT_SHOWN if Verdict.NOT_EVIDENCED in rule_verdicts else VersionEvidence.NOT_READ
    return VersionEvidence.NOT_APPLICABLE if rule_verdicts == {Verdict.NOT_APPLICABLE} else VersionEvidence.SHOWN


def _clause_state(obtainable: Obtainable, counts: Mapping[VersionEvidence, int]) -> ClauseState:
    if obtainable is Obtainable.NOT_OBTAINABLE:
        return ClauseState.NOT_OBTAINABLE
    if not counts[VersionEvidence.SHOWN] + counts[VersionEvidence.IN_PART]:
        return ClauseState.NOTHING_SHOWN
    if obtainable is Obtainable.SUPPORTS:
        return ClauseState.SUPPORTS
    if obtainable is Obtainable.DECLARED_ONLY:
        return ClauseState.DECLARED_ONLY
    is_complete = all(not count for evidence, count in counts.items() if evidence is not VersionEvidence.SHOWN)
    return ClauseState.EVIDENCED if obtainable is Obtainable.EVIDENCED and is_complete else ClauseState.PARTLY
