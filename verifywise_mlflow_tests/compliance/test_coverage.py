"""What counted verdicts show of clauses: never more than MLflow can show, and the blanks among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.compliance.coverage import ClauseCoverage, JudgedAlike, Standing, State, coverage, references_of
from verifywise_mlflow.compliance.frameworks import Framework, Obtainable, catalogue
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.verdict import Verdict

PASS, FAIL, GAP, NOT_ABOUT, ERROR = "pass", "fail", "not evidenced", "not applicable", "error"
EU = catalogue()["EU AI Act"]


def covered(clause: str, *judged: tuple[dict[str, str], int], rules: tuple[str, ...] = ("a", "b")) -> ClauseCoverage:
    (framework,) = coverage(
        [EU], {rule_id: [("EU AI Act", clause)] for rule_id in rules}, [JudgedAlike(*one) for one in judged]
    )
    (found,) = [one for one in framework.clauses if one.clause.id == clause]
    return found


EVIDENCED, PARTLY, DECLARED = "Annex IV(1)(c)", "Annex IV(2)(g)", "Art. 6"


@pytest.mark.parametrize(
    ("verdicts", "standing"),
    [
        ({"a": PASS, "b": PASS}, Standing.SHOWN),
        ({"a": PASS, "b": NOT_ABOUT}, Standing.SHOWN),
        ({"a": PASS, "b": GAP}, Standing.IN_PART),
        ({"a": GAP, "b": NOT_ABOUT}, Standing.NOT_SHOWN),
        ({"a": NOT_ABOUT, "b": NOT_ABOUT}, Standing.NOT_APPLICABLE),
        ({"a": FAIL, "b": PASS}, Standing.FAILED),
        ({"a": FAIL, "b": ERROR}, Standing.FAILED),
        ({"a": ERROR, "b": PASS}, Standing.ERROR),
        ({"a": PASS}, Standing.NOT_JUDGED),
        ({"of another policy": PASS}, Standing.NOT_JUDGED),
        ({}, Standing.NOT_JUDGED),
    ],
)
def test_a_version_stands_to_a_clause_as_its_rules_say(verdicts: dict[str, str], standing: Standing) -> None:
    found = covered(PARTLY, (verdicts, 3))

    assert {one: count for one, count in found.versions.items() if count} == {standing: 3}


@pytest.mark.parametrize(
    ("clause", "judged", "state"),
    [
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": PASS, "b": NOT_ABOUT}, 1)], State.EVIDENCED),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 1), ({"a": NOT_ABOUT, "b": NOT_ABOUT}, 9_999)], State.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": ERROR}, 2), ({"a": PASS, "b": PASS}, 9)], State.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": GAP, "b": GAP}, 1)], State.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({"a": FAIL, "b": PASS}, 1)], State.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": PASS}, 2), ({}, 1)], State.PARTLY),
        (EVIDENCED, [({"a": PASS, "b": GAP}, 2)], State.PARTLY),
        (EVIDENCED, [({"a": GAP, "b": GAP}, 2)], State.NOTHING_SHOWN),
        (EVIDENCED, [({"a": FAIL, "b": PASS}, 2)], State.NOTHING_SHOWN),
        (EVIDENCED, [({"a": NOT_ABOUT, "b": NOT_ABOUT}, 2)], State.NOTHING_SHOWN),
        (PARTLY, [({"a": PASS, "b": PASS}, 2)], State.PARTLY),
        (DECLARED, [({"a": PASS, "b": PASS}, 2)], State.DECLARED),
        (DECLARED, [({"a": PASS, "b": PASS}, 1), ({"a": GAP, "b": GAP}, 9)], State.DECLARED),
        (DECLARED, [({"a": GAP, "b": GAP}, 2)], State.NOTHING_SHOWN),
        (PARTLY, [], State.NOTHING_SHOWN),
    ],
)
def test_a_clause_is_shown_as_far_as_versions_show_it(
    clause: str, judged: list[tuple[dict[str, str], int]], state: State
) -> None:
    assert covered(clause, *judged).state == state


def test_a_clause_that_no_rule_asks_about_is_a_blank() -> None:
    found = covered(PARTLY, ({"a": PASS}, 4), rules=())

    assert (found.state, sum(found.versions.values())) == (State.NOTHING_SHOWN, 0)


def test_a_clause_of_which_mlflow_shows_nothing_stays_in_the_view() -> None:
    found = covered("Art. 12", ({"a": PASS}, 4), rules=())

    assert found.state is State.NOT_OBTAINABLE
    assert found.clause.blank


def test_records_that_are_kept_show_what_record_keeping_is_about_though_nothing_was_judged() -> None:
    found = covered("Art. 17(1)(k)", ({}, 4), rules=())

    assert (found.state, found.versions[Standing.SHOWN]) == (State.PARTLY, 4)


def test_a_clause_says_from_when_on_it_applies_and_which_rules_ask() -> None:
    found = covered(DECLARED)

    assert (str(found.applicable_from), found.rules) == ("2027-12-02", ("a", "b"))


def test_the_states_are_counted_with_those_that_no_clause_is_in() -> None:
    (found,) = coverage([EU], {}, ())

    assert list(found.states) == list(State)
    assert sum(found.states.values()) == len(EU.clauses)


MOST = {
    Obtainable.EVIDENCED: set(State) - {State.NOT_OBTAINABLE, State.DECLARED},
    Obtainable.PARTLY: {State.PARTLY, State.NOTHING_SHOWN},
    Obtainable.DECLARED: {State.DECLARED, State.NOTHING_SHOWN},
    Obtainable.NOT_OBTAINABLE: {State.NOT_OBTAINABLE},
}
REFERENCES = references_of(default_policy().rules)
JUDGED = st.builds(
    JudgedAlike,
    st.dictionaries(st.sampled_from(sorted(REFERENCES)), st.sampled_from([word.value for word in Verdict])),
    st.integers(1, 1000),
)


@given(st.lists(JUDGED, max_size=4), st.sampled_from(list(catalogue().values())))
def test_no_verdicts_make_more_of_a_clause_than_mlflow_can_show(judged: list[JudgedAlike], asked: Framework) -> None:
    (found,) = coverage([asked], REFERENCES, judged)

    assert found.versions == sum(one.versions for one in judged)
    for one in found.clauses:
        assert one.state in MOST[one.clause.obtainable]
        assert sum(one.versions.values()) in (0, found.versions)
