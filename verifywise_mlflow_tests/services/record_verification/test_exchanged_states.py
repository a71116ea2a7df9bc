"""After a clock went back, states of an object have equal times. Exchanging two of these states is still noticed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat

import pytest

from verifywise_mlflow.persistence.state_contents import AGENT_COLUMNS, RECORD_COLUMNS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.record_verification.verification import verify_records
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.forging import forge
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows

TABLES: Sequence[tuple[str, str, Sequence[str]]] = [
    ("canonical_records", "canonical_record_history", [*RECORD_COLUMNS]),
    ("agents", "agent_history", [name for name in AGENT_COLUMNS if name != "model_id"]),
]
"""Tables of present rows, each with its history and the columns of its content."""


@pytest.fixture(autouse=True)
def _synced_with_ever_earlier_clocks(registry: Registry, tenant: Tenant, store: Store) -> None:
    client, now = registry.client, datetime.now(UTC)
    registry.version("credit", tags={"owner": "Ada"})
    experiment = client.create_experiment("agents")
    agent = client.create_logged_model(experiment, name="bot", model_type="agent", tags={"owner": "Ada"})
    for days, owner in enumerate(("Ada", "Grace", "Joan")):
        client.set_model_version_tag("credit", "1", "owner", owner)
        client.set_logged_model_tags(agent.model_id, {"owner": owner})
        at = now - timedelta(days=days)
        with Sync(
            tenant, store, SyncOptions(reconcile=True), now=repeat(at).__next__, sync_id=f"sync of {owner}"
        ) as run:
            run.run_all()
    for table, history, _ in TABLES:
        begins = [row["changed_at"] for name in (table, history) for row in rows(store, name)]
        assert (len(begins), len(set(begins))) == (3, 1)
    assert_intact(store)


def damaged_rows(store: Store) -> set[tuple[str, str]]:
    """Return the kind of damage and the table of each row that the verification names."""
    return {(damage.kind, damage.table) for damage in verify_records(store, "acme").damages}


@pytest.mark.parametrize(("table", "history", "columns"), TABLES, ids=[table for table, _, _ in TABLES])
def test_an_exchange_of_the_present_state_is_noticed(
    store: Store, table: str, history: str, columns: Sequence[str]
) -> None:
    def assignments(source: str) -> str:
        return ", ".join(f"{name} = {source}.{name}" for name in (*columns, "sync_id"))

    # Each former row still ends at the time and by the sync with which the next row begins.
    forge(
        store,
        f"""
        WITH newest AS (
            UPDATE {history} SET {assignments("present")}, ended_by_sync_id = {history}.sync_id
            FROM {table} AS present WHERE {history}.sync_id = 'sync of Grace'
        ), oldest AS (
            UPDATE {history} SET ended_by_sync_id = 'sync of Joan' WHERE sync_id = 'sync of Ada'
        )
        UPDATE {table} SET {assignments("former")} FROM {history} AS former WHERE former.sync_id = 'sync of Grace'
        """,
    )

    assert damaged_rows(store) == {("changed", table), ("changed", history)}


@pytest.mark.parametrize("history", [history for _, history, _ in TABLES])
def test_an_exchange_of_two_former_states_is_noticed(store: Store, history: str) -> None:
    forge(
        store,
        f"""
        UPDATE {history} SET revision = -revision,
            ended_by_sync_id = CASE sync_id WHEN 'sync of Ada' THEN 'sync of Joan' ELSE 'sync of Ada' END
        """,
    )

    assert damaged_rows(store) == {("changed", history)}
