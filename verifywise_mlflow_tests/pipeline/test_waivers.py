"""A waiver is shown with a verdict from its grant through its day of expiry, and the audit trail records both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from verifywise_mlflow.audit.actor import Actor
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.locks import lock_tenant
from verifywise_mlflow.persistence.queries import dataframes
from verifywise_mlflow.persistence.queries.gaps import urgent_gaps
from verifywise_mlflow.persistence.repositories import audit_log, lifecycle_events, waivers
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import (
    WaiverCommandError,
    grant_waiver,
    withdraw_waiver,
)
from verifywise_mlflow.services.badges import badge_report
from verifywise_mlflow_tests.pipeline.waived_pilot import (
    LINE,
    WAIVER,
    file_of,
    open_and_waived,
    pilot_tenant,
    waiver_entries,
)
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day
from verifywise_mlflow_tests.support.syncing import rows


def test_a_waived_gap_is_still_a_gap_and_opens_again_by_itself(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    store_record(store, "fraud-2", 1, NOON)
    store_record(store, "churn", 1, NOON)
    tenant = pilot_tenant(waivers=str(file_of(tmp_path, LINE)))

    evaluate(tenant, store, day(1))
    first = verdicts(store)
    evaluate(tenant, store, day(2))

    assert {first[model, 1, "owner"] for model in ("fraud", "fraud-2", "churn")} == {"not evidenced"}
    assert waiver_entries(store) == [("waiver granted", "owner on fraud*")]
    ends = datetime(2026, 3, 4, tzinfo=UTC)
    # Without any sync, and at the exact time.
    assert open_and_waived(store, ends - timedelta(seconds=1)) == (1, 2)
    assert open_and_waived(store, ends) == (3, 0)
    evaluate(tenant, store, day(4))
    evaluate(tenant, store, day(5))
    assert verdicts(store) == first
    assert waiver_entries(store)[1:] == [("waiver expired", "owner on fraud*")]
    (row,) = rows(store, "waivers")
    assert (row["end_reason"], row["ended_at"]) == ("expired", day(4))


def test_removing_a_waiver_from_the_file_withdraws_it_and_leaves_the_history_unchanged(
    store: Store, tmp_path: Path
) -> None:
    store_record(store, "fraud", 1, NOON)
    tenant = pilot_tenant(waivers=str(file_of(tmp_path, LINE)))
    evaluate(tenant, store, day(1))
    file_of(tmp_path)

    evaluate(tenant, store, day(2))

    assert waiver_entries(store) == [("waiver granted", "owner on fraud*"), ("waiver withdrawn", "owner on fraud*")]
    assert [open_and_waived(store, at) for at in (day(1), day(2))] == [(0, 1), (1, 0)]


def test_the_badge_is_the_same_with_a_waiver_and_mentions_it(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    evaluate(pilot_tenant(), store, day(1))
    with store.begin("acme") as session:
        before = badge_report(session, "fraud", 1, day(1))

    evaluate(pilot_tenant(waivers=str(file_of(tmp_path, LINE))), store, day(2))

    with store.begin("acme") as session:
        after, later = (badge_report(session, "fraud", 1, at) for at in (day(2), day(4)))
    assert before is not None
    assert after is not None
    assert later is not None
    assert before.badge == after.badge == later.badge
    assert (before.waived_gaps, after.waived_gaps, later.waived_gaps) == ({}, {"owner": 1}, {})
    assert "(1 waived)" in after.svg()


def test_dataframes_show_a_waiver_next_to_its_gap_as_of_then(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    store_record(store, "churn", 1, NOON)
    evaluate(pilot_tenant(waivers=str(file_of(tmp_path, LINE))), store, day(1))

    earlier_frame, later = (dataframes.verdicts_as_of(store, "acme", at) for at in (day(2), day(4)))

    assert earlier_frame[earlier_frame["waived"].notna()][
        ["model_name", "rule_id", "verdict", "waived"]
    ].values.tolist() == [["fraud", "owner", "not evidenced", WAIVER.sentence]]
    assert later["waived"].isna().all()
    assert dataframes.verdicts(store, "acme")["waived"].isna().all()  # the waiver expired long ago
    assert len(earlier_frame) == len(later) == len(dataframes.verdicts(store, "acme"))


def test_a_waiver_by_command_applies_at_once_and_ends_by_command(store: Store) -> None:
    store_record(store, "fraud", 1, NOON)
    tenant = pilot_tenant()
    evaluate(tenant, store, day(1))

    grant_waiver(store, tenant, WAIVER, day(2))

    assert [open_and_waived(store, at) for at in (day(1), day(2))] == [(1, 0), (0, 1)]
    with pytest.raises(WaiverCommandError, match="already in force"):
        grant_waiver(store, tenant, WAIVER, day(2))
    evaluate(tenant, store, day(2))  # there is no file, so no file withdraws this waiver
    assert open_and_waived(store, day(2)) == (0, 1)
    (row,) = rows(store, "waivers")
    withdraw_waiver(store, tenant, int(str(row["waiver_id"])), day(3))
    assert open_and_waived(store, day(3)) == (1, 0)
    assert [kind for kind, _ in waiver_entries(store)] == ["waiver granted", "waiver withdrawn"]
    number = int(str(row["waiver_id"]))
    with pytest.raises(WaiverCommandError, match=f"'acme' has no waiver {number} in force; in force are: none"):
        withdraw_waiver(store, tenant, number, day(3))
    grant_waiver(store, tenant, WAIVER, day(3))
    with pytest.raises(WaiverCommandError, match=f"has no waiver {number} in force; in force are: {number + 1}"):
        withdraw_waiver(store, tenant, number, day(3))


def test_of_two_concurrent_grants_of_the_same_waiver_one_succeeds_and_one_is_refused(store: Store) -> None:
    tenant = pilot_tenant()
    with ThreadPoolExecutor() as people:
        with store.begin("acme") as blocking:  # blocks both before they commit: the audit trail is written last
            lock_tenant(blocking.connection, "acme", "audit trail")
            grants = [people.submit(grant_waiver, store, tenant, WAIVER, day(2)) for _ in range(2)]
            wait(grants, timeout=2)
        complaints = [str(grant.exception()) for grant in grants if grant.exception()]

    assert complaints == ["the same waiver is already in force"]
    assert len(rows(store, "waivers")) == 1
    assert [kind for kind, _ in waiver_entries(store)] == ["waiver granted"]


def test_expired_waivers_and_waivers_from_the_file_are_refused_by_commands(store: Store, tmp_path: Path) -> None:
    tenant = pilot_tenant(waivers=str(file_of(tmp_path, LINE)))
    evaluate(tenant, store, day(1))
    (row,) = rows(store, "waivers")

    with pytest.raises(WaiverCommandError, match="in the past"):
        grant_waiver(store, tenant, WAIVER, day(4))
    with pytest.raises(WaiverCommandError, match=r"waiver 1 of the tenant 'acme' .*\.yaml: remove it there"):
        withdraw_waiver(store, tenant, int(str(row["waiver_id"])), day(2))


def test_a_waiver_outlives_its_rule_and_covers_it_again_when_it_comes_back(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    own = str(write_policy(tmp_path / "ours.yaml", rule_yaml("ours", "owner != ''")))
    waiver = str(file_of(tmp_path, LINE))
    evaluate(pilot_tenant(waivers=waiver), store, day(1))

    sync = evaluate(pilot_tenant(waivers=waiver, default_policy=False, policies=[own]), store, day(2))

    assert "which no policy of the tenant has" in sync.reports[0].progress.notes[0].text
    assert [row["end_reason"] for row in rows(store, "waivers")] == [None]
    evaluate(pilot_tenant(waivers=waiver), store, day(3))
    assert open_and_waived(store, day(3)) == (0, 1)


def test_a_waiver_by_number_ends_with_its_version_and_the_same_line_does_not_accept_the_successor(
    store: Store, tmp_path: Path
) -> None:
    store_record(store, "fraud", 1, NOON)
    line = LINE.replace("fraud*", "fraud, version: 1")
    path = file_of(tmp_path, line)
    tenant = pilot_tenant(waivers=str(path))
    evaluate(tenant, store, day(1))
    for waiver in ({"version": 1}, {"version": 2}, {"rule": "description"}):
        grant_waiver(store, tenant, WAIVER.model_copy(update=waiver), day(1))
    with store.begin("acme") as session:
        recreated = LifecycleEvent(EventKind.RECREATED, "fraud", 1, 2)
        lifecycle_events.append(session, "sync", [recreated], day(2))

    notes = [[note.text for note in evaluate(tenant, store, day(2)).reports[0].progress.notes] for _ in range(2)]

    end_reasons = [row["end_reason"] for row in rows(store, "waivers", "waiver_id")]
    assert end_reasons == ["superseded", "superseded", None, None]
    assert open_and_waived(store, day(2)) == (1, 0)
    of_command, of_file = notes[0]
    assert of_command.startswith("waiver 2 for owner on fraud* version 1 was withdrawn: the version that it accepted")
    assert of_file.startswith(f"{path}:2: waiver 1 does not apply: the version that it accepted was deleted")
    assert notes[1] == [of_file]
    file_of(tmp_path, line.replace("A pilot until spring", "The new version is a pilot as well"))
    evaluate(tenant, store, day(2))
    assert open_and_waived(store, day(2)) == (0, 1)


@pytest.mark.parametrize(
    "change",
    ["expires_on = '2099-01-01'", "approver = 'Mallory'", "model = '*'", "granted_at = '2020-01-01'"],
)
def test_a_stored_waiver_and_its_end_cannot_be_changed(store: Store, change: str) -> None:
    grant_waiver(store, pilot_tenant(), WAIVER, day(1))
    with store.begin("acme") as session:
        waivers.end_waivers(session, [1], "withdrawn", day(2), "")

    for statement in (change, "ended_at = NULL, end_reason = NULL"):
        with pytest.raises(IntegrityError) as raised, store.begin("acme") as session:
            session.execute(text(f"UPDATE verifywise_mlflow.waivers SET {statement}"))
        assert isinstance(raised.value.orig, psycopg2.errors.IntegrityConstraintViolation)


@pytest.mark.parametrize("model", ["100%", "a_b", "a\\b", "fraud*", "f?", "*", "模型*", "a'b", "[f]*", "*]*", "f[!a]*"])
def test_the_database_and_the_waiver_cover_the_same_verdicts(store: Store, model: str) -> None:
    names = [
        "100%",
        "100x",
        "a_b",
        "axb",
        "a\\b",
        "a/b",
        "fraud",
        "fraud*",
        "fx",
        "f",
        "模型一",
        "a'b",
        "[f]x",
        "f[!a]",
    ]
    for name in names:
        store_record(store, name, 1, NOON)
    evaluate(pilot_tenant(), store, day(1))
    waiver = WAIVER.model_copy(update={"model": model})

    grant_waiver(store, pilot_tenant(), waiver, day(1))

    with store.begin("acme") as session:
        gaps = [urgent.gap for urgent in urgent_gaps(session, day(1), {}) if urgent.gap.rule_id == "owner"]
    assert {gap.model_name for gap in gaps} == {name for name in names if not waiver.covers("owner", name, 1)}


def test_the_trail_names_who_granted_and_withdrew_a_waiver_and_who_ran_the_sync(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    with Store(database_url, dagster_user="ada") as requested_by_ada:
        evaluate(pilot_tenant(waivers=str(file_of(tmp_path, LINE))), requested_by_ada, day(1))
    grant_waiver(store, pilot_tenant(), WAIVER.model_copy(update={"model": "churn"}), day(1))
    withdraw_waiver(store, pilot_tenant(), 2, day(1))
    evaluate(pilot_tenant(waivers=str(file_of(tmp_path, LINE))), store, day(4))

    account = (operating_system_user(), str(store.engine.url.username))
    entries = [
        (row["kind"], row["os_user"] and (row["os_user"], row["database_role"]), row["dagster_user"])
        for row in rows(store, "audit_entries", "sequence")
    ]
    assert [entry for entry in entries if str(entry[0]).startswith("waiver")] == [
        ("waiver granted", account, "ada"),
        ("waiver granted", account, None),
        ("waiver withdrawn", account, None),
        ("waiver expired", None, None),  # nobody started the sync
    ]
    assert {kind for kind, by, _ in entries if by} >= {"sync started", "tenant activated", "policy changed"}
    with store.begin("acme") as session:
        report = verify_chain("acme", audit_log.links(session), (), is_expected=True)
        (_, newest), *_ = audit_log.entries(session, limit=1, kind="waiver withdrawn")
    assert report.damage is None
    assert newest.actor == Actor(*account)
