"""Models are grouped into AI systems by tags and declarations. If a tag and a declaration disagree, both are shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.queries.gaps import urgent_gaps
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import (
    AiSystem,
    AiSystems,
    ai_systems,
    declaration_history,
    declarations,
    system_names,
)
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.declared_systems import LENDING, seed_bank, tenant_declaring, write_ai_systems
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, one_rule_compliance, store_record
from verifywise_mlflow_tests.support.stored_states import day
from verifywise_mlflow_tests.support.syncing import rows


@pytest.fixture(scope="module")
def bank(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store of a bank that declares one system. No test changes it."""
    path = write_ai_systems(tmp_path_factory.mktemp("bank") / "ai_systems.yaml", LENDING)
    with migrated_database(postgres) as url, Store(url) as store:
        seed_bank(store, tenant_declaring(path))
        yield store


@pytest.fixture(scope="module")
def systems(bank: Store) -> AiSystems:
    with bank.begin("acme") as session:
        return ai_systems(session, day(2))


def named(systems: AiSystems, name: str) -> AiSystem:
    system = systems.named(name)
    assert system is not None
    return system


def test_a_declaration_or_a_tag_assigns_a_model_and_a_long_text_does_not(bank: Store, systems: AiSystems) -> None:
    with bank.begin("acme") as session:
        names = system_names(session)

    assert names == {
        "churn": "Retention offers",  # the tag use_case
        "credit-scoring": "Consumer lending",
        "fraud": "Consumer lending",
        "offers": "Retention offers",  # another spelling of the same name
    }
    assert systems.models_without_system == ("notes", "orphan")
    assert [system.name for system in systems.systems] == ["Consumer lending", "Retention offers"]


def test_a_system_sums_up_its_models(bank: Store, systems: AiSystems) -> None:
    lending = named(systems, "consumer LENDING")

    in_use = {(model.model_name, version.version_number) for model in lending.models for version in model.in_use}
    assert in_use == {("credit-scoring", 2), ("credit-scoring", 3), ("fraud", 1)}
    assert lending.badge is Badge.FAILING or lending.badge is Badge.GAPS
    with bank.begin("acme") as session:
        gaps = [urgent.gap for urgent in urgent_gaps(session, day(2), {})]
    assert sum(lending.gaps.values()) == sum(gap.model_name in {"credit-scoring", "fraud"} for gap in gaps) > 0


def test_contradictions_are_shown_and_archived_versions_cause_none(systems: AiSystems) -> None:
    lending = named(systems, "Consumer lending")

    assert [contradiction.sentence for contradiction in lending.contradictions] == [
        "the risk category is declared as high; in MLflow, it is limited for version 3 of credit-scoring",
        "the declaration assigns fraud to Consumer lending; the tags of version 1 name Payments",
    ]
    assert lending.patterns_without_model == ("gone-model",)
    assert lending.shown_risk_categories == {"high": 2, "limited": 1}  # the values from MLflow stay unchanged


def test_a_name_from_a_tag_is_escaped_in_a_contradiction(store: Store) -> None:
    store_record(store, "fraud", 1, day(1), ai_system="Payments")
    store_record(store, "fraud", 2, day(1), ai_system="Len\u202eding")

    with store.begin("acme") as session:
        found = ai_systems(session, day(2))

    assert [contradiction.sentence for system in found.systems for contradiction in system.contradictions] == [
        r"the version that counts assigns fraud to Len\u202eding; the tags of version 1 name Payments"
    ]


def test_a_review_is_overdue_after_its_day(systems: AiSystems) -> None:
    lending = named(systems, "Consumer lending")

    assert not lending.is_review_overdue(date(2026, 2, 15))
    assert lending.is_review_overdue(date(2026, 2, 16))
    assert not named(systems, "Retention offers").is_review_overdue(date(2036, 1, 1))


def test_each_change_of_the_file_is_kept_with_an_audit_entry(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "ai_systems.yaml"
    cheap = one_rule_compliance(tmp_path).model_dump(mode="json", include={"default_policy", "policies"})
    tenant = tenant_declaring(path, **cheap)
    changed = LENDING.replace("category: high", "category: limited").replace("M. Okafor", "V. Osei")

    write_ai_systems(path, LENDING)
    evaluate(tenant, store, day(1))
    evaluate(tenant, store, day(2))  # unchanged
    write_ai_systems(path, changed)
    evaluate(tenant, store, day(3))
    write_ai_systems(path)
    evaluate(tenant, store, day(4))

    with store.begin("acme") as session:
        history = declaration_history(session, "Consumer lending")
        on_day_two = declarations(session, day(2))
        now = declarations(session)
    authors = [(recorded.recorded_at, recorded.declared and recorded.declared.declared_by) for recorded in history]
    assert authors == [(day(1), "M. Okafor"), (day(3), "V. Osei"), (day(4), None)]
    assert [system.risk and system.risk.category for system in on_day_two.systems] == ["high"]
    assert now.systems == ()
    entries = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "ai systems changed"]
    assert entries[0]["reason"] == "the first recorded declaration of AI systems"
    changes = entries[1]["counts"]["changed"]  # type: ignore[index]  # JSON
    assert changes["systems.Consumer lending.risk.category"] == {"previous": "high", "new": "limited"}
    assert all(entry["os_user"] for entry in entries)
    assert len(entries) == 3


def test_an_unusable_file_is_a_warning_and_what_was_declared_stays(store: Store, tmp_path: Path) -> None:
    path = write_ai_systems(tmp_path / "ai_systems.yaml", LENDING)
    cheap = one_rule_compliance(tmp_path).model_dump(mode="json", include={"default_policy", "policies"})
    tenant = tenant_declaring(path, **cheap)
    evaluate(tenant, store, day(1))
    path.write_text("ai_systems:\n  - {name: Consumer lending, risk: {category: huge}}\n")

    sync = evaluate(tenant, store, day(2))

    (report,) = sync.reports
    (note,) = report.progress.notes
    assert note.text.startswith(f"the declared AI systems were not updated: {path}:2: system 'Consumer lending': risk")
    with store.begin("acme") as session:
        assert [system.name for system in declarations(session).systems] == ["Consumer lending"]


def test_a_tenant_that_declares_nothing_has_no_entry(store: Store, tmp_path: Path) -> None:
    cheap = one_rule_compliance(tmp_path).model_dump(mode="json", include={"default_policy", "policies"})

    evaluate(tenant_declaring(write_ai_systems(tmp_path / "none.yaml"), **cheap), store, day(1))

    assert all(row["kind"] != "ai systems changed" for row in rows(store, "audit_entries", "sequence"))
