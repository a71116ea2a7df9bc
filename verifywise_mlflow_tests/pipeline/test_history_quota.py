"""The daily quota of history: changes beyond it are held back to the next day, shown, and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.queries.stage_start import stage_start
from verifywise_mlflow.persistence.repositories import history_usage, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.history_budget import EVENT_BYTES, HistoryBudget
from verifywise_mlflow.pipeline.recording import admit_changes
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import History, Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.syncing import record, rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stored(name: str) -> StoredObject:
    return StoredObject(fingerprint=name, is_deleted=False, created_at=None, incarnation=1)


def test_known_objects_with_events_are_held_back_beyond_the_quota() -> None:
    history = HistoryBudget(quota=2 * EVENT_BYTES, day=date(2026, 3, 1), used=0)
    changes = [
        *(ListedObject(name, name, stored=stored(name)) for name in ("a", "b", "c")),
        ListedObject("new", "new"),
        ListedObject("no event", "no event", stored=stored("no event")),
    ]

    admitted = admit_changes(history, changes, lambda change: [] if change.entity == "no event" else [object()])  # type: ignore[list-item]  # only counted

    assert [change.entity for change in admitted] == ["a", "b", "new", "no event"]
    assert (history.held_back, history.is_spent) == (1, True)
    assert "1 changes are held back until the day after 2026-03-01, UTC" in str(history.sentence)


def test_the_bytes_of_another_day_do_not_count(store: Store) -> None:
    day, next_day = date(2026, 3, 1), date(2026, 3, 2)
    with store.begin("acme") as session:
        tenancy.activate(session, "http://mlflow.invalid", None, NOON)

        def used(on: date) -> tuple[int, int]:
            start = stage_start(session, Stage.REGISTERED_MODELS, on)
            return start.history_bytes, start.held_back

        assert used(day) == (0, 0)
        history_usage.add(session, day, 100, held_back=0, now=NOON)
        history_usage.add(session, day, 50, held_back=3, now=NOON)
        assert used(day) == (150, 3)

        history_usage.add(session, next_day, 7, held_back=0, now=NOON)
        assert used(day) == (0, 0)
        assert used(next_day) == (7, 0)


@pytest.fixture
def changing_server() -> Iterator[HostileServer]:
    """A server whose only version has a new description, stage and owner at every sync."""
    searches = 0

    def respond(_server: HostileServer, request: ReceivedRequest) -> bytes:
        nonlocal searches
        if "is_prompt" in request.target:
            return json_response({})
        if "registered-models/search" in request.target:
            return json_response({"registered_models": [{"name": "churn"}]})
        if "model-versions/search" not in request.target:
            return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)
        searches += 1
        version = {"name": "churn", "version": "1", "description": f"text {searches} " + "d" * 5_000}
        later = [{"name": "churn", "version": "2"}] if searches > 4 else []
        return json_response({"model_versions": [version, *later]})

    with hostile_server(respond) as server:
        yield server


def sync_at(tenant: Tenant, store: Store, now: datetime) -> Sync:
    with Sync(tenant, store, now=lambda: now) as run:
        run.run_all()
    return run


def test_changes_beyond_the_quota_are_stored_on_the_next_day(changing_server: HostileServer, store: Store) -> None:
    tenant = Tenant(
        tenant_id="acme",
        tracking_uri=changing_server.uri,
        allow_private_network=True,
        history=History(max_bytes_per_day=20_000),
    )

    for hour in range(5):
        last = sync_at(tenant, store, NOON + timedelta(hours=hour))

    held_back_at = str(record(store, "churn")["description"])[:6]
    assert held_back_at in ("text 2", "text 3"), "one change fits the quota, and the one that reaches it"
    assert record(store, "churn", 2), "a new version is never held back"
    (note,) = [note.text for report in last.reports for note in report.progress.notes if "quota" in note.text]
    assert note.startswith("1 changes are held back until the day after 2026-03-01, UTC")
    (usage,) = rows(store, "history_usage")
    assert usage["held_back"] == 1
    entry = next(row for row in reversed(rows(store, "audit_entries")) if row["kind"] == "sync ended")
    assert entry["outcome"] == "incomplete"

    sync_at(tenant, store, NOON + timedelta(days=1))

    assert str(record(store, "churn")["description"]).startswith("text 6"), "the present state"
    former = [str(row["description"])[:6] for row in rows(store, "canonical_record_history", "changed_at")]
    assert former == [f"text {number}" for number in range(1, len(former) + 1)], "each state that was shown is kept"
    (usage,) = rows(store, "history_usage")
    assert usage["held_back"] == 0
