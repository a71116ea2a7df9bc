"""A table that has just been filled is analyzed, so that a lookup by key reads only the rows with these keys."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text

from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.row_mapping import fingerprints
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables import model_versions, training_runs
from verifywise_mlflow_tests.persistence import row_factories
from verifywise_mlflow_tests.persistence.query_plans import plan_steps

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MANY = 2_000


def write_versions(session: TenantSession, count: int) -> None:
    versions = [ModelVersion("churn", number, tags={"note": f"words {number} " * 20}) for number in range(count)]
    registry.write_versions(session, [ListedObject(ListedVersion(version, []), "f") for version in versions], NOW)


def test_a_table_is_analyzed_once_it_has_grown_fourfold(store: Store) -> None:
    with store.begin("acme") as session:
        write_versions(session, 10)
        small = analyze_grown_tables(session, [model_versions, training_runs])
        write_versions(session, MANY)
        grown = analyze_grown_tables(session, [model_versions, training_runs])
        again = analyze_grown_tables(session, [model_versions, training_runs])
        rows = session.scalar(
            text("SELECT reltuples FROM pg_class WHERE oid = 'verifywise_mlflow.model_versions'::regclass")
        )

    assert (small, grown, again) == ([], ["model_versions"], [])
    assert rows == MANY


def test_a_lookup_by_key_reads_few_rows_of_a_table_without_statistics(store: Store) -> None:
    with store.begin("acme") as session:
        write_versions(session, MANY)
        keys = [("churn", number) for number in range(0, MANY, 10)]

        steps = plan_steps(session, lambda session: fingerprints(session, model_versions, keys))

    assert sum(step.rows for step in steps if step.table == "model_versions") == len(keys)
    assert {step.index for step in steps} == {"model_versions_pkey"}


def test_the_texts_of_verdicts_and_runs_are_not_analyzed(store: Store) -> None:
    with store.begin_shared() as connection:
        driver_connection = connection.connection.dbapi_connection
        for table in ("version_verdicts", "training_runs"):
            row_factories.insert(driver_connection, table, "acme")
        connection.execute(text("ANALYZE verifywise_mlflow.version_verdicts, verifywise_mlflow.training_runs"))
        query = "SELECT attname FROM pg_stats WHERE tablename IN ('version_verdicts', 'training_runs')"
        analyzed = set(connection.scalars(text(query)).all())

    assert analyzed >= {"model_name", "version_number", "run_id", "revision"}
    assert not analyzed & {"reasons", "values", "fingerprints", "params", "metrics", "tags"}
