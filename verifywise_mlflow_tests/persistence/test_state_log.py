"""The log of states: each write is appended, and a commitment continues from the last commitment without old leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.audit.merkle import root_of
from verifywise_mlflow.audit.state_leaf import State, content_text, hash_of, leaf_text, model_leaf
from verifywise_mlflow.persistence.queries import committed_states, state_rows, trail_commitments
from verifywise_mlflow.persistence.queries.stage_start import StageStart
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def state(model: str, number: int, *, kind: str = "record", sync_id: str = "sync-1", content: str = "aa") -> State:
    return State(kind, model, number, "", NOW, sync_id, content)  # type: ignore[arg-type]  # a kind


def entry(kind: EntryKind = "sync ended", sync_id: str = "sync-1") -> AuditEntry:
    return AuditEntry("acme", NOW, kind, sync_id, "https://mlflow.example.com", "complete", "1")


@pytest.fixture
def session(store: Store) -> Iterator[TenantSession]:
    with store.begin("acme") as session:
        yield session


def forge(session: TenantSession, statement: str) -> None:
    """Change append-only rows with disabled triggers, as the schema's owner can."""
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("state_log", "state_commitments"):
        session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER USER"))
    session.execute(text(statement))


def test_a_commitment_has_the_root_of_the_log_and_that_of_the_current_states(session: TenantSession) -> None:
    written = [
        state("fraud", 1),
        state("fraud", 1, kind="evaluation"),
        state("churn", 1),
        state("fraud", 1, content="bb"),
    ]
    state_log.append(session, written)
    leaves = [hash_of("acme", position, item) for position, item in enumerate(written)]

    committed = append_with_states(session, entry())

    # The second state of the record is the current one; "evaluation" sorts before "record".
    models = [model_leaf("churn", root_of([leaves[2]])), model_leaf("fraud", root_of([leaves[1], leaves[3]]))]
    assert committed.counts["states"] == {
        "size": 4,
        "root": root_of(leaves).hex(),
        "models": 2,
        "current": root_of(models).hex(),
    }


def test_a_sync_that_adds_nothing_commits_nothing(session: TenantSession) -> None:
    state_log.append(session, [state("fraud", 1)])
    append_with_states(session, entry())

    assert "states" not in append_with_states(session, entry(sync_id="sync-2")).counts


def test_a_commitment_continues_from_the_last_one_and_takes_in_no_forgery(session: TenantSession) -> None:
    written = [state("fraud", number) for number in (1, 1, 2)]
    state_log.append(session, written)
    append_with_states(session, entry())
    # This is a former state: a commitment is refused if the newest states are not those of the last one.
    forge(session, "UPDATE verifywise_mlflow.state_log SET leaf_hash = repeat('0', 64) WHERE position = 0")
    added = state("fraud", 4, sync_id="sync-2")
    state_log.append(session, [added])

    committed = append_with_states(session, entry(sync_id="sync-2"))

    genuine = [hash_of("acme", position, item) for position, item in enumerate([*written, added])]
    assert committed.counts["states"]["root"] == root_of(genuine).hex()  # type: ignore[index]  # a mapping


def test_a_stored_root_of_a_model_without_states_makes_no_other_root_stale(session: TenantSession) -> None:
    state_log.append(session, [state("churn", 1), state("fraud", 1)])
    append_with_states(session, entry())
    for name in ("demand", "pricing", "risk"):
        session.execute(text("INSERT INTO verifywise_mlflow.state_models VALUES ('acme', :name, 'aa')"), {"name": name})

    assert trail_commitments.current_states(session, 2).stale == ["demand", "pricing", "risk"]


def test_states_of_an_interrupted_sync_are_committed_in_its_name(session: TenantSession) -> None:
    audit_log.append(session, [entry("sync started", "killed")])
    state_log.append(session, [state("fraud", 1, sync_id="killed"), state("fraud", 2)])

    committed = append_with_states(session, entry())

    assert committed.counts["states"]["syncs"] == ["killed"]  # type: ignore[index]  # a mapping


@pytest.mark.parametrize("kinds", [[], ["sync started", "sync ended"]], ids=["unknown", "ended"])
def test_states_in_the_name_of_a_sync_that_is_not_under_way_are_not_committed(
    session: TenantSession, kinds: list[EntryKind]
) -> None:
    audit_log.append(session, [entry(kind, "forged") for kind in kinds])
    state_log.append(session, [state("fraud", 1, sync_id="forged")])

    refused = append_with_states(session, entry())

    assert refused.outcome == "incomplete"
    assert "the log has states of the sync 'forged', which is not under way" in str(refused.reason)
    assert "states" not in refused.counts


def test_an_interrupted_sync_is_over_a_day_after_a_later_one_has_ended(session: TenantSession) -> None:
    later = [entry("sync started", "later"), entry("sync ended", "later")]
    audit_log.append(session, [entry("sync started", "killed"), *later])
    state_log.append(session, [state("fraud", 1, sync_id="killed")])

    assert "the sync 'killed', which is not under way" in str(append_with_states(session, entry()).reason)


