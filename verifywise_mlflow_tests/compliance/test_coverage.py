"""Counted verdicts never show more of a clause than MLflow can show, and the report keeps what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.compliance.coverage import (
    ClauseCoverage,
    ClauseState,
    VerdictGroup,
    VersionEvidence,
    clause_references,
    framework_coverage,
)
from verifywise_mlflow.compliance.frameworks import Framework, Obtainable, shipped_catalog
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.verdict import Verdict

PASS, FAIL, GAP, NOT_ABOUT, ERROR = "pass", "fail", "not evidenced", "not applicable", "error"
UNREAD = "not read"
EU = shipped_catalog()["EU AI Act"]


def coverage_of(
    clause: str, *groups: tuple[dict[str, str], int], rules: tuple[str, ...] = ("a", "b")
) -> ClauseCoverage:
    (framework,) = framework_coverage(
        [EU], {rule_id: [("EU AI Act", clause)] for rule_id in rules}, [VerdictGroup(*group) for group in groups]
    )
    (clause_coverage,) = [covered for covered in framework.clauses if covered.clause.id == clause]
    return clause_coverage


EVIDENCED, PARTLY_EVIDENCED, DECLARED = "Annex IV(1)(c)", "Annex IV(2)(g)", "Art. 6"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"a": PASS, "b": PASS}, VersionEvidence.SHOWN),
        ({"a": PASS, "b": NOT_ABOUT}, VersionEvidence.SHOWN),
        ({"a": PASS, "b": GAP}, VersionEvidence.IN_PART),
        ({"a": GAP, "b": NOT_ABOUT}, VersionEvidence.NOT_SHOWN),
        ({"a": UNREAD, "b": NOT_ABOUT}, VersionEvidence.NOT_READ),
        ({"a": UNREAD, "b": GAP}, VersionEvidence.NOT_SHOWN),
        ({"a": UNREAD, "b": PASS}, VersionEvidence.IN_PART),
        ({"a": NOT_ABOUT, "b": NOT_ABOUT}, VersionEvidence.NOT_APPLICABLE),
        ({"a": FAIL, "b": PASS}, VersionEvidence.FAILED),
        ({"a": FAIL, "b": ERROR}, VersionEvidence.FAILED),
        ({"a": ERROR, "b": PASS}, VersionEvidence.ERROR),
        ({"a": PASS}, VersionEvidence.NOT_EVALUATED),
        ({"of another policy": PASS}, VersionEvidence.NOT_EVALUATED),
        ({}, VersionEvidence.NOT_EVALUATED),
    ],
)
def test_the_evidence_of_a_version_follows_from_its_verdicts(
    verdicts: dict[str, str], expected: VersionEvidence
) -> None:
    covered = coverage_of(PARTLY_EVIDENCED, (verdicts, 3))

    assert {evidence: count for evidence, count in covered.version_counts.items() if count} == {expected: 3}


@pytest.mark.parametrize(
    ("clause", "groups", "state"),
    [
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": PASS, "b": NOT_ABOUT}, 1)], ClauseState.EVIDENCED),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 1), ({"a": NOT_ABOUT, "b": NOT_ABOUT}, 9_999)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": ERROR}, 2), ({"a": PASS, "b": PASS}, 9)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": GAP, "b": GAP}, 1)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": FAIL, "b": PASS}, 1)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({}, 1)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": GAP}, 2)], ClauseState.PARTLY),
        (EVIDENCED, [({"a": GAP, "b": GAP}, 2)], ClauseState.NOTHING_SHOWN),
        (EVIDENCED, [({"a": FAIL, "b": PASS}, 2)], ClauseState.NOTHING_SHOWN),
        (EVIDENCED, [({"a": NOT_ABOUT, "b": NOT_ABOUT}, 2)], ClauseState.NOTHING_SHOWN),
        (PARTLY_EVIDENCED, [({"a": PASS, "b": PASS}, 2)], ClauseState.PARTLY),
        (DECLARED, [({"a": PASS, "b": PASS}, 2)], ClauseState.DECLARED_ONLY),
        (DECLARED, [({"a": PASS, "b": PASS}, 1), ({"a": GAP, "b": GAP}, 9)], ClauseState.DECLARED_ONLY),
        (DECLARED, [({"a": GAP, "b": GAP}, 2)], ClauseState.NOTHING_SHOWN),
        (PARTLY_EVIDENCED, [], ClauseState.NOTHING_SHOWN),
    ],
)
def test_the_state_of_a_clause_follows_from_its_versions(
    clause: str, groups: list[tuple[dict[str, str], int]], state: ClauseState
) -> None:
    assert coverage_of(clause, *groups).state == state


def test_a_clause_without_a_rule_is_blank() -> None:
    covered = coverage_of(PARTLY_EVIDENCED, ({"a": PASS}, 4), rules=())

    assert (covered.state, sum(covered.version_counts.values())) == (ClauseState.NOTHING_SHOWN, 0)


def test_a_clause_that_mlflow_shows_nothing_of_stays_in_the_report() -> None:
    covered = coverage_of("Art. 12", ({"a": PASS}, 4), rules=())

    assert covered.state is ClauseState.NOT_OBTAINABLE
    assert covered.clause.blank


@pytest.mark.parametrize(("verdicts", "count"), [({}, 4), ({"a": PASS}, 4)])
def test_records_that_merely_exist_support_a_clause_on_record_keeping_and_fulfill_no_part(
    verdicts: dict[str, str], count: int
) -> None:
    covered = coverage_of("Art. 17(1)(k)", (verdicts, count), rules=())

    assert (covered.state, covered.version_counts[VersionEvidence.SHOWN]) == (ClauseState.SUPPORTS, count)


def test_archived_versions_are_counted_apart_and_decide_no_state() -> None:
    references = {"a": [("EU AI Act", EVIDENCED)]}
    groups = [VerdictGroup({"a": PASS}, 2), VerdictGroup({"a": FAIL}, 7, are_archived=True)]

    (coverage,) = framework_coverage([EU], references, groups)

    (covered,) = [covered for covered in coverage.clauses if covered.clause.id == EVIDENCED]
    assert (coverage.version_count, coverage.archived_count, covered.state) == (2, 7, ClauseState.EVIDENCED)
    assert sum(covered.version_counts.values()) == 2


def test_a_clause_states_its_date_of_application_and_its_rules() -> None:
    covered = coverage_of(DECLARED)

    assert covered.application is not None
    assert (covered.application.short_form, covered.rules) == ("2027-12-02, not checked", ("a", "b"))


def test_states_without_a_clause_are_counted_as_zero() -> None:
    (coverage,) = framework_coverage([EU], {}, ())

    assert list(coverage.state_counts) == list(ClauseState)
    assert sum(coverage.state_counts.values()) == len(EU.clauses)


POSSIBLE_STATES = {
    Obtainable.EVIDENCED: {ClauseState.EVIDENCED, ClauseState.PARTLY, ClauseState.NOTHING_SHOWN},
    Obtainable.PARTLY: {ClauseState.PARTLY, ClauseState.NOTHING_SHOWN},
    Obtainable.DECLARED_ONLY: {ClauseState.DECLARED_ONLY, ClauseState.NOTHING_SHOWN},
    Obtainable.SUPPORTS: {ClauseState.SUPPORTS, ClauseState.NOTHING_SHOWN},
    Obtainable.NOT_OBTAINABLE: {ClauseState.NOT_OBTAINABLE},
}
REFERENCES = clause_references(default_policy().rules)
VERDICT_GROUPS = st.builds(
    VerdictGroup,
    st.dictionaries(st.sampled_from(sorted(REFERENCES)), st.sampled_from([verdict.value for verdict in Verdict])),
    st.integers(1, 1000),
)


@given(st.lists(VERDICT_GROUPS, max_size=4), st.sampled_from(list(shipped_catalog().values())))
def test_no_verdicts_raise_a_clause_above_what_mlflow_can_show(
    groups: list[VerdictGroup], framework: Framework
) -> None:
    (coverage,) = framework_coverage([framework], REFERENCES, groups)

    assert coverage.version_count == sum(group.version_count for group in groups)
    for covered in coverage.clauses:
        assert covered.state in POSSIBLE_STATES[covered.clause.obtainable]
        assert sum(covered.version_counts.values()) in (0, coverage.version_count)
