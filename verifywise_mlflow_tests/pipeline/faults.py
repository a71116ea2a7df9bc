"""Faults of a server during a whole sync, transient and persistent, and what to compare before and after."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.proxy import (
    FILE_ENDPOINTS,
    LISTING_ENDPOINTS,
    Fault,
    Proxy,
    dripping,
    gzip_bomb,
    huge,
    late,
    reset_before_response,
    reset_within_response,
    saying,
    silent,
    truncated,
)
from verifywise_mlflow_tests.support.syncing import Row, rows

EVERYTHING = SyncOptions(reconcile=True, rehash=True)
SHORT_TIMEOUTS = Limits(
    connect_timeout_seconds=2,
    probe_timeout_seconds=2,
    request_timeout_seconds=2,
    file_timeout_seconds=2,
    max_response_bytes=8 * 1024**2,
)
"""Limits that a test can wait for. A small registry responds within 0.1 s."""
MAX_FAULT_SECONDS = 20.0
"""The maximum duration of a fault: seconds, not minutes. With these limits, most faults take less than a second."""
TENANT_SPECIFIC_COLUMNS = {
    "tenant_id",
    "changed_at",
    "revision",
    "evaluated_at",
    "read_for_revision",
    "sync_id",
    "open_since",
}

METADATA_ENDPOINTS = {
    "/api/3.0/mlflow/server-info",
    "/version",
    "registered-models/search",
    "model-versions/search",
    "experiments/search",
    "runs/search",
    "logged-models/search",
}
"""The endpoints that a whole sync requests, except the endpoints of files."""

MIB, GIB = 1024**2, 1024**3
LOGIN_PAGE = saying(200, "<html><body>Please log in</body></html>", "text/html")

TRANSIENT_FAULTS: dict[str, Fault] = {
    "late": late(0.2),
    "reset before the answer": reset_before_response,
    "reset within the answer": reset_within_response,
    "truncated": truncated,
    "dripping": dripping(0.01),
    "429 at once": saying(429, Retry_After="0"),
    "429 in a second": saying(429, Retry_After="1"),
    "429 without a time": saying(429),
    "503 with a time": saying(503, Retry_After="0"),
    "503 of a gateway": saying(503, "<html>no server is available</html>", "text/html"),
    "502 of a gateway": saying(502, "<html>bad gateway</html>", "text/html"),
}
"""Faults that a retry cures."""


@dataclass(frozen=True, slots=True)
class LastingFault:
    """A persistent fault, and the message that it causes."""

    fault: Fault
    message: str
    """A regular expression."""


LASTING_FAULTS = {
    "silent": LastingFault(silent, "did not respond|no response in time"),
    "reset before the answer": LastingFault(reset_before_response, "did not respond"),
    "reset within the answer": LastingFault(reset_within_response, "broke off"),
    "truncated": LastingFault(truncated, "broke off"),
    "dripping": LastingFault(dripping(0.4), "took longer for a response than the 2 seconds|no response in time"),
    "429": LastingFault(saying(429, Retry_After="1"), "responded with 429"),
    "429 in an hour": LastingFault(saying(429, Retry_After="3600"), "responded with 429"),
    "503": LastingFault(saying(503), "responded with 503"),
    "500": LastingFault(saying(500), "responded with 500"),
    "login page": LastingFault(LOGIN_PAGE, "text/html.*not JSON"),
    "empty": LastingFault(saying(200, ""), "invalid JSON.*empty body"),
    "empty without a type": LastingFault(saying(200, "", None), "no content type, not JSON"),
    "redirect": LastingFault(saying(302, "", None, Location="http://elsewhere.example/login"), "a redirect"),
    "redirect of a POST": LastingFault(saying(307, "", None, Location="http://elsewhere.example/login"), "a redirect"),
    "huge": LastingFault(huge(512 * MIB), "sent more than"),
    "gzip bomb": LastingFault(gzip_bomb(4096 * MIB), "sent more than"),
    # An MLflow before 3.17 returns the same for the probe.
    "not MLflow": LastingFault(saying(404, "<html>not found</html>", "text/html"), "tracking URI|has no workspaces"),
    "forbidden": LastingFault(saying(403, "Permission denied", "text/html"), "responded with 403"),
    "unauthenticated": LastingFault(saying(401, "You are not authenticated", "text/html"), "responded with 401"),
}


def tenant_of_workspace(tenant_id: str, tracking_uri: str, workspace: str) -> Tenant:
    return Tenant(tenant_id=tenant_id, tracking_uri=tracking_uri, workspace=workspace, allow_private_network=True)


@contextmanager
def finishes_within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer, whether it raises or not."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds_taken = time.monotonic() - began
        assert seconds_taken < seconds, f"it took {seconds_taken:.1f} seconds"


def stored_rows(store: Store, tenant_id: str) -> dict[str, list[Row]]:
    """Return the rows of a tenant, without the columns that differ between tenants: ID, times and revisions."""
    orders = {
        "registered_models": "model_name",
        "canonical_records": "model_name, version_number",
        "compliance_results": "model_name, version_number, rule_id",
        "training_runs": "run_id",
        "logged_models": "model_id",
    }
    return {
        table: [
            {name: value for name, value in row.items() if name not in TENANT_SPECIFIC_COLUMNS}
            for row in rows(store, table, order)
            if row["tenant_id"] == tenant_id
        ]
        for table, order in orders.items()
    }


def last_entry(store: Store, tenant_id: str) -> Row:
    """Return the last entry of a sync in the tenant's audit trail."""
    entries = [
        row
        for row in rows(store, "audit_entries", "occurred_at")
        if row["tenant_id"] == tenant_id and row["kind"] == "sync ended"
    ]
    return entries[-1]


