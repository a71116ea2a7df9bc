"""How much a tenant's records show of each clause of a framework. Pure: counted verdicts go in, a view comes out.

A clause is never shown as more than the catalogue says that MLflow can show of it, and a clause of which nothing can
be shown stands in the view like any other: the blanks are what an auditor looks for first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from verifywise_mlflow.compliance.frameworks import Clause, Framework, Obtainable
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.verdict import Verdict


class State(StrEnum):
    """What a tenant's records show of a clause."""

    EVIDENCED = "evidenced"
    """Every living version shows it. One that no rule is about does not: its stage may only be untold."""
    PARTLY = "partly"
    DECLARED = "declared only"
    NOTHING_SHOWN = "nothing shown"
    """MLflow could show something of it, and no version does, or no rule asks."""
    NOT_OBTAINABLE = "not obtainable from MLflow"


class Standing(StrEnum):
    """How one version stands to a clause, by the verdicts of the rules that give evidence for it."""

    FAILED = "failed"
    """A rule found what speaks against it."""
    ERROR = "error"
    NOT_JUDGED = "not judged"
    """A rule has given no verdict on it yet."""
    IN_PART = "in part"
    """Some rules found evidence, others did not."""
    NOT_SHOWN = "not shown"
    SHOWN = "shown"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class JudgedAlike:
    """Versions whose rules gave the same verdicts."""

    verdicts: Mapping[str, str]
    """Rule to verdict; empty where nothing was judged yet."""
    versions: int


@dataclass(frozen=True, slots=True)
class ClauseCoverage:
    """One clause, and how a tenant's living versions stand to it."""

    clause: Clause
    applicable_from: date | None
    rules: tuple[str, ...]
    """Those that give evidence for it."""
    state: State
    versions: Mapping[Standing, int]
    """How many versions stand how; all of them zero where MLflow can show nothing, or no rule asks."""


@dataclass(frozen=True, slots=True)
class FrameworkCoverage:
    """A framework, clause by clause, over a tenant's living versions."""

    framework: Framework
    versions: int
    clauses: tuple[ClauseCoverage, ...]

    @property
    def states(self) -> Mapping[State, int]:
        """How many clauses are in which state, those in none included."""
        counted = Counter(covered.state for covered in self.clauses)
        return {state: counted[state] for state in State}


References: TypeAlias = Mapping[str, Collection[tuple[str, str]]]
"""Rule to the clauses that it gives evidence for, each as its framework's name and its number."""


def references_of(rules: Iterable[Rule]) -> References:
    """Return which clauses rules give evidence for."""
    return {rule.id: {(one.framework, one.clause) for one in rule.references} for rule in rules}


def coverage(
    frameworks: Sequence[Framework], references: References, judged: Iterable[JudgedAlike]
) -> tuple[FrameworkCoverage, ...]:
    """Return what versions show of each clause of each framework.

    Args:
        frameworks: what is asked about.
        references: of the rules by which the versions were judged; verdicts of other rules count for nothing.
        judged: the tenant's living versions. It is gone through once.
    """
    evidence = {
        (framework.name, clause.id): _Evidence(
            tuple(rule_id for rule_id, clauses in references.items() if (framework.name, clause.id) in clauses),
            clause.shown_by == "records",
        )
        for framework in frameworks
        for clause in framework.clauses
    }
    # Many clauses rest on the same rules.
    counted: dict[_Evidence, Counter[Standing]] = {one: Counter() for one in evidence.values()}
    versions = 0
    for alike in judged:
        versions += alike.versions
        for one, standings in counted.items():
            if one.rules or one.by_records:
                standings[_standing(one.rules, alike.verdicts)] += alike.versions
    return tuple(
        FrameworkCoverage(
            framework,
            versions,
            tuple(
                _covered(framework, clause, one.rules, counted[one])
                for clause in framework.clauses
                for one in [evidence[framework.name, clause.id]]
            ),
        )
        for framework in frameworks
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What gives evidence for a clause."""

    rules: tuple[str, ...]
    by_records: bool


def _covered(
    framework: Framework, clause: Clause, rule_ids: tuple[str, ...], standings: Mapping[Standing, int]
) -> ClauseCoverage:
    application = framework.application_of(clause)
    return ClauseCoverage(
        clause,
        application.applicable_from if application else None,
        rule_ids,
        _state(clause.obtainable, standings),
        {standing: standings[standing] for standing in Standing},
    )


def _standing(rule_ids: Sequence[str], verdicts: Mapping[str, str]) -> Standing:
    """Return how versions stand that were judged so. Without a rule, the record itself is what is asked for."""
    given = {verdicts.get(rule_id) for rule_id in rule_ids}
    if Verdict.FAIL in given:
        return Standing.FAILED
    if Verdict.ERROR in given:
        return Standing.ERROR
    if None in given:
        return Standing.NOT_JUDGED
    if Verdict.NOT_EVIDENCED in given:
        return Standing.IN_PART if Verdict.PASS in given else Standing.NOT_SHOWN
    return Standing.NOT_APPLICABLE if given == {Verdict.NOT_APPLICABLE} else Standing.SHOWN


def _state(obtainable: Obtainable, standings: Mapping[Standing, int]) -> State:
    if obtainable is Obtainable.NOT_OBTAINABLE:
        return State.NOT_OBTAINABLE
    if not standings[Standing.SHOWN] + standings[Standing.IN_PART]:
        return State.NOTHING_SHOWN
    if obtainable is Obtainable.DECLARED:
        return State.DECLARED
    is_whole = all(not count for standing, count in standings.items() if standing is not Standing.SHOWN)
    return State.EVIDENCED if obtainable is Obtainable.EVIDENCED and is_whole else State.PARTLY
