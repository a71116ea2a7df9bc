"""An owner of the database forges many rows at once: each row is reported, before the next sync and after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stages.canonical_records import rebuilt_contents
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.services.record_verification import verification
from verifywise_mlflow.services.record_verification.alert_text import damage_sentence
from verifywise_mlflow.services.record_verification.report import RecordReport
from verifywise_mlflow.services.record_verification.verification import Scope, verify_records
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.forging import forge
from verifywise_mlflow_tests.support.intact_records import assert_intact, described
from verifywise_mlflow_tests.support.registry import create_workspace
from verifywise_mlflow_tests.support.seeding import Sizes, model_name, seed
from verifywise_mlflow_tests.support.syncing import sync

MODELS = 12
FORGERIES = """
UPDATE canonical_records SET owner = 'Mallory' WHERE model_name = 'model-00000';
UPDATE canonical_records SET metrics = jsonb_set(metrics::jsonb, '{auc}', '0.99') WHERE model_name = 'model-00001';
UPDATE version_verdicts SET verdicts[array_position(verdicts, 'not evidenced')] = 'pass'
WHERE model_name = 'model-00002';
UPDATE version_verdicts SET reasons = pg_temp.with_cell(reasons, 1, 'All is well.'), verdicts[2] = 'pass'
WHERE model_name = 'model-00003';
UPDATE compliance_badges SET badge = 'evidence complete' WHERE model_name = 'model-00004';
UPDATE waivers SET approver = 'Mallory';
UPDATE lifecycle_events SET kind = 'reappeared' WHERE model_name = 'model-00005' AND version_number IS NOT NULL;
DELETE FROM lifecycle_events WHERE model_name = 'model-00006';
DELETE FROM canonical_records WHERE model_name = 'model-00007';
DELETE FROM version_verdicts WHERE model_name = 'model-00008';
UPDATE version_verdicts SET open_since[array_position(verdicts, 'not evidenced')] = now()
WHERE model_name = 'model-00009';
UPDATE artifact_manifests SET manifest = manifest::jsonb || '{"status": "complete"}' WHERE model_name = 'model-00010';
UPDATE canonical_records SET sync_id = 'forged' WHERE model_name = 'model-00010';
CREATE TEMP TABLE copied AS TABLE canonical_records;
DELETE FROM copied WHERE model_name <> 'model-00011';
UPDATE copied SET model_name = 'ghost';
INSERT INTO canonical_records TABLE copied;
DROP TABLE copied;
"""
EXPECTED = {
    "changed canonical_records model-00000 1 owner",
    "changed canonical_records model-00001 1 metrics",
    "changed compliance_badges model-00004 1 badge",
    "removed canonical_records model-00007 1",
    "changed artifact_manifests model-00010 1 manifest",
    "changed canonical_records model-00010 1 sync_id",
    "added canonical_records ghost 1",
}
"""The reported rows, each with only its table, its key and its fields."""


@dataclass(frozen=True, slots=True)
class ForgedStore:
    """A store whose rows were forged."""

    store: Store
    url: str
    tenant: Tenant
    report: RecordReport


@pytest.fixture(scope="module")
def forged(
    postgres: EmbeddedPostgres, mlflow_uri: str, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForgedStore]:
    with pytest.MonkeyPatch.context() as environment, migrated_database(postgres) as url, Store(url) as store:
        workspace = create_workspace(mlflow_uri, environment)
        seed(mlflow_database, workspace, Sizes(models=MODELS, versions=MODELS, runs=MODELS))
        tenant = Tenant(
            tenant_id="acme",
            tracking_uri=mlflow_uri,
            workspace=workspace,
            allow_private_network=True,
            artifacts=Artifacts(sandbox="best_effort"),
        )
        sync(tenant, store)
        waiver = Waiver(
            rule="owner",
            model=model_name(0),
            approver="Ada",
            reason="Until the team is formed.",
            expires=date.today() + timedelta(days=30),
        )
        with store.begin("acme") as session:
            now = session.scalar(text("SELECT now()"))
        grant_waiver(store, tenant, waiver, now)
        assert_intact(store)
        forge(store, FORGERIES)
        scope = Scope(rebuild=partial(rebuilt_contents, tenant))
        yield ForgedStore(store, url, tenant, verify_records(store, "acme", scope))


def named(report: RecordReport) -> set[str]:
    return {described(damage) for damage in report.damages}


def test_each_forged_row_is_named_by_table_key_and_field(forged: ForgedStore) -> None:
    found = named(forged.report)
    assert found >= EXPECTED
    others = sorted(found - EXPECTED)
    kinds = [" ".join(line.split()[:3]) for line in others]
    assert kinds == [
        "changed lifecycle_events model-00005",
        "changed version_verdicts model-00002",
        "changed version_verdicts model-00003",
        "changed version_verdicts model-00003",
        "changed version_verdicts model-00009",
        "changed waivers waiver",
        "removed lifecycle_events model-00006",
        "removed lifecycle_events model-00006",
        "removed version_verdict_history model-00008",
    ], others
    assert others[0].endswith(" kind")
    fields = sorted(line.split()[-1] for line in others[1:6])
    assert fields == ["approver", "open_since", "reason", "verdict", "verdict"]


def test_what_was_written_is_proved_by_the_logged_hash(forged: ForgedStore) -> None:
    written = {
        (damage.table, damage.model_name, change.name): change.written
        for damage in forged.report.damages
        for change in damage.fields
        if change.is_proved
    }
    assert written["canonical_records", "model-00000", "owner"] == "risk team"
    assert '"auc":0.8' in str(written["canonical_records", "model-00001", "metrics"])
    assert written["version_verdicts", "model-00002", "verdict"] == "not evidenced"
    assert written["waivers", "", "approver"] == "Ada"
    assert written["lifecycle_events", "model-00005", "kind"] == "first seen"


def test_the_verdicts_that_read_a_field_prove_its_value_without_a_rebuild(forged: ForgedStore) -> None:
    report = verify_records(forged.store, "acme", Scope())

    (damage,) = (
        damage for damage in report.damages if described(damage).startswith("changed canonical_records model-00000")
    )
    assert [(change.name, change.written, change.is_proved) for change in damage.fields] == [
        ("owner", "risk team", True)
    ]


def test_the_alert_names_some_rows_and_the_command(forged: ForgedStore) -> None:
    sentence = damage_sentence(forged.report)
    assert sentence
    assert sentence.startswith("16 rows are not as they were written: ")
    assert sentence.endswith("; …. Run verifywise-mlflow audit verify acme --records")


def test_a_sample_is_chosen_by_its_seed_alone_and_says_what_it_leaves_out(forged: ForgedStore) -> None:
    def checked(seed: str) -> set[str]:
        report = verify_records(forged.store, "acme", Scope(sample=4, seed=seed))
        assert report.checked.versions == 4
        assert any("only 4 logged versions were compared" in sentence for sentence in report.not_proved)
        return named(report)

    assert checked("auditor") == checked("auditor")
    assert len({frozenset(checked(seed)) for seed in ("a", "b", "c")}) > 1


def test_a_sample_of_more_versions_than_there_are_says_that_all_were_compared(forged: ForgedStore) -> None:
    report = verify_records(forged.store, "acme", Scope(sample=10_000, seed="auditor"))

    sentence = f"all {report.checked.versions:,} logged versions were compared, but no row of a version that the log"
    assert any(sentence in other for other in report.not_proved)


def test_two_processes_find_what_one_finds(forged: ForgedStore) -> None:
    report = verify_records(forged.store, "acme", Scope(processes=2))
    assert {(damage.kind, damage.table, damage.model_name) for damage in report.damages} == {
        (damage.kind, damage.table, damage.model_name) for damage in forged.report.damages
    }
    assert report.checked == verify_records(forged.store, "acme", Scope(processes=1)).checked


@pytest.mark.parametrize("states", [1, 3])
def test_parts_of_models_are_compared_like_whole_ones(
    forged: ForgedStore, states: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "STATES_PER_BATCH", states)
    report = verify_records(forged.store, "acme", Scope(rebuild=partial(rebuilt_contents, forged.tenant)))
    assert named(report) == named(forged.report)
    assert report.checked == forged.report.checked


def test_the_command_prints_each_row_and_exits_with_1(forged: ForgedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", forged.url)

    result = CliRunner().invoke(app, ["audit", "verify", "acme", "--records"], env={"COLUMNS": "200"})
    document = json.loads(CliRunner().invoke(app, ["audit", "verify", "acme", "--records", "--json"]).stdout)

    assert result.exit_code == 1
    assert "DAMAGED: 16 rows are not as they were written" in result.stdout
    assert "approver: Mallory, written: Ada" in result.stdout
    assert "NOT proved: the verdicts were not derived from their inputs again" in result.stdout
    records = document["records"]
    assert (records["outcome"], records["damage_count"], len(records["damages"])) == ("damaged", 16, 16)


@pytest.mark.parametrize("options", [["--judge"], ["--sample", "3", "--seed", "x"], ["--records", "--sample", "3"]])
def test_options_that_would_have_no_effect_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["audit", "verify", "acme", *options]).exit_code == 2


def test_the_next_sync_launders_nothing(forged: ForgedStore) -> None:
    before = {(damage.kind, damage.model_name, damage.row) for damage in forged.report.damages}

    sync(forged.tenant, forged.store)

    report = verify_records(forged.store, "acme", Scope(rebuild=partial(rebuilt_contents, forged.tenant)))
    after = {(damage.kind, damage.model_name, damage.row) for damage in report.damages}
    # Removed records and verdicts are written again; the former ones stay named.
    assert before - after == set(), sorted(before - after)
