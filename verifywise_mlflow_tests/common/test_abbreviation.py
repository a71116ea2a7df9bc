"""Long texts of customers enter the audit trail as their beginning and their hash."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.abbreviation import MAX_CUSTOMER_TEXT, abbreviate
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent

LONG = "a customer's text \ud800 " * 50


def test_a_long_text_becomes_its_beginning_and_its_hash() -> None:
    abbreviated = abbreviate(LONG)

    assert len(abbreviated) <= MAX_CUSTOMER_TEXT
    assert abbreviated.startswith(LONG[:100])
    assert hashlib.sha256(LONG.encode("utf-8", "surrogatepass")).hexdigest() in abbreviated
    assert abbreviate(abbreviated) == abbreviated
    assert abbreviate("churn") == "churn"


def test_the_trail_keeps_neither_a_long_name_nor_a_long_value() -> None:
    event = LifecycleEvent(next(iter(EventKind)), "m", 1, 1, alias=LONG, previous=LONG, value=LONG)
    entry = AuditEntry(
        tenant_id="acme",
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        kind="lifecycle event",
        sync_id="",
        source_uri="https://mlflow.acme.example",
        outcome="noted",
        code_version="1",
        object_name=LONG,
        reason=event.sentence,
    )

    assert LONG not in f"{entry.object_name} {entry.reason}"
    assert "SHA-256" in f"{entry.object_name}"
    assert len(f"{entry.reason}") < 4 * MAX_CUSTOMER_TEXT