def has_requested_everything(proxy: Proxy) -> bool:
    """Return whether all kinds of requests of a sync were sent. The measured routes to files differ between syncs."""
    requested = {exchange.kind.removeprefix("/api/2.0/mlflow/") for exchange in proxy.exchanges}
    return (
        requested >= METADATA_ENDPOINTS
        and any(kind.endswith(LISTING_ENDPOINTS) for kind in requested)
        and any(kind.endswith(FILE_ENDPOINTS) for kind in requested)
    )


def recorded_files(store: Store) -> dict[object, tuple[object, ...]]:
    """Return each version's recorded files and environment, without the columns about the last attempt to read them."""
    return {
        row["model_name"]: (
            [tuple(file[part] for part in ("root", "path", "size", "sha256")) for file in _listed(row)],
            row["runtime_environment"],
            row["evidence_files"],
        )
        for row in rows(store, "canonical_records")
    }


def _listed(row: Row) -> list[dict[str, object]]:
    manifest = row["artifact_manifest"]
    assert isinstance(manifest, dict)
    return list(manifest["files"])


def assert_only_evidence_lost(
    now: Mapping[tuple[object, object], object], before: Mapping[tuple[object, object], object]
) -> None:
    """Check that after a failed reading of files verdicts lack evidence at most, with one gap per version."""
    changed = {key: (before[key], verdict) for key, verdict in now.items() if verdict != before[key]}
    assert now.keys() == before.keys()
    gaps = {rule_id for (_, rule_id), (_, verdict) in changed.items() if verdict != "not read"}
    assert gaps <= {"complete-record"}, changed
    assert {earlier for earlier, _ in changed.values()} <= {"pass", "not evidenced", "not applicable"}, changed


def verdicts_of(store: Store) -> dict[tuple[object, object], object]:
    return {
        (row["model_name"], row["rule_id"]): row["verdict"]
        for row in rows(store, "compliance_results", "model_name, rule_id")
    }


def read_failure_reasons(store: Store) -> list[str]:
    """Return why objects could not be read, from the audit trail."""
    entries = rows(store, "audit_entries", "occurred_at, object_name")
    return [str(row["reason"]) for row in entries if row["kind"] == "object unreadable"]
