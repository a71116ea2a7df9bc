"""A listener's role, which other networks reach, cannot write what fails a sync, and its notifications name nobody."""

from __future__ import annotations

import select
from datetime import UTC, datetime

import psycopg2
import pytest

from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.row_mapping import MAX_NAME_BYTES
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import (
    OTHER_TENANT,
    IsolatedTenants,
    logged_in,
    query,
)
from verifywise_mlflow_tests.support.trail_entries import NOW

OF_NOBODY = "nobody"


def test_a_notification_of_hints_does_not_tell_a_reader_the_tenant(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.reader.url) as reader, Store(isolated.listener.url) as store:
        reader.autocommit = True
        query(reader, f"LISTEN {change_hints.CHANNEL}")
        with store.begin(OTHER_TENANT) as session:
            change_hints.record(session, [HintedObject(ObjectKind.MODEL, "churn", 1)], NOW)
        assert select.select([reader], [], [], 30)[0]
        reader.poll()

        assert [(notice.channel, notice.payload) for notice in reader.notifies] == [(change_hints.CHANNEL, "")]


HINT = {
    "tenant_id": f"'{OF_NOBODY}'",
    "object_kind": "'model'",
    "object_name": "'churn'",
    "version_number": "1",
    "first_received_at": "now()",
    "received_at": "now()",
}
DELIVERY = {
    "tenant_id": f"'{OF_NOBODY}'",
    "delivery_id": "'d'",
    "received_at": "now()",
    "object_names": """'["churn"]'""",
}
STATUS = {
    "tenant_id": f"'{OF_NOBODY}'",
    "last_delivery_at": "now()",
    "last_event_at": "now()",
    "last_missed_at": "NULL",
}
TABLES = {"change_hints": HINT, "webhook_deliveries": DELIVERY, "webhook_status": STATUS}
UNREADABLE_TIMES = ("'10000-01-01'", "'0001-01-01 BC'", "'infinity'", "'-infinity'")

REFUSED = [
    *(
        (table, column, value)
        for table, row in TABLES.items()
        for column in row
        if column.endswith("_at")
        for value in UNREADABLE_TIMES
    ),
    ("change_hints", "object_kind", "'x'"),
    ("change_hints", "object_kind", "''"),
    ("change_hints", "object_name", "repeat('x', 2001)"),
    ("change_hints", "version_number", "-1"),
    ("webhook_deliveries", "delivery_id", "repeat('x', 129)"),
    *(
        ("webhook_deliveries", "object_names", value)
        for value in (
            "'5'",
            "'null'",
            "'{}'",
            """'"churn"'""",
            """'[["churn"]]'""",
            "'[1]'",
            "'[null]'",
            "to_jsonb(ARRAY[repeat('x', 20000)])",
        )
    ),
]


def insertion(table: str, **values: str) -> str:
    row = TABLES[table] | values
    return f"INSERT INTO verifywise_mlflow.{table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"


@pytest.mark.parametrize(("table", "column", "value"), REFUSED)
def test_a_listener_cannot_write_a_value_that_a_sync_cannot_read(
    isolated: IsolatedTenants, table: str, column: str, value: str
) -> None:
    with (
        logged_in(isolated.listener.url, OF_NOBODY) as listener,
        pytest.raises(psycopg2.errors.CheckViolation, match=table),
    ):
        query(listener, insertion(table, **{column: value}))


@pytest.mark.parametrize("table", TABLES)
def test_a_listener_cannot_write_the_name_of_a_tenant_that_is_too_long_to_exist(
    isolated: IsolatedTenants, table: str
) -> None:
    name = "x" * 64
    with logged_in(isolated.listener.url, name) as listener, pytest.raises(psycopg2.errors.CheckViolation, match=table):
        query(listener, insertion(table, tenant_id=f"'{name}'"))


def test_a_pipeline_reads_the_largest_values_that_a_listener_can_write(isolated: IsolatedTenants) -> None:
    last, name = datetime(9000, 1, 1, tzinfo=UTC), "\x01" * MAX_NAME_BYTES
    objects = [HintedObject(kind, name, 2**31 - 1) for kind in ObjectKind]
    with Store(isolated.listener.url) as store, store.begin(OF_NOBODY) as session:
        assert change_hints.is_new_delivery(session, "d" * 128, objects, last)
        change_hints.record(session, objects, last)
        change_hints.record_delivery(session, last, is_event=True)

    with Store(isolated.pipeline.url) as store:
        with store.begin_shared() as connection:
            of_tenants = {hints.tenant_id: hints for hints in change_hints.tenants_with_hints(connection)}
        with store.begin(OF_NOBODY) as session:
            hinted = [hint.object for hint in change_hints.pending(session)]
            reported = change_hints.names_reported_since(session, NOW)
            status = change_hints.status(session)

    assert of_tenants[OF_NOBODY].newest_received_at == last
    assert (hinted, reported, status.last_event_at) == (sorted(objects), {name}, last)
