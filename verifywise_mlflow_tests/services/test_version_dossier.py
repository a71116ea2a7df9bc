"""Dossiers have everything that is known of a version as of a time, alone or in batches, and what cannot be known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import event

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.unknown_facts import MissingBecause
from verifywise_mlflow.services.version_dossier import VersionDossier, dossier, dossiers
from verifywise_mlflow_tests.support.credit_tenant import (
    ARCHIVED,
    CHALLENGER,
    CHAMPION,
    MODEL,
    WAIVED_RULE,
    credit_tenant,
)
from verifywise_mlflow_tests.support.stored_states import day


@pytest.fixture(scope="module")
def credit(postgres: EmbeddedPostgres) -> Iterator[Store]:
    """The store of a bank's tenant."""
    with credit_tenant(postgres) as tenant:
        yield tenant.store


def known(store: Store, number: int, at: datetime | None = None) -> VersionDossier:
    with store.begin("acme") as session:
        found = dossier(session, (MODEL, number), at or day(6))
    assert found is not None
    return found


def test_many_dossiers_equal_those_that_are_loaded_one_by_one(credit: Store) -> None:
    with credit.begin("acme") as session:
        together = list(dossiers(session, at=day(6)))
        alone = [dossier(session, found.key, day(6)) for found in together]

    assert [found.key for found in together] == [
        ("churn", 1),
        *((MODEL, number) for number in (ARCHIVED, CHAMPION, CHALLENGER)),
    ]
    assert repr(alone) == repr(together)  # a metric is NaN, which does not equal itself


def test_the_number_of_queries_does_not_grow_with_the_versions(credit: Store) -> None:
    statements: list[str] = []

    def count(keys: list[Key] | None) -> int:
        statements.clear()
        with credit.begin("acme") as session:
            assert list(dossiers(session, keys, day(6)))
        return len(statements)

    listener = lambda *arguments: statements.append(str(arguments[2]))  # noqa: E731  # it is removed below
    event.listen(credit.engine, "before_cursor_execute", listener)
    one, all_four = count([("churn", 1)]), count(None)
    event.remove(credit.engine, "before_cursor_execute", listener)

    assert all_four == one + 1  # which versions there are


def test_a_dossier_of_a_day_has_what_was_known_then(credit: Store) -> None:
    recorded, judged, changed = (known(credit, CHALLENGER, day(number)) for number in (1, 2, 5))

    assert (recorded.badge, recorded.rules) == (None, ())
    assert judged.badge is not None
    assert judged.record.business_purpose is None
    assert changed.record.business_purpose == "A challenger."
    assert known(credit, CHAMPION, day(5)).waivers == ()
    assert [stored.waiver.rule for stored in known(credit, CHAMPION, day(6)).waivers] == [WAIVED_RULE]
    assert known(credit, CHALLENGER, day(6)).waivers == ()  # the waiver is for the champion
    with credit.begin("acme") as session:
        assert dossier(session, (MODEL, CHALLENGER), datetime.fromisoformat("2026-02-01T00:00:00+00:00")) is None


def test_rules_come_in_the_order_in_which_they_matter(credit: Store) -> None:
    found = known(credit, CHAMPION)
    severities = [judged.rule.severity for judged in found.gaps]
    others = [judged.verdict.verdict for judged in found.rules if not judged.is_gap]

    assert list(found.rules[: len(found.gaps)]) == list(found.gaps)
    assert severities == sorted(severities, key=("critical", "high", "medium", "low").index)
    assert others == sorted(others, key=("not read", "pass", "not applicable").index)
    assert found.gaps
    assert all(judged.rule.title and judged.rule.remedy and judged.clauses for judged in found.gaps)
    assert {judged.open_since for judged in found.gaps} == {day(2)}


def test_a_waiver_covers_its_gap_and_no_other(credit: Store) -> None:
    found = known(credit, CHAMPION)
    gaps = [judged.verdict.rule_id for judged in found.gaps]

    assert WAIVED_RULE in gaps
    assert [judged.verdict.rule_id for judged in found.rules if judged.waiver] == [WAIVED_RULE]
    assert [judged.verdict.rule_id for judged in found.open_gaps] == [rule for rule in gaps if rule != WAIVED_RULE]


def test_an_alias_that_moved_is_an_event_of_both_versions(credit: Store) -> None:
    for number in (ARCHIVED, CHAMPION):
        kinds = [recorded.event.kind for recorded in known(credit, number).moves]
        assert EventKind.ALIAS in kinds
    assert [recorded.event.kind for recorded in known(credit, CHALLENGER).moves] == []


def test_clauses_lead_to_rules_and_their_verdicts(credit: Store) -> None:
    found = known(credit, CHAMPION)
    framework = next(framework for framework in found.frameworks if framework.name == "EU AI Act")
    by_id = {entry.cited.clause.id: entry for entry in found.clauses_of(framework)}

    assert set(by_id) == set(framework.by_id)
    assert by_id["Annex IV(2)(d)"].rules
    assert all(applied.verdict for applied in by_id["Annex IV(2)(d)"].rules)
    assert by_id["Annex IV(2)(e)"].evidence is None or by_id["Annex IV(2)(e)"].rules


def test_what_cannot_be_known_is_a_part_of_it(credit: Store) -> None:
    unknowns = known(credit, CHALLENGER).unknowns
    with credit.begin("acme") as session:
        churn = dossier(session, ("churn", 1), day(6))

    assert churn is not None
    assert churn.unknowns.is_manifest_missing
    missing = {field.field: field.because for field in unknowns.missing_fields}
    assert missing["validator"] is MissingBecause.NOT_RECORDED
    assert "owner" not in missing
    assert {cited.clause.id for cited in unknowns.never_in_mlflow} >= {"Annex IV(8)"}
