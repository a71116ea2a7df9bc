"""A small soak runs, and its comparison detects planted differences."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from benchmarks.soak import event_log, memory
from benchmarks.soak.comparison import find_differences
from benchmarks.soak.event_log import RunEvents
from benchmarks.soak.run import SoakResult, run_soak
from benchmarks.soak.size import SoakSize
from verifywise_mlflow.persistence.store import Store

# Less than a minute on an idle machine, ten times that on a busy one.
pytestmark = [pytest.mark.slow(seconds=80), pytest.mark.timeout(1_200)]
SMALL = SoakSize(
    minutes=4, tenants=4, servers=1, sync_interval_minutes=2, changes_per_minute=4, healthy_per_fault=5, processes=2
)

IN_FIRST_MODEL = "tenant_id = 'tenant-0-00' AND model_name = 'model-00000'"
LIVING = (
    f"{IN_FIRST_MODEL} AND version_number = "
    f"(SELECT min(version_number) FROM verifywise_mlflow.model_versions WHERE {IN_FIRST_MODEL})"
)


@pytest.fixture(scope="module")
def soak_result() -> Iterator[SoakResult]:
    messages: list[str] = []
    with run_soak(SMALL, messages.append) as soak_result:
        yield soak_result


@pytest.fixture
def copy(soak_result: SoakResult) -> Iterator[str]:
    """A copy of our database in which tests plant differences. The soak has closed its connections to our database."""
    name = f"copy_{uuid.uuid4().hex}"
    execute(soak_result.postgres.url("postgres"), f"CREATE DATABASE {name} TEMPLATE verifywise_mlflow")
    yield soak_result.postgres.url(name)
    execute(soak_result.postgres.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> int:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)


def test_a_small_soak_goes_through_dagster_and_loses_and_doubles_nothing(soak_result: SoakResult) -> None:
    figures = soak_result.figures()

    assert list(soak_result.problems()) == []
    assert figures.faults
    assert figures.changes.keys() >= {"tag", "new version", "deletion"}
    assert figures.syncs["failed"].count > 0
    assert figures.dagster.runs == sum(kind.count for kind in figures.syncs.values()) == 4 * 2 + 4
    assert figures.dagster_after_deletion.runs == 4
    assert figures.runs_deleted == 8


@pytest.mark.parametrize(
    ("statement", "expected_difference"),
    [
        (
            f"DELETE FROM verifywise_mlflow.model_versions WHERE {LIVING}",
            "1 versions lost, in a server and not in our store: tenant-0-00 model-00000",
        ),
        (
            "ALTER TABLE verifywise_mlflow.model_versions DROP CONSTRAINT model_versions_pkey CASCADE; "
            "INSERT INTO verifywise_mlflow.model_versions "
            f"SELECT * FROM verifywise_mlflow.model_versions WHERE {LIVING}",
            "1 versions doubled in our store: tenant-0-00 model-00000",
        ),
        (
            f"UPDATE verifywise_mlflow.model_versions SET version_number = 1000 WHERE {LIVING}",
            "1 versions in our store, and not in a server: tenant-0-00 model-00000 1000",
        ),
        (
            f'UPDATE verifywise_mlflow.model_versions SET tags = \'{{"owner": "nobody"}}\' WHERE {LIVING}',
            "1 versions differ, such as ('tenant-0-00', 'model-00000'",
        ),
        (
            "ALTER TABLE verifywise_mlflow.canonical_records DISABLE TRIGGER refuse_deletion; "
            f"DELETE FROM verifywise_mlflow.canonical_records WHERE {LIVING}",
            "1 versions without a record: tenant-0-00 model-00000",
        ),
        (
            "ALTER TABLE verifywise_mlflow.lifecycle_events DISABLE TRIGGER refuse_deletion; "
            f"DELETE FROM verifywise_mlflow.lifecycle_events WHERE {LIVING}",
            "1 versions without an event 'first seen': tenant-0-00 model-00000",
        ),
        (
            "INSERT INTO verifywise_mlflow.lifecycle_events (tenant_id, model_name, version_number, incarnation, kind, "
            "seen_at, sync_id) SELECT tenant_id, model_name, version_number, incarnation, kind, seen_at, sync_id "
            f"FROM verifywise_mlflow.lifecycle_events WHERE kind = 'first seen' AND {LIVING}",
            "1 versions with a duplicate event: tenant-0-00 model-00000",
        ),
        (
            "ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER append_only; "
            "DELETE FROM verifywise_mlflow.audit_trail "
            "WHERE entry::jsonb ->> 'kind' = 'sync ended' AND tenant_id = 'tenant-0-00' AND sequence = "
            "(SELECT max(sequence) FROM verifywise_mlflow.audit_trail WHERE tenant_id = 'tenant-0-00')",
            "entries 'sync ended', and",
        ),
    ],
)
def test_the_comparison_at_the_end_notices_what_was_lost_and_what_was_doubled(
    soak_result: SoakResult, copy: str, statement: str, expected_difference: str
) -> None:
    scenario = soak_result.scenario

    assert execute(copy, statement) > 0
    with Store(copy) as store:
        differences = list(find_differences(scenario.fleet, scenario.mutator.deleted, len(scenario.syncs), store))

    assert any(expected_difference in sentence for sentence in differences), differences


def test_a_growing_event_log_exceeds_its_limit() -> None:
    steady_events = [RunEvents(94, 200_000 + noise) for noise in (0, 900, 300, 500, 100, 800, 200, 700, 400)]
    growing = [RunEvents(94, 200_000 + 10_000 * number) for number in range(9)]

    assert event_log.growth(steady_events) is None
    assert event_log.growth(growing) == (
        "a sync that changed nothing left 270 kB in Dagster's event log at the end, and 210 kB at the beginning"
    )
    assert event_log.growth(growing[:8]) is None  # too few to decide


def test_a_growing_process_is_distinguished_from_a_settled_one() -> None:
    settling = [{1: size, 2: 50} for size in (40, 90, 90, 90, 90)]

    assert memory.growth([*settling, {1: 91, 2: 80}]) == {1: 1, 2: 30}
    assert memory.growth(settling[:3]) == {1: 0, 2: 0}  # too short to decide
