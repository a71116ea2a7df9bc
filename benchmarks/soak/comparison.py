"""What must hold at the end: our data equals the servers', each event was recorded once, each chain is intact."""

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
    """The compared parts of a version."""

    description: str | None
    tags: dict[str, str]
    aliases: list[str]


def versions_in_servers(estates: Sequence[FleetServer]) -> dict[Key, Version]:
    """Return every living version, from the servers' own databases."""
    found: dict[Key, Version] = {}
    for estate in estates:
        with closing(sqlite3.connect(estate.database)) as connection:
            alive = "SELECT workspace, name, version, description FROM model_versions WHERE current_stage != ?"
            for tenant, name, version, description in connection.execute(alive, ("Deleted_Internal",)):
                if tenant in estate.tenants:
                    found[tenant, name, int(version)] = Version(description or None, {}, [])
            for tenant, name, version, key, value in connection.execute(
                "SELECT workspace, name, version, key, value FROM model_version_tags"
            ):
                if (tenant, name, int(version)) in found:
                    found[tenant, name, int(version)].tags[key] = value
            for tenant, name, version, alias in connection.execute(
                "SELECT workspace, name, version, alias FROM registered_model_aliases ORDER BY alias"
            ):
                if (tenant, name, int(version)) in found:
                    found[tenant, name, int(version)].aliases.append(alias)
    return found


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


def find_differences(estates: Sequence[FleetServer], deleted: Set[Key], syncs: int, store: Store) -> Iterator[str]:
    """Yield a sentence for each object that is lost or duplicated.

    Args:
        estates: the servers.
        deleted: the versions that were deleted in MLflow.
        syncs: the number of syncs.
        store: our database, opened as its owner.
    """
    theirs, rows = versions_in_servers(estates), versions_in_store(store)
    ours = dict(rows)
    yield from _named("doubled in our store", _doubled(key for key, _ in rows))
    yield from _named("lost, in a server and not in our store", theirs.keys() - ours.keys())
    yield from _named("in our store, and not in a server", ours.keys() - theirs.keys())
    if differing := sorted(key for key in theirs.keys() & ours.keys() if theirs[key] != ours[key]):
        key = differing[0]
        yield f"{len(differing)} versions differ, such as {key}: {theirs[key]} there, {ours[key]} here"
    yield from _records(set(theirs), store)
    yield from _tellings(set(theirs), deleted, store)
    yield from _entries(syncs, store)
    for tenant in (tenant for estate in estates for tenant in estate.tenants):
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
    yield from _named("with two records", _doubled(records))
    yield from _named("without a record", living - set(records))
    yield from _named("gone, and the record says that they live", set(records) - living)


def _tellings(living: Set[Key], deleted: Set[Key], store: Store) -> Iterator[str]:
    """Yield the versions whose first sight or disappearance was not recorded exactly once."""
    query = (
        "SELECT tenant_id, model_name, version_number, kind FROM verifywise_mlflow.lifecycle_events "
        "WHERE version_number IS NOT NULL AND kind IN ('first seen', 'disappeared')"
    )
    with store.begin_shared() as connection:
        event_counts = Counter(((row[0], row[1], row[2]), row[3]) for row in connection.execute(text(query)))
    seen, gone = ({key for key, kind in event_counts if kind == wanted} for wanted in ("first seen", "disappeared"))
    yield from _named("with a duplicate event", {key for (key, _), times in event_counts.items() if times > 1})
    yield from _named("without an event 'first seen'", living - seen)
    yield from _named("deleted without an event 'disappeared'", (deleted & seen) - gone)
    yield from _named("with an event 'disappeared', but not deleted", gone - deleted)
    yield from _named("seen, and never there", seen - living - deleted)


def _entries(syncs: int, store: Store) -> Iterator[str]:
    """Yield the kinds of audit entries whose number differs from the number of events."""
    query = "SELECT entry::jsonb ->> 'kind', count(*) FROM verifywise_mlflow.audit_trail GROUP BY 1"
    with store.begin_shared() as connection:
        kinds = Counter({str(row[0]): int(row[1]) for row in connection.execute(text(query))})
        events = int(connection.scalar(text("SELECT count(*) FROM verifywise_mlflow.lifecycle_events")) or 0)
    for kind, expected in {"sync started": syncs, "sync ended": syncs, "lifecycle event": events}.items():
        if kinds[kind] != expected:
            yield f"the trails have {kinds[kind]:,} entries '{kind}', and {expected:,} were due"


def _doubled(keys: Iterable[Key]) -> set[Key]:
    return {key for key, times in Counter(keys).items() if times > 1}


def _named(what: str, versions: Set[Key]) -> Iterator[str]:
    if versions:
        shown = ", ".join(f"{tenant} {model} {number}" for tenant, model, number in sorted(versions)[:5])
        yield f"{len(versions):,} versions {what}: {shown}{' …' if len(versions) > 5 else ''}"
