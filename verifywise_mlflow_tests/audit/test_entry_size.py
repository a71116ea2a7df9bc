"""The audit trail is append-only, so the size of an entry is bounded regardless of what people and servers write."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.audit.actor import Actor
from verifywise_mlflow.audit.chain import MAX_ENTRY_BYTES, OversizedEntryError, make_link
from verifywise_mlflow.audit.entry import AuditEntry, shorten_to_bytes
from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.persistence.row_mapping import columns_of

MANY = 1_000_000


def entry_with(**fields: object) -> AuditEntry:
    return AuditEntry(
        tenant_id="acme",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        kind="sync ended",
        sync_id="s1",
        outcome="complete",
        code_version="1",
        **{"source_uri": "https://mlflow", **fields},  # type: ignore[arg-type]  # of any of the tested fields
    )


def length_of(entry: AuditEntry) -> int:
    return len(make_link({**columns_of(entry), "occurred_at": "2026-01-01T00:00:00.000000+00:00"}, None).text)


@pytest.mark.parametrize("character", ["x", "\u00e9", "\U0001f600", "\x00", '"', "\ud800"])
def test_the_longest_texts_of_every_field_fit_one_entry(character: str) -> None:
    text = character * MANY
    counts = {"notes": [text], "registered_models": {"read": 3, "notes": [text] * 9}}

    entry = entry_with(reason=text, object_name=text, source_uri=text, server_version=text, counts=counts)
    actor = columns_of(Actor(os_user=text, database_role=text, dagster_user=text))

    assert length_of(entry) + len(canonical_json(actor)) <= MAX_ENTRY_BYTES
    assert str(entry.reason).endswith("…")
    assert entry.counts == {"notes": None, "registered_models": {"read": 3, "notes": None}, "shortened": True}


def test_the_root_of_the_states_is_never_dropped() -> None:
    states = {"size": 7, "root": "a" * 64, "models": 1, "current": "b" * 64}

    for counts in ({"notes": ["x" * 20_000]}, {"x" * 20_000: 1}):
        assert entry_with(counts={**counts, "states": states}).counts["states"] == states


def test_a_usual_entry_stays_as_it_is() -> None:
    counts = {"registered_models": {"read": 3, "notes": ["a", "b"]}, "requests": 7}

    entry = entry_with(reason="the listing is incomplete", object_name="n" * 256, counts=counts)

    assert (entry.reason, entry.object_name, entry.counts) == ("the listing is incomplete", "n" * 256, counts)


def test_a_name_longer_than_any_of_mlflows_is_identified_by_its_hash() -> None:
    name = "\U0001f600" * 500  # 2,000 bytes of UTF-8

    shortened = str(entry_with(object_name=name).object_name)

    assert shortened.startswith("\U0001f600" * 190)
    assert hashlib.sha256(name.encode()).hexdigest() in shortened
    assert entry_with(object_name=shortened).object_name == shortened


@pytest.mark.parametrize("text", ["", "a", "é" * 90, "a" * 88, "a" * 1_000, "\U0001f600" * 9])
def test_a_shortened_text_fits_and_a_fitting_text_is_kept(text: str) -> None:
    shortened = shorten_to_bytes(text, 200)

    assert len(canonical_json(shortened)) <= 200
    assert shortened == text or len(canonical_json(text)) > 180


def test_the_chain_refuses_a_longer_entry() -> None:
    with pytest.raises(OversizedEntryError, match=r"kind 'sync ended' has 100,\d+ bytes; the trail accepts 65,536"):
        make_link({"kind": "sync ended", "reason": "x" * 100_000}, None)
