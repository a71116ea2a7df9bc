"""Gaps: the time since which they are open, the order of lists, and the counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import pytest

from verifywise_mlflow.common.unresolved_names import UnresolvedNameError
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.documents.report.gap_figures import count_gaps
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.gaps import Gap, GapFilter, GapGroup, Grouping, group_gaps, open_gaps
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.governed_tenants import FORMULA, LONG_NAME, GovernedTenants, governed_tenants
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

TODAY: Final = day(20)
PASS, FAIL, NOT_EVIDENCED, NOT_READ, NOT_APPLICABLE, ERROR = (
    *(Verdict.PASS, Verdict.FAIL, Verdict.NOT_EVIDENCED, Verdict.NOT_READ, Verdict.NOT_APPLICABLE, Verdict.ERROR),
)

HISTORIES: Final[Sequence[tuple[str, Sequence[Verdict | None], int, bool]]] = [
    # Verdicts of consecutive days (None: no policy has the rule), day of the gap's opening, whether it may be older.
    ("failed from the first evaluation", [FAIL], 1, True),
    ("failed from the first evaluation and still does", [FAIL, FAIL, FAIL], 1, True),
    ("passed before", [PASS, FAIL], 2, False),
    ("did not apply before", [NOT_APPLICABLE, NOT_EVIDENCED], 2, False),
    ("another kind of gap", [PASS, NOT_EVIDENCED, FAIL, ERROR, FAIL], 2, False),
    ("closed and opened again", [FAIL, PASS, FAIL], 3, False),
    ("opened while nothing could be read", [PASS, NOT_READ, FAIL], 3, True),
    ("not read in between", [PASS, FAIL, NOT_READ, FAIL], 2, False),
    ("the first evaluation could not read it", [NOT_READ, FAIL], 2, True),
    ("the rule was removed and came back", [FAIL, None, FAIL], 3, True),
    ("the rule passed, was removed and came back", [PASS, None, FAIL], 3, True),
    ("closed by the end of its application", [FAIL, NOT_APPLICABLE, FAIL, FAIL], 3, False),
]


@pytest.fixture(scope="module")
def tenants(postgres: EmbeddedPostgres) -> Iterator[GovernedTenants]:
    with governed_tenants(postgres) as seeded:
        yield seeded


@pytest.fixture(scope="module")
def histories(postgres: EmbeddedPostgres) -> Iterator[dict[int, Gap]]:
    """The gap of each version, by version number. Version 1 has the verdicts of the first history, and so on."""
    with migrated_database(postgres) as url, Store(url) as store:
        for number, (_, verdicts, _, _) in enumerate(HISTORIES, start=1):
            write_record(store, RecordInputs(version=ModelVersion("fraud", number)), day(1))
            for place, verdict in enumerate(verdicts, start=1):
                given = {"other": PASS, **({"owner": verdict} if verdict else {})}
                write_verdicts(store, given, day(place), key=("fraud", number), reason=f"Day {place}.")
        with store.begin("acme") as session:
            yield {gap.version_number: gap for gap in open_gaps(session, TODAY)}


@pytest.mark.parametrize(
    ("number", "opened_on", "may_be_older"),
    [
        pytest.param(number, opened_on, may_be_older, id=name)
        for number, (name, _, opened_on, may_be_older) in enumerate(HISTORIES, start=1)
    ],
)
def test_a_gap_is_open_since_the_start_of_the_uninterrupted_run(
    number: int, opened_on: int, may_be_older: bool, histories: dict[int, Gap]
) -> None:
    gap = histories[number]

    assert (gap.opened_at, gap.may_be_older, gap.age_days) == (day(opened_on), may_be_older, 20 - opened_on)


def test_a_gap_of_a_rule_that_no_policy_has_is_of_unknown_severity_in_lists_and_in_the_report(
    histories: dict[int, Gap],
) -> None:
    assert {gap.severity for gap in histories.values()} == {"unknown"}
    assert count_gaps(histories.values()).by_severity == {"unknown": len(HISTORIES)}


def listed(tenants: GovernedTenants, wanted: GapFilter | None = None, *, at: datetime = TODAY) -> list[Gap]:
    with tenants.store.begin("acme") as session:
        return list(open_gaps(session, at, wanted))


def keys(gaps: Sequence[Gap]) -> list[tuple[str, str, int]]:
    return [(gap.rule_id, gap.model_name, gap.version_number) for gap in gaps]


def test_gaps_are_listed_with_severity_owner_age_waiver_and_clauses(tenants: GovernedTenants) -> None:
    gaps = listed(tenants)
    by_key = dict(zip(keys(gaps), gaps, strict=True))
    credit, churn = by_key["owned", "credit", 2], by_key["owned", "churn", 1]

    assert (credit.severity, credit.rule_title, credit.verdict) == ("high", "The Risk Team owns it", "fail")
    assert (credit.owner, credit.lifecycle_stage, credit.ai_system) == ("Ops Desk", "production", "Lending")
    assert (credit.opened_at, credit.may_be_older, credit.age_days) == (day(3), False, 17)
    assert (credit.clauses, credit.waiver) == (("NIST AI RMF GOVERN 2.1",), None)
    assert churn.waiver is not None
    assert (churn.waiver.approver, str(churn.waiver.expires_on)) == ("Grace", "2099-12-31")
    assert by_key["coded", "churn", 1].may_be_older
    assert by_key["coded", "churn", 1].opened_at == day(6)


def test_what_most_needs_a_person_comes_first_and_deleted_versions_are_left_out(tenants: GovernedTenants) -> None:
    assert keys(listed(tenants)) == [
        ("coded", "credit", 2),  # critical; in production
        ("coded", "churn", 1),
        ("coded", LONG_NAME, 1),
        ("coded", "credit", 1),  # archived
        ("owned", "credit", 2),  # high; in production
        ("owned", LONG_NAME, 1),  # failed
        ("owned", "churn", 1),  # not evidenced
        ("private", "credit", 2),  # low
        ("private", "credit", 1),
    ]


@pytest.mark.parametrize(
    ("wanted", "rules_and_models"),
    [
        (GapFilter(severities=("high",)), {("owned", "credit"), ("owned", LONG_NAME), ("owned", "churn")}),
        (GapFilter(severities=("high", "low"), rules=("p*",)), {("private", "credit")}),
        (GapFilter(frameworks=("gdpr",)), {("private", "credit")}),
        (GapFilter(frameworks=("GDPR",), severities=("high",)), set()),
        (GapFilter(ai_systems=("lending",), rules=("owned",)), {("owned", "credit")}),
        (GapFilter(VersionFilter(owners=("ops*",)), rules=("owned",)), {("owned", "credit")}),
        (GapFilter(VersionFilter(owners=("=HYPER*",)), rules=("OWNED",)), {("owned", LONG_NAME)}),
        (GapFilter(VersionFilter(models=("ch?rn",))), {("owned", "churn"), ("coded", "churn")}),
        (GapFilter(VersionFilter(stages=("production",)), rules=("owned",)), {("owned", "credit")}),
        (GapFilter(VersionFilter(risks=("high",)), rules=("owned",)), {("owned", "credit")}),
        (GapFilter(is_waived=True), {("owned", "churn")}),
        (GapFilter(is_waived=False, rules=("owned",)), {("owned", "credit"), ("owned", LONG_NAME)}),
        (GapFilter(min_age_days=18, rules=("owned",)), {("owned", "churn"), ("owned", LONG_NAME)}),
        (GapFilter(min_age_days=17, rules=("owned",), is_waived=False), {("owned", "credit"), ("owned", LONG_NAME)}),
    ],
)
def test_filters_narrow_the_list(
    wanted: GapFilter, rules_and_models: set[tuple[str, str]], tenants: GovernedTenants
) -> None:
    assert {(gap.rule_id, gap.model_name) for gap in listed(tenants, wanted)} == rules_and_models


def test_a_limit_keeps_the_first(tenants: GovernedTenants) -> None:
    with tenants.store.begin("acme") as session:
        assert list(open_gaps(session, TODAY, limit=3)) == listed(tenants)[:3]


@pytest.mark.parametrize("wanted", [GapFilter(frameworks=("GDPRR",)), GapFilter(ai_systems=("Landing",))])
def test_a_misspelled_name_is_refused_with_a_suggestion(wanted: GapFilter, tenants: GovernedTenants) -> None:
    with pytest.raises(UnresolvedNameError, match=r"Did you mean '(GDPR|Lending)'"):
        listed(tenants, wanted)


def test_a_waiver_counts_until_its_last_day(tenants: GovernedTenants) -> None:
    last_moment = datetime.fromisoformat("2100-01-01T00:00Z") - timedelta(microseconds=1)

    waived = [
        keys(listed(tenants, GapFilter(is_waived=True), at=at))
        for at in (day(2) - timedelta(seconds=1), day(2), last_moment, last_moment + timedelta(microseconds=1))
    ]

    assert waived == [[], [("owned", "churn", 1)], [("owned", "churn", 1)], []]


def grouped(tenants: GovernedTenants, by: Grouping, wanted: GapFilter | None = None) -> list[GapGroup]:
    with tenants.store.begin("acme") as session:
        return group_gaps(session, TODAY, by, wanted)


@pytest.mark.parametrize(
    ("by", "counts"),
    [
        (Grouping.SEVERITY, [("critical", 4, 0), ("high", 2, 1), ("low", 2, 0)]),
        (Grouping.RULE, [("coded", 4, 0), ("owned", 2, 1), ("private", 2, 0)]),
        (Grouping.MODEL, [("credit", 5, 0), ("churn", 1, 1), (LONG_NAME, 2, 0)]),
        (Grouping.SYSTEM, [(None, 3, 1), ("Lending", 5, 0)]),
        (Grouping.OWNER, [("Ops Desk", 3, 0), ("Risk Team", 2, 0), (FORMULA, 2, 0), (None, 1, 1)]),
        (Grouping.AGE, [("8_to_30_days", 8, 1)]),
    ],
)
def test_gaps_are_counted_by(by: Grouping, counts: list[tuple[str | None, int, int]], tenants: GovernedTenants) -> None:
    groups = [(group.group, group.open, group.waived) for group in grouped(tenants, by)]

    assert sorted(groups, key=str) == sorted(counts, key=str)


def test_a_group_has_its_severities_its_versions_and_its_oldest_gap(tenants: GovernedTenants) -> None:
    credit = grouped(tenants, Grouping.MODEL)[0]

    assert credit == GapGroup("acme", "credit", 5, 0, 2, 1, 0, 2, 2, day(1))


def test_the_counts_are_those_of_the_list_for_each_filter(tenants: GovernedTenants) -> None:
    for wanted in (None, GapFilter(is_waived=True), GapFilter(is_waived=False), GapFilter(severities=("high",))):
        gaps = listed(tenants, wanted)
        for by in Grouping:
            groups = grouped(tenants, by, wanted)
            assert sum(group.open + group.waived for group in groups) == len(gaps)
            assert sum(group.waived for group in groups) == sum(gap.waiver is not None for gap in gaps)
