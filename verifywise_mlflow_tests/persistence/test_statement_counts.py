"""Bulk writes take few statements, and a sync of a large tenant reads only what is pending."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, event

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.connector.models import ModelVersion, TrainingRun
from verifywise_mlflow.persistence.repositories import manifests, registry, tracked_objects
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, PendingManifest
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.repositories.tracked_objects import RUNS, ReadResult, ReadScope
from verifywise_mlflow.persistence.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@contextmanager
def recorded_statements(connection: Connection) -> Iterator[list[str]]:
    """The statements that we send."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(connection, "after_cursor_execute", note)
    yield statements
    event.remove(connection, "after_cursor_execute", note)


COUNTING = """
    CREATE TABLE public.statements (at timestamptz);
    CREATE FUNCTION public.note_statement() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.statements VALUES (clock_timestamp());
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON verifywise_mlflow.model_versions
    FOR EACH STATEMENT EXECUTE FUNCTION public.note_statement()
"""


def listed_version(number: int, run_id: str | None = None) -> ListedObject[ListedVersion]:
    return ListedObject(ListedVersion(ModelVersion("credit", number, run_id=run_id), []), "f")


def reading(run_id: str, status: str = "FINISHED", revision: int = 10**9) -> ReadResult[TrainingRun]:
    return ReadResult(run_id, revision, TrainingRun(run_id, status=status), "f")


def test_a_thousand_versions_are_written_with_one_statement_per_batch(store: Store) -> None:
    # The database counts: the driver may split a statement that we send into one statement per row.
    with store.begin("acme") as session:
        session.connection.exec_driver_sql(COUNTING)
        registry.write_versions(session, [listed_version(number) for number in range(1_000)], NOW)

        assert session.connection.exec_driver_sql("SELECT count(*) FROM public.statements").scalar_one() == 2
        assert len(registry.stored_versions(session)) == 1_000


def test_unchanged_manifests_are_recorded_as_read_in_one_statement(store: Store) -> None:
    manifest = ArtifactManifest(None, "none", None, (), None, None)
    read_results = [
        ManifestReadResult(
            PendingManifest(("credit", number), None, None, 1, "key"), manifest, "f", retry=False, hashed_at=NOW
        )
        for number in range(20)
    ]
    with store.begin("acme") as session:
        assert manifests.write_manifests(session, read_results, "sync-1", NOW) == read_results

        later = NOW.replace(year=2027)
        with recorded_statements(session.connection) as statements:
            assert manifests.write_manifests(session, read_results, "sync-2", later) == []

        assert len(statements) == 2
        stored_manifests = manifests.stored_manifests(session, [item.pending.key for item in read_results])
        assert {item.read_at for item in stored_manifests.values()} == {later}


def test_the_scope_of_pending_reads_shrinks_to_fit_the_limit(store: Store) -> None:
    with store.begin("acme") as session:
        registry.write_versions(session, [listed_version(number, f"run-{number}") for number in range(6)], NOW)
        stored_runs = [reading("run-0", "RUNNING"), reading("run-1", "RUNNING"), reading("run-2"), reading("run-3")]
        late = [reading("run-4", revision=0)]
        tracked_objects.write_read_results(session, RUNS, stored_runs + late, NOW)

        def pending_run_ids(at_most: int) -> list[str]:
            return [item.object_id for item in tracked_objects.pending_reads_up_to(session, RUNS, at_most)]

        assert pending_run_ids(6) == ["run-0", "run-1", "run-2", "run-3", "run-4", "run-5"]
        assert pending_run_ids(5) == ["run-0", "run-1", "run-4", "run-5"]
        assert pending_run_ids(4) == ["run-0", "run-1", "run-4", "run-5"]
        assert pending_run_ids(3) == ["run-4", "run-5"]
        assert pending_run_ids(0) == ["run-4", "run-5"]


def test_each_scope_includes_the_narrower_ones(store: Store) -> None:
    with store.begin("acme") as session:
        registry.write_versions(session, [listed_version(number, f"run-{number}") for number in range(4)], NOW)
        unreadable = ReadResult("run-3", 10**9, None, "f", read_error="it does not exist")
        tracked_objects.write_read_results(
            session, RUNS, [reading("run-1", "RUNNING"), reading("run-2"), unreadable], NOW
        )

        reads_by_scope = {reach: tracked_objects.pending_reads(session, RUNS, reach) for reach in ReadScope}

    assert {reach: [item.object_id for item in items] for reach, items in reads_by_scope.items()} == {
        ReadScope.CHANGED: ["run-0"],
        ReadScope.PENDING: ["run-0", "run-1"],
        ReadScope.READABLE: ["run-0", "run-1", "run-2"],
        ReadScope.ALL: ["run-0", "run-1", "run-2", "run-3"],
    }
