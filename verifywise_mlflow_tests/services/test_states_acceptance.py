"""A person commits exactly the states that syncs refuse, and only if the rest of the log equals the commitment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from verifywise_mlflow.audit.chain import MAX_ENTRY_BYTES
from verifywise_mlflow.audit.entry import STATES, AuditEntry, EntryKind
from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.repositories.state_commitments import UncommittableError, append_with_states
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.services import states_acceptance
from verifywise_mlflow.services.record_verification.log_check import check_log
from verifywise_mlflow.services.states_acceptance import NothingRefusedError, accept_states

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REASON = "Ada: written by a test that ran on this database, ticket 123."


def states(sync_id: str, *numbers: int, kind: str = "record") -> list[State]:
    return [State(kind, "fraud", number, "", NOW, sync_id, "aa") for number in numbers]  # type: ignore[arg-type]  # a kind


def entry(kind: EntryKind, sync_id: str) -> AuditEntry:
    return AuditEntry("acme", NOW, kind, sync_id, "https://mlflow.example.com", "complete", "1")


def sync(session: TenantSession, sync_id: str, *numbers: int) -> AuditEntry:
    """Write the rows of a sync that finds new versions; return the entry of its end."""
    audit_log.append(session, [entry("sync started", sync_id)])
    state_log.append(session, states(sync_id, *numbers))
    return append_with_states(session, entry("sync ended", sync_id))


@pytest.fixture
def refused(store: Store) -> Store:
    """A log with four committed states, a forged state, and two states of a sync whose end refused to commit."""
    with store.begin("acme") as session:
        sync(session, "sync-1", 1, 2, 3, 4)
        state_log.append(session, states("forged", 5))
        assert "the sync 'forged', which is not under way" in str(sync(session, "sync-2", 6, 7).reason)
    return store


def accepted_entry(store: Store) -> AuditEntry:
    with store.begin("acme") as session:
        ((_, accepted),) = audit_log.entries(session, limit=1)
    return accepted


def log_damages(store: Store) -> list[str]:
    with store.begin("acme") as session:
        return [f"{damage.kind} {damage.table} {damage.row}".strip() for damage in check_log(session)[0]]


def forge(store: Store, *statements: str) -> None:
    """Change the log as the schema's owner can: without triggers."""
    with store.begin("acme") as session:
        for table in ("state_log", "state_commitments"):
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER USER"))
        for statement in statements:
            session.execute(text(statement.replace("$", "verifywise_mlflow.")))


def test_the_entry_names_the_refused_states_the_person_and_the_reason(refused: Store) -> None:
    assert log_damages(refused) == ["added state_log position 4", "added state_log positions 5 to 6"]

    acceptance = accept_states(refused, "acme", REASON, NOW)

    accepted = accepted_entry(refused)
    assert (accepted.kind, accepted.object_name) == ("states accepted", "positions 4 to 6")
    assert accepted.reason == f"3 states that no sync committed (positions 4 to 6); accepted: {REASON}"
    assert accepted.actor
    assert accepted.counts["accepted"] == {
        "first": 4,
        "last": 6,
        "count": 3,
        "writers": [
            {"sync_id": "forged", "kind": "record", "first": 4, "last": 4, "count": 1},
            {"sync_id": "sync-2", "kind": "record", "first": 5, "last": 6, "count": 2},
        ],
        "more_writers": 0,
    }
    assert accepted.counts[STATES]["accepted"] == [acceptance.accepted.to_json()]  # type: ignore[index]  # a mapping


def test_later_syncs_commit_again_and_repeat_what_was_accepted(refused: Store) -> None:
    accept_states(refused, "acme", REASON, NOW)

    with refused.begin("acme") as session:
        third = sync(session, "sync-3", 8)
        state_log.append(session, states("forged again", 9))
        refused_again = sync(session, "sync-4", 10)
    accept_states(refused, "acme", REASON, NOW)
    with refused.begin("acme") as session:
        fifth = sync(session, "sync-5", 11)

    assert third.outcome == "complete"
    first, second = fifth.counts[STATES]["accepted"]  # type: ignore[index]  # a mapping
    assert third.counts[STATES]["accepted"] == [first]  # type: ignore[index]  # a mapping
    assert refused_again.outcome == "incomplete"
    assert (first["first"], first["last"], second["first"], second["last"]) == (4, 6, 8, 9)
    assert log_damages(refused) == []


