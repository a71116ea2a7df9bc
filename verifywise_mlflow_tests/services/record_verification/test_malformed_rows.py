"""If an owner of the database writes any text into a row, the verification reports the row and never stops."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.services.record_verification.verification import Scope, verify_records
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.forging import forge
from verifywise_mlflow_tests.support.intact_records import assert_intact, described
from verifywise_mlflow_tests.support.registry import create_workspace
from verifywise_mlflow_tests.support.seeding import Sizes, seed
from verifywise_mlflow_tests.support.syncing import sync

FORGERIES = [
    (
        "UPDATE version_verdicts SET values = pg_temp.with_cell(values, 1, 'x') WHERE model_name = 'model-00000'",
        "changed version_verdicts model-00000 1 artifact-integrity",
    ),
    (
        """
        UPDATE version_verdicts SET thresholds = pg_temp.with_cell(thresholds, 1, '{')
        WHERE model_name = 'model-00001'
        """,
        "changed version_verdicts model-00001 1 artifact-integrity",
    ),
    (
        "UPDATE version_verdicts SET days = pg_temp.with_cell(days, 1, '12000-01-01') WHERE model_name = 'model-00002'",
        "changed version_verdicts model-00002 1 artifact-integrity",
    ),
    (
        "UPDATE canonical_records SET findings = '7' WHERE model_name = 'model-00003'",
        "changed canonical_records model-00003 1",
    ),
    ("UPDATE state_models SET root = 'zz' WHERE model_name = 'model-00004'", "changed state_models model-00004"),
    (
        "UPDATE state_log SET leaf_hash = 'zz' WHERE model_name = 'model-00005' AND kind = 'record'",
        "changed state_log model-00005 1",
    ),
    (
        """
        UPDATE audit_trail SET entry = replace(entry, '"occurred_at":"', '"occurred_at":"x')
        WHERE kind = 'waiver granted';
        UPDATE waivers SET approver = 'Mallory'
        """,
        "changed waivers waiver",
    ),
    (
        "UPDATE config_versions SET document = '7' WHERE kind = 'policy'",
        "changed config_versions configuration",
    ),
]
TRAIL_FORGERIES = [
    ('"size":', '"syncs":7,"size":'),
    ('"size":', '"size":1e999,"former":'),
    ('"kind":', '"former":'),
]


@pytest.fixture(scope="module")
def store(
    postgres: EmbeddedPostgres, mlflow_uri: str, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as environment, migrated_database(postgres) as url, Store(url) as store:
        workspace = create_workspace(mlflow_uri, environment)
        seed(mlflow_database, workspace, Sizes(models=6, versions=6, runs=6))
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
            model="model-00000",
            approver="Ada",
            reason="Until the team is formed.",
            expires=date.today() + timedelta(days=30),
        )
        with store.begin("acme") as session:
            now = session.scalar(text("SELECT now()"))
        grant_waiver(store, tenant, waiver, now)
        assert_intact(store)
        yield store


@pytest.mark.parametrize(("statement", "damage"), FORGERIES)
def test_a_malformed_row_is_named(store: Store, statement: str, damage: str) -> None:
    forge(store, statement)

    for judges_all in (False, True):
        report = verify_records(store, "acme", Scope(judges_all=judges_all))
        assert any(described(found).startswith(damage) for found in report.damages), damage


@pytest.mark.parametrize(("part", "malformed"), TRAIL_FORGERIES)
def test_a_commitment_of_another_form_commits_nothing(store: Store, part: str, malformed: str) -> None:
    def replace(old: str, new: str) -> None:
        forge(store, f"UPDATE audit_trail SET entry = replace(entry, '{old}', '{new}')")

    assert verify_records(store, "acme").last_commitment is not None
    replace(part, malformed)
    try:
        assert verify_records(store, "acme").last_commitment is None
    finally:
        replace(malformed, part)