@pytest.mark.parametrize(
    ("sync_id", "kind"), [("sync-1", "waiver granted"), ("sync-1", "configuration"), ("", "record")]
)
def test_a_state_that_no_command_has_committed_is_refused(session: TenantSession, sync_id: str, kind: str) -> None:
    state_log.append(session, [state("", 0, kind=kind, sync_id="")])

    refused = append_with_states(session, entry(sync_id=sync_id))

    assert f"a state of the kind '{kind}' that no command has committed" in str(refused.reason)


@pytest.mark.parametrize(
    ("kind", "entry_kind"), [("waiver granted", "waiver granted"), ("configuration", "tenant changed")]
)
def test_a_command_commits_its_state(session: TenantSession, kind: str, entry_kind: EntryKind) -> None:
    state_log.append(session, [state("", 0, kind=kind, sync_id="")])

    assert "states" in append_with_states(session, entry(entry_kind, sync_id="")).counts


def test_a_command_does_not_commit_what_somebody_else_added_in_the_name_of_a_command(store: Store) -> None:
    with store.begin("acme") as session:
        state_log.append(session, [state("", 0, kind="waiver granted", sync_id="")])
    with store.begin("acme") as session:
        state_log.append(session, [state("", 0, kind="waiver granted", sync_id="")])
        refused = append_with_states(session, entry("waiver granted", sync_id=""))

    assert "a state of the kind 'waiver granted' that no command has committed" in str(refused.reason)
    assert "states" not in refused.counts


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verifywise_mlflow.state_commitments SET frontier = repeat('0', 64)",
        "UPDATE verifywise_mlflow.state_commitments SET frontier = 'zz'",
        "UPDATE verifywise_mlflow.state_commitments SET sequence = 7",
        "DELETE FROM verifywise_mlflow.state_log WHERE position = 1",
    ],
)
def test_a_log_that_is_not_as_the_trail_says_is_not_continued(session: TenantSession, statement: str) -> None:
    state_log.append(session, [state("fraud", 1), state("fraud", 2)])
    append_with_states(session, entry())
    forge(session, statement)

    refused = append_with_states(session, entry(sync_id="sync-2"))

    assert "its states are not committed" in str(refused.reason)
    assert "states" not in refused.counts


def test_removed_commitments_are_noticed_by_the_next_commitment(session: TenantSession) -> None:
    state_log.append(session, [state("fraud", 1)])
    append_with_states(session, entry())
    forge(session, "DELETE FROM verifywise_mlflow.state_commitments")
    state_log.append(session, [state("fraud", 2, sync_id="sync-2")])

    refused = append_with_states(session, entry(sync_id="sync-2"))

    assert "its states are not committed" in str(refused.reason)
    assert "states" not in refused.counts


def test_a_leaf_is_rfc_8785_json_whatever_its_names_hold() -> None:
    hostile = '%s "quoted" \\ \n \x1f \x7f \u2028 é 😀'
    item = State("record", hostile, 3, hostile, NOW, hostile, "aa")

    text = leaf_text(hostile, 7, item)

    assert text == content_text(json.loads(text))
    assert json.loads(text) == {
        "content": "aa",
        "format": "verifywise state 1",
        "kind": "record",
        "model": hostile,
        "object": hostile,
        "position": 7,
        "sync_id": hostile,
        "tenant": hostile,
        "version": 3,
        "written_at": "2026-03-01T00:00:00.000000+00:00",
    }


def start(newest_write: datetime | None) -> StageStart:
    return StageStart(None, None, None, 0, 0, None, None, newest_write, None)


def test_a_stage_writes_no_earlier_than_what_is_stored() -> None:
    later = NOW.replace(microsecond=500)

    assert start(None).time_of_writes(NOW) == NOW
    assert start(NOW).time_of_writes(later) == later
    assert start(later).time_of_writes(NOW) == NOW.replace(microsecond=501)
    assert start(NOW.replace(year=2099)).time_of_writes(NOW) == NOW


@pytest.mark.parametrize(
    "rows",
    [
        lambda session: state_log.states(session),
        lambda session: committed_states.newest_leaves(session, 3),
        lambda session: state_rows.logged_states(session, [VersionRange("fraud")]),
    ],
    ids=["the log", "the newest states", "the states of versions"],
)
def test_the_log_is_read_page_by_page(
    session: TenantSession, rows: Callable[[TenantSession], Iterator[object]]
) -> None:
    state_log.append(
        session, [state("fraud", 1), state("fraud", 1, kind="evaluation"), state("fraud", 1, kind="manifest")]
    )

    reading = rows(session)
    next(reading)

    # A cursor that has returned everything is closed at once.
    assert session.scalar(text("SELECT count(*) FROM pg_cursors")) == 1
    assert len([*reading]) == 2
