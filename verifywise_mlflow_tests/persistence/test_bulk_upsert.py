"""Bulk upserts store every value as SQLAlchemy's own inserts do, even if a value contains the separators of cells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Float, delete, event, insert, select

from verifywise_mlflow.persistence import bulk_upsert
from verifywise_mlflow.persistence.bulk_upsert import insert_rows, text_form, upsert_rows
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import lifecycle_events, training_runs
from verifywise_mlflow_tests.persistence.row_factories import HOSTILE

NOW = datetime(2026, 3, 1, 12, 0, 0, 1500, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [HOSTILE, "\x1e", "a\x1eb\x1f", "\x1f", "\\u0000", "\\N", "NULL", "{}", "", "1e+300", "'; --", ":name", "%(name)s"]
)
JSON = st.dictionaries(TEXT, TEXT | st.floats() | st.integers(-(2**70), 2**70) | st.none(), max_size=3)
ROW = st.fixed_dictionaries(
    {
        "user_id": st.none() | TEXT,
        "read_error": st.none() | TEXT,
        "started_at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "metrics": JSON,
        "problems": st.lists(TEXT, max_size=2),
        "retry": st.booleans(),
        "read_for_revision": st.integers(-(2**63), 2**63 - 1),
    }
)
EVERY_ROW = {
    "tenant_id": "acme",
    "params": {},
    "tags": {},
    "datasets": [],
    "logged_model_ids": [],
    "fingerprint": "f",
    "changed_at": NOW,
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.lists(ROW, min_size=1, max_size=4))
def test_any_value_is_stored_as_sqlalchemy_stores_it(store: Store, rows: list[dict[str, object]]) -> None:
    written = [{**row, **EVERY_ROW, "run_id": f"run-{number}"} for number, row in enumerate(rows)]
    stored = select(*(training_runs.c[name] for name in written[0])).order_by(training_runs.c.run_id)

    with store.begin("acme") as session:
        session.execute(delete(training_runs))
        session.execute(insert(training_runs), written)
        expected = session.execute(stored).all()
        session.execute(delete(training_runs))
        upsert_rows(session, training_runs, written)
        inserted = session.execute(stored).all()
        upsert_rows(session, training_runs, written)
        assert session.execute(stored).all() == inserted == expected


def test_an_upsert_replaces_the_row_and_draws_a_new_revision(store: Store) -> None:
    row = {**EVERY_ROW, "run_id": "r1", "metrics": {}, "problems": [], "retry": False, "read_for_revision": 1}
    columns = select(training_runs.c.revision, training_runs.c.user_id, training_runs.c.status)

    with store.begin("acme") as session:
        upsert_rows(session, training_runs, [{**row, "user_id": "ann", "status": "FINISHED"}])
        ((first, *before),) = session.execute(columns)
        upsert_rows(session, training_runs, [{**row, "user_id": "bob"}])
        ((second, *after),) = session.execute(columns)

    assert (before, after) == (["ann", "FINISHED"], ["bob", "FINISHED"])
    assert second > first


def test_a_column_type_without_a_text_form_is_refused() -> None:
    with pytest.raises(TypeError, match="text form is unknown"):
        text_form(Float())


def test_inserted_rows_are_numbered_in_their_order_and_replace_none(store: Store) -> None:
    rows = [{"model_name": name, "value": value} for name in ("b", "a", HOSTILE) for value in (None, "\x1e")]
    common = {"tenant_id": "acme", "incarnation": 1, "kind": "alias", "seen_at": NOW, "sync_id": "s"}

    with store.begin("acme") as session:
        insert_rows(session, lifecycle_events, rows, common)
        insert_rows(session, lifecycle_events, rows, common)
        columns = select(lifecycle_events.c.model_name, lifecycle_events.c.value, lifecycle_events.c.seen_at)
        stored = list(map(tuple, session.execute(columns.order_by(lifecycle_events.c.event_id))))

    assert stored == 2 * [(row["model_name"], row["value"], NOW) for row in rows]


def test_large_rows_are_written_in_several_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_upsert, "MAX_CHARACTERS", 100)
    sizes = (10, 200, 1, 1)
    rows = [{"model_name": f"m{number}", "value": "x" * size} for number, size in enumerate(sizes)]
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))

    with store.begin("acme") as session:
        common = {"tenant_id": "acme", "incarnation": 1, "kind": "alias", "seen_at": NOW, "sync_id": "s"}
        insert_rows(session, lifecycle_events, rows, common)
        columns = select(lifecycle_events.c.model_name, lifecycle_events.c.value)
        stored = list(map(tuple, session.execute(columns.order_by(lifecycle_events.c.event_id))))

    assert stored == [(row["model_name"], row["value"]) for row in rows]
    assert sum("INSERT INTO" in statement for statement in statements) == 3
