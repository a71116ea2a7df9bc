"""Checks the end state: our data equals the servers' data, each event was recorded once, and each chain is intact."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import text

from benchmarks.soak.fleet import FleetServer
from benchmarks.soak.mutations import Key
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store


@dataclass(frozen=True, slots=True)
class Version:
    """The parts of a version that are compared."""

    description: str | None
    tags: dict[str, str]
    aliases: list[str]


def versions_in_servers(fleet: Sequence[FleetServer]) -> dict[Key, Version]:
    """Return every living version, from the servers' own databases."""
    versions: dict[Key, Version] = {}
    for server in fleet:
        with closing(sqlite3.connect(server.database)) as connection:
            query = "SELECT workspace, name, version, description FROM model_versions WHERE current_stage != ?"
            for tenant, name, version, description in connection.execute(query, ("Deleted_Internal",)):
                if tenant in server.tenants:
                    versions[tenant, name, int(version)] = Version(description or None, {}, [])
            for tenant, name, version, key, value in connection.execute(
                "SELECT workspace, name, version, key, value FROM model_version_tags"
            ):
                if (tenant, name, int(version)) in versions:
                    versions[tenant, name, int(version)].tags[key] = value
            for tenant, name, version, alias in connection.execute(
                "SELECT workspace, name, version, alias FROM registered_model_aliases ORDER BY alias"
            ):
                if (tenant, name, int(version)) in versions:
                    versions[tenant, name, int(version)].aliases.append(alias)
    return versions


def versions_in_store(store: Store) -> list[tuple[Key, Version]]:
    """Return every row of a living version in our database."""
    query = text(
        "SELECT tenant_id, model_name, version_number, description, tags, aliases "
        "FROM verifywise_mlflow.model_versions WHERE deleted_at IS NULL"
    )
    with store.begin_shared() as connection:
        rows = connection.execute(query).all()
    return [
        (
            (row.tenant_id, row.model_name, row.version_number),
            Version(row.description or None, dict(row.tags), sorted(row.aliases)),
        )
        for row in rows
    ]


def find_differences(fleet: Sequence[FleetServer], deleted: Set[Key], syncs: int, store: Store) -> Iterator[str]:
    """Yield a sentence for each object that is lost or duplicated.

    Args:
        fleet: the servers.
        deleted: the versions that were deleted in MLflow.
        syncs: the number of syncs.
        store: our database, opened as its owner.
    """
    server_versions, rows = versions_in_servers(fleet), versions_in_store(store)
    stored_versions = dict(rows)
    yield from _problem_sentence("doubled in our store", _duplicates(key for key, _ in rows))
    yield from _problem_sentence(
        "lost, in a server and not in our store", server_versions.keys() - stored_versions.keys()
    )
    yield from _problem_sentence("in our store, and not in a server", stored_versions.keys() - server_versions.keys())
    if differing := sorted(
        key for key in server_versions.keys() & stored_versions.keys() if server_versions[key] != stored_versions[key]
    ):
        key = differing[0]
        yield (
            f"{len(differing)} versions differ, such as {key}: "
            f"{server_versions[key]} there, {stored_versions[key]} here"
        )
    yield from _records(set(server_versions), store)
    yield from _miscounted_lifecycle_events(set(server_versions), deleted, store)
    yield from _entries(syncs, store)
    for tenant in (tenant for server in fleet for tenant in server.tenants):
        with store.begin(tenant) as session:
            report = verify_chain(tenant, audit_log.links(session), (), is_expected=True)
        if report.damage:
            yield f"{tenant}: {report.damage.sentence}"


def _records(living: Set[Key], store: Store) -> Iterator[str]:
    query = (
        "SELECT tenant_id, model_name, version_number FROM verifywise_mlflow.canonical_records WHERE deleted_at IS NULL"
    )
    with store.begin_shared() as connection:
        records: list[Key] = [(row[0], row[1], row[2]) for row in connection.execute(text(query))]
    yield from _problem_sentence("with two records", _duplicates(records))
    yield from _problem_sentence("without a record", living - set(records))
    yield from _problem_sentence("gone, and the record says that they live", set(records) - living)


def _miscounted_lifecycle_events(living: Set[Key], deleted: Set[Key], store: Store) -> Iterator[str]:
    """Yield the versions whose first appearance or disappearance was not recorded exactly once."""
    query = (
        "SELECT tenant_id, model_name, version_number, kind FROM verifywise_mlflow.lifecycle_events "
        "WHERE version_number IS NOT NULL AND kind IN ('first seen', 'disappeared')"
    )
    with store.begin_shared() as connection:
        event_counts = Counter(((row[0], row[1], row[2]), row[3]) for row in connection.execute(text(query)))
    first_seen, disappeared = (
        {key for key, kind in event_counts if kind == event_kind} for event_kind in ("first seen", "disappeared")
    )
    yield from _problem_sentence(
        "with a duplicate event", {key for (key, _), times in event_counts.items() if times > 1}
    )
    yield from _problem_sentence("without an event 'first seen'", living - first_seen)
    yield from _problem_sentence("deleted without an event 'disappeared'", (deleted & first_seen) - disappeared)
    yield from _problem_sentence("with an event 'disappeared', but not deleted", disappeared - deleted)
    yield from _problem_sentence("seen, and never there", first_seen - living - deleted)


def _entries(syncs: int, store: Store) -> Iterator[str]:
    """Yield the kinds of audit entries whose number differs from the number of events."""
    query = "SELECT entry::jsonb ->> 'kind', count(*) FROM verifywise_mlflow.audit_trail GROUP BY 1"
    with store.begin_shared() as connection:
        kinds = Counter({str(row[0]): int(row[1]) for row in connection.execute(text(query))})
        events = int(connection.scalar(text("SELECT count(*) FROM verifywise_mlflow.lifecycle_events")) or 0)
    for kind, expected in {"sync started": syncs, "sync ended": syncs, "lifecycle event": events}.items():
        if kinds[kind] != expected:
            yield f"the trails have {kinds[kind]:,} entries '{kind}', and {expected:,} were due"


def _duplicates(keys: Iterable[Key]) -> set[Key]:
    return {key for key, times in Counter(keys).items() if times > 1}


def _problem_sentence(problem: str, versions: Set[Key]) -> Iterator[str]:
    if versions:
        examples = ", ".join(f"{tenant} {model} {number}" for tenant, model, number in sorted(versions)[:5])
        yield f"{len(versions):,} versions {problem}: {examples}{' …' if len(versions) > 5 else ''}"