def test_states_of_a_sync_under_way_are_committed_in_its_name(refused: Store) -> None:
    with refused.begin("acme") as session:
        audit_log.append(session, [entry("sync started", "under way")])
        state_log.append(session, states("under way", 8))

    accept_states(refused, "acme", REASON, NOW)

    assert accepted_entry(refused).object_name == "positions 4 to 6"
    assert accepted_entry(refused).counts[STATES]["syncs"] == ["under way"]  # type: ignore[index]  # a mapping
    assert log_damages(refused) == []


@pytest.mark.parametrize("sync_id", ["", "sync-2"])
def test_without_refused_states_there_is_nothing_to_accept(store: Store, sync_id: str) -> None:
    with store.begin("acme") as session:
        sync(session, "sync-1", 1)
        if sync_id:
            audit_log.append(session, [entry("sync started", sync_id)])
            state_log.append(session, states(sync_id, 2))

    with pytest.raises(NothingRefusedError, match=f"{1 if sync_id else 0} are not committed yet"):
        accept_states(store, "acme", REASON, NOW)

    assert accepted_entry(store).kind != "states accepted"


@pytest.mark.parametrize("kind", ["record", "waiver granted"])
def test_a_state_in_the_name_of_a_command_is_refused_and_accepted(store: Store, kind: str) -> None:
    with store.begin("acme") as session:
        state_log.append(session, states("", 1, kind=kind))
        assert "that no command has committed" in str(append_with_states(session, entry("sync ended", "s")).reason)

    assert accept_states(store, "acme", REASON, NOW).count == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE $state_commitments SET frontier = repeat('0', 64)",
        "UPDATE $state_commitments SET sequence = 1",
        "DELETE FROM $state_commitments",
    ],
)
def test_damaged_commitments_are_continued_from_the_leaves_if_these_are_as_committed(
    refused: Store, statement: str
) -> None:
    forge(refused, statement)

    accept_states(refused, "acme", REASON, NOW)

    with refused.begin("acme") as session:
        assert sync(session, "sync-3", 8).outcome == "complete"
    assert "changed state_commitments positions 0 to 3" in log_damages(refused)


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (["DELETE FROM $state_log WHERE position = 5"], "the log has gaps"),
        (["DELETE FROM $state_log WHERE position > 2"], "the log has 3 states, but entry 2 commits 4"),
        (
            ["UPDATE $state_log SET leaf_hash = repeat('0', 64) WHERE position = 0", "DELETE FROM $state_commitments"],
            "the log is not what entry 2 of the trail commits",
        ),
        (
            ["INSERT INTO $state_commitments VALUES ('acme', 900, 1, '')"],
            "the database continues from 900 states, which no entry of the trail commits",
        ),
    ],
)
def test_what_is_committed_is_never_replaced(refused: Store, statements: list[str], problem: str) -> None:
    forge(refused, *statements)

    with pytest.raises(UncommittableError, match=problem):
        accept_states(refused, "acme", REASON, NOW)

    assert accepted_entry(refused).kind == "sync ended"


def test_an_acceptance_waits_for_the_stage_of_a_sync(refused: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_acceptance, "WAIT_SECONDS", 0.0)

    with refused.exclusive("acme"), pytest.raises(TenantBusyError, match="wait for it"):
        accept_states(refused, "acme", REASON, NOW)

    assert accept_states(refused, "acme", REASON, NOW).count == 3


def test_an_entry_stays_short_whatever_the_states_claim(refused: Store) -> None:
    with refused.begin("acme") as session:
        for number in range(60):
            state_log.append(session, states(f"{number} \x1b[2J\u202e{'x' * 5_000}", 100 + number))

    accept_states(refused, "acme", "\U0001f600" * 9_000, NOW)

    accepted = accepted_entry(refused)
    assert accepted.counts["accepted"]["more_writers"] == 42  # type: ignore[index]  # a mapping
    with refused.begin("acme") as session:
        assert len(audit_log.head(session).text) < MAX_ENTRY_BYTES  # type: ignore[union-attr]  # it is there
