"""What a hostile server costs: memory while a sync reads it, and bytes that are kept afterwards.

The attacks are those of ``benchmarks.hostile``, which measures all of them.
"""

from __future__ import annotations

import pytest

from benchmarks.hostile import ATTACKS, MAX_PEAK_BYTES, Attack, attacking_server, measure
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.syncing import rows, sync

MAX_TRAIL_BYTES = 12_000
"""The size of an unchanged sync's entries: start, end with notes, and five entries for each listing's failures."""

MODEL = {"registered_models": [{"name": "churn"}]}
SMALL_ATTACKS: dict[str, Attack] = {
    "malformed models": Attack(lambda *_: {"registered_models": [{}] * 3_000}),
    "malformed versions": Attack(lambda *_: MODEL, lambda *_: {"model_versions": [{"name": "churn"}] * 20_000}),
    "rows with other contents": Attack(
        lambda *_: MODEL,
        lambda *_: {"model_versions": [{"name": "churn", "version": "1", "source": f"s3://{n}"} for n in range(5_000)]},
    ),
    "names that are too long": Attack(
        lambda *_: {"registered_models": [{"name": f"{n:04}" + "n" * 3_000} for n in range(1_000)]}
    ),
    "unusable tags": Attack(
        lambda *_: {"registered_models": [{"name": "churn", "tags": [{"key": n} for n in range(30_000)]}]}
    ),
    "a long source": Attack(
        lambda *_: MODEL, lambda *_: {"model_versions": [{"name": "churn", "version": "1", "source": "s" * 2_000_000}]}
    ),
}


@pytest.mark.parametrize("name", SMALL_ATTACKS)
def test_an_unchanged_sync_leaves_little_behind_whatever_the_server_says(name: str, store: Store) -> None:
    with attacking_server(SMALL_ATTACKS[name]) as server:
        tenant = Tenant(tenant_id="acme", tracking_uri=server.uri, allow_private_network=True)
        sync(tenant, store)
        before = rows(store, "audit_trail")
        run = sync(tenant, store)

    added = rows(store, "audit_trail")[len(before) :]
    assert sum(len(str(row["entry"])) for row in added) < MAX_TRAIL_BYTES
    notes = [note.text for report in run.reports for note in report.progress.notes]
    assert sum(map(len, notes)) < MAX_TRAIL_BYTES
    assert all(len(str(row["problems"])) < MAX_TRAIL_BYTES for row in rows(store, "registered_models"))
    assert all(
        len(str([row["incomplete"], row["findings"]])) < MAX_TRAIL_BYTES for row in rows(store, "canonical_records")
    )


@pytest.mark.slow(seconds=40)
@pytest.mark.parametrize("name", ["16 MB of wide texts"])
def test_the_memory_of_a_sync_in_dagster_is_bounded_in_the_worst_case(name: str, database_url: str) -> None:
    (cost,) = measure(ATTACKS[name], database_url, ["sync"])

    assert cost.outcome == "success"
    assert cost.peak_bytes < MAX_PEAK_BYTES
