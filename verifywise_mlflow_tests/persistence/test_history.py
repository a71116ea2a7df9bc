"""Every state of a record, a verdict or a badge can be queried later."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries import dataframes, history
from verifywise_mlflow.persistence.queries.history import Period, Validity
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.record_inputs_factory import inputs
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record, write_verdicts

KEY = ("fraud", 3)


def owners(store: Store) -> list[tuple[str | None, Validity]]:
    with store.begin("acme") as session:
        return [(state.record.owner, state.span) for state in history.record_states_of(session, KEY)]


def owner_as_of(store: Store, at: datetime) -> str | None:
    with store.begin("acme") as session:
        state = history.record_as_of(session, KEY, at)
        return state.record.owner if state else "unknown then"


def change_by_hand(store: Store, statement: str) -> None:
    with store.begin_shared() as connection:
        connection.execute(text(statement))


def test_a_record_can_be_read_as_of_any_time_with_the_syncs_that_wrote_and_ended_it(store: Store) -> None:
    for number, owner in ((1, "ada"), (2, "grace"), (5, "ada")):
        write_record(store, inputs(version_tags={"owner": owner}), day(number))

    moment = timedelta(microseconds=1)
    assert [owner_as_of(store, at) for at in (day(1) - moment, day(1), day(2) - moment, day(2), day(4), day(9))] == [
        "unknown then",
        "ada",
        "ada",
        "grace",
        "grace",
        "ada",
    ]
    assert owners(store) == [
        ("ada", Validity(day(1), "sync of day 1", day(2), "sync of day 2")),
        ("grace", Validity(day(2), "sync of day 2", day(5), "sync of day 5")),
        ("ada", Validity(day(5), "sync of day 5", None, None)),
    ]


def test_a_former_state_has_every_field(store: Store) -> None:
    write_record(
        store, inputs(version_tags={"team": "Ada\x00", "risk": "dunno"}), day(1), metrics={"loss": float("nan")}
    )
    with store.begin("acme") as session:
        (before,) = history.record_states_of(session, KEY)

    write_record(store, inputs(), day(2))

    with store.begin("acme") as session:
        after = history.record_as_of(session, KEY, day(1))
    assert after is not None
    assert repr(after.record) == repr(before.record)  # NaN is not equal to itself
    assert (after.origins, after.incomplete, after.findings) == (before.origins, before.incomplete, before.findings)
    assert after.origins["owner"]["key"] == "team"
    assert after.findings


def test_an_equal_record_adds_no_state(store: Store) -> None:
    added_states = [write_record(store, inputs(version_tags={"owner": "ada"}), day(number)) for number in (1, 2)]

    assert added_states == [1, 0]
    assert len(owners(store)) == 1


def test_a_tombstone_and_a_reappearance_are_states(store: Store) -> None:
    record_inputs = inputs(version_tags={"owner": "ada"})
    for number, deleted_at in ((1, None), (2, day(2)), (3, None)):
        write_record(store, record_inputs, day(number), deleted_at=deleted_at)

    living = [len(dataframes.records_as_of(store, "acme", day(number))) for number in (1, 2, 3)]
    with store.begin("acme") as session:
        tombstones = [state.deleted_at for state in history.record_states_of(session, KEY)]
    assert living == [1, 0, 1]
    assert tombstones == [None, day(2), None]


def test_a_clock_that_went_back_ends_no_state_before_it_began(store: Store) -> None:
    for number, owner in ((1, "ada"), (5, "grace"), (3, "edsger"), (7, "barbara")):
        write_record(store, inputs(version_tags={"owner": owner}), day(number))

    assert [(owner, span.valid_from, span.valid_to) for owner, span in owners(store)] == [
        ("ada", day(1), day(5)),
        ("grace", day(5), day(5)),
        ("edsger", day(5), day(7)),
        ("barbara", day(7), None),
    ]
    assert [owner_as_of(store, day(number)) for number in (4, 5, 7)] == ["ada", "edsger", "barbara"]


def test_a_manual_change_is_a_state_without_a_sync_and_the_next_sync_repairs_it(store: Store) -> None:
    write_record(store, inputs(version_tags={"owner": "ada"}), NOON)
    change_by_hand(store, "UPDATE verifywise_mlflow.canonical_records SET owner = owner")
    change_by_hand(store, "UPDATE verifywise_mlflow.canonical_records SET owner = 'mallory'")

    is_rewritten = write_record(store, inputs(version_tags={"owner": "ada"}), day(1), sync_id="mending")

    assert is_rewritten == 1
    assert [(owner, span.sync_id, span.ended_by_sync_id) for owner, span in owners(store)] == [
        ("ada", "sync of day 1", ""),
        ("mallory", "", "mending"),
        ("ada", "mending", None),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verifywise_mlflow.version_verdicts SET verdicts[1] = 'pass'",
        "DELETE FROM verifywise_mlflow.version_verdicts",
        "UPDATE verifywise_mlflow.compliance_badges SET badge = 'evidence complete'",
        "DELETE FROM verifywise_mlflow.compliance_badges",
    ],
)
def test_manual_changes_and_deletions_are_saved_in_the_history(store: Store, statement: str) -> None:
    write_record(store, inputs(), NOON)
    write_verdicts(store, {"a": Verdict.FAIL}, NOON)

    change_by_hand(store, statement)

    table = statement.split(".")[1].split()[0].replace("version_verdicts", "compliance_results")
    query = f"SELECT sync_id, ended_by_sync_id, valid_to FROM verifywise_mlflow.{table[:-1]}_history"
    with store.begin_shared() as connection:
        (former,) = connection.execute(text(query))
    assert former[:2] == ("sync of day 1", "")
    assert former[2] >= NOON


def test_an_equal_verdict_keeps_its_start_and_its_policy(store: Store) -> None:
    write_record(store, inputs(), day(1))
    write_verdicts(store, {"a": Verdict.PASS, "b": Verdict.PASS}, day(1))

    write_verdicts(store, {"a": Verdict.PASS, "b": Verdict.FAIL}, day(2), policy_version="2")

    with store.begin("acme") as session:
        states = history.verdict_states_of(session, KEY)
    assert [(state.rule_id, state.verdict, state.policy_version, state.span) for state in states] == [
        ("b", "pass", "1", Validity(day(1), "sync of day 1", day(2), "sync of day 2")),
        ("a", "pass", "1", Validity(day(1), "sync of day 1", None, None)),
        ("b", "fail", "2", Validity(day(2), "sync of day 2", None, None)),
    ]


def test_another_reason_is_another_state_of_a_verdict(store: Store) -> None:
    write_record(store, inputs(), day(1))
    write_verdicts(store, {"a": Verdict.PASS}, day(1))

    write_verdicts(store, {"a": Verdict.PASS}, day(2), reason="Otherwise.")

    with store.begin("acme") as session:
        states = history.verdict_states_of(session, KEY)
    assert [state.reason for state in states] == ["Because.", "Otherwise."]


def test_the_verdict_of_a_removed_rule_stays_in_the_history(store: Store) -> None:
    write_record(store, inputs(), day(1))
    write_verdicts(store, {"a": Verdict.PASS, "dropped": Verdict.FAIL}, day(1))

    write_verdicts(store, {"a": Verdict.PASS}, day(2), policy_version="2")

    with store.begin("acme") as session:
        ended_states = [state for state in history.verdict_states_of(session, KEY) if state.span.valid_to]
        now = history.verdicts_as_of(session, KEY, day(2))
    assert [(state.rule_id, state.span) for state in ended_states] == [
        ("dropped", Validity(day(1), "sync of day 1", day(2), "sync of day 2"))
    ]
    assert [state.rule_id for state in now] == ["a"]


def test_only_another_badge_is_a_new_state(store: Store) -> None:
    write_record(store, inputs(), day(1))
    write_verdicts(store, {"a": Verdict.PASS}, day(1))
    write_record(store, inputs(version_tags={"owner": "ada"}), day(2))
    write_verdicts(store, {"a": Verdict.PASS}, day(2), policy_version="2")
    write_verdicts(store, {"a": Verdict.FAIL}, day(3), policy_version="3")

    with store.begin("acme") as session:
        states = history.badge_states_of(session, KEY)
        digest = session.scalar(text("SELECT policy_digest FROM verifywise_mlflow.compliance_badges"))
    assert [(state.badge, state.evaluated_at, state.span) for state in states] == [
        ("evidence complete", day(2), Validity(day(1), "sync of day 1", day(3), "sync of day 3")),
        ("failing", day(3), Validity(day(3), "sync of day 3", None, None)),
    ]
    assert digest == "digest 3"


def test_data_frames_show_past_states(store: Store) -> None:
    write_record(store, inputs(version_tags={"owner": "ada"}), day(1))
    write_verdicts(store, {"a": Verdict.FAIL}, day(1))
    for number, owner in ((2, "grace"), (4, "edsger")):
        write_record(store, inputs(version_tags={"owner": owner}), day(number))
    write_verdicts(store, {"a": Verdict.PASS}, day(4))
    write_record(store, inputs(version_tags={"owner": "theirs"}), day(2), tenant_id="globex")

    assert dataframes.records_as_of(store, "acme", day(2))[["owner", "sync_id"]].values.tolist() == [
        ["grace", "sync of day 2"]
    ]
    assert dataframes.verdicts_as_of(store, "acme", day(3))["verdict"].tolist() == ["fail"]


def test_naive_times_and_reversed_periods_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="has no zone: write datetime"):
        dataframes.records_as_of(store, "acme", datetime(2026, 3, 3))
    with pytest.raises(ValueError, match="has no zone: write datetime"):
        dataframes.lifecycle_events(store, "acme", until=datetime(2026, 3, 3))
    with pytest.raises(ValueError, match="does not come after"):
        Period(day(3), day(3))
