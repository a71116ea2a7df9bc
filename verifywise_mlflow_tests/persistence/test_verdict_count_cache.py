"""Cached counts equal recomputed counts after any sequence of changes by any role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, func, select, text

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.queries import count_buckets
from verifywise_mlflow.persistence.queries.gap_ages import GapCohort, OpenGaps, group_by_age
from verifywise_mlflow.persistence.queries.range_counts import (
    KeyRange,
    RangeCounts,
    Times,
    count_ranges,
    limit_times,
    sum_counts,
    to_time,
)
from verifywise_mlflow.persistence.queries.verdict_count_cache import VerdictCounts, cached_counts, compute_counts
from verifywise_mlflow.persistence.repositories import waivers
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import compliance_count_buckets
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

RULES = ("owned", "lasting")
KEYS = [("fraud", 1), ("fraud", 2), ("chürn ␀ \x00", 1), ("Fraud", 7), ("fraud", 10)]

MANUAL_STATEMENTS = (
    "UPDATE canonical_records SET lifecycle_stage = 'production' WHERE version_number = 1",
    "UPDATE canonical_records SET deleted_at = NULL",
    "UPDATE version_verdicts SET verdicts[array_position(rule_ids, 'owned')] = 'pass'",
    "UPDATE version_verdicts SET verdicts[array_position(rule_ids, 'lasting')] = 'error'",
    "DELETE FROM version_verdicts WHERE tenant_id = 'other';"
    "UPDATE version_verdicts SET tenant_id = 'other' WHERE version_number = 2",
    "UPDATE compliance_badges SET badge = 'gaps'",
    "DELETE FROM version_verdicts WHERE version_number = 1",
    "DELETE FROM compliance_badges",
    "UPDATE canonical_records SET model_name = 'Fraud', version_number = 7 WHERE version_number = 10 "
    "AND NOT EXISTS (SELECT FROM canonical_records WHERE model_name = 'Fraud')",
)


@dataclass
class TenantActions:
    """The tenant acme with actions that change it, and a clock that advances."""

    store: Store
    at: datetime

    def store_verdicts(self, key: tuple[str, int], verdict: Verdict) -> None:
        """Store a version's record, with the same verdict of each rule."""
        version = ModelVersion(*key, tags={"day": self.at.isoformat()})
        write_record(self.store, RecordInputs(version=version, model=RegisteredModel(key[0])), self.at)
        write_verdicts(self.store, dict.fromkeys(RULES, verdict), self.at, key=key)

    def mark_deleted(self, key: tuple[str, int]) -> None:
        """Store that a version was deleted."""
        record_inputs = RecordInputs(version=ModelVersion(*key), model=RegisteredModel(key[0]))
        write_record(self.store, record_inputs, self.at, deleted_at=self.at)

    def waive(self, model: str, days: int) -> None:
        """Accept a rule's gaps for some days."""
        expires = (self.at + timedelta(days=days)).date()
        waiver = Waiver(rule="owned", model=model, approver="Ada", reason="A pilot until spring.", expires=expires)
        with self.store.begin("acme") as session:
            waivers.insert_waivers(session, [waiver], "command", self.at, "sync")

    def withdraw(self) -> None:
        """End all waivers."""
        with self.store.begin("acme") as session:
            ids = [waiver.waiver_id for waiver in waivers.unended_waivers(session)]
            waivers.end_waivers(session, ids, "withdrawn", self.at, "")

    def edit(self, statement: str) -> None:
        """Change rows by SQL, without our code."""
        with self.store.begin_shared() as connection:
            connection.execute(text("SET LOCAL search_path = verifywise_mlflow"))
            connection.execute(text(statement))

    def wait(self, hours: int) -> None:
        """Let time pass, or the clock go back."""
        self.at += timedelta(hours=hours)


ACTIONS: st.SearchStrategy[Callable[[TenantActions], None]] = st.one_of(
    st.builds(lambda k, v: lambda t: t.store_verdicts(k, v), st.sampled_from(KEYS), st.sampled_from([*Verdict])),
    st.builds(lambda k: lambda t: t.mark_deleted(k), st.sampled_from(KEYS)),
    st.builds(lambda m, d: lambda t: t.waive(m, d), st.sampled_from(["f*", "*"]), st.integers(0, 40)),
    st.just(lambda t: t.withdraw()),
    st.builds(lambda s: lambda t: t.edit(s), st.sampled_from(MANUAL_STATEMENTS)),
    st.builds(lambda h: lambda t: t.wait(h), st.sampled_from([-30, 1, 12, 7 * 24, 23 * 24, 60 * 24])),
)


def figures_at(counts: VerdictCounts, at: datetime) -> object:
    """Return the figures as of a time."""
    ages = {rule_id: group_by_age(gap_starts, at) for rule_id, gap_starts in counts.opened.items()}
    worst = {rule_id: list(gaps) for rule_id, gaps in counts.worst.items() if gaps}
    return counts.verdicts, counts.archived, ages, worst, dict(counts.badges)


def cached_and_computed_figures(tenant: TenantActions) -> tuple[object, object]:
    with tenant.store.begin("acme") as session:
        cached_figures = figures_at(cached_counts(session, tenant.at), tenant.at)
        return cached_figures, figures_at(compute_counts(session, tenant.at), tenant.at)


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make buckets so small that a bucket of two versions is divided."""
    monkeypatch.setattr(count_buckets, "VERSIONS_PER_BUCKET", 1)


@pytest.mark.usefixtures("small_buckets")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=12))
def test_after_any_change_the_cached_counts_equal_computed_ones(
    store: Store, actions: list[Callable[[TenantActions], None]]
) -> None:
    tenant = TenantActions(store, day(1))
    erasure.erase(store, "acme", day(1))
    for key in KEYS[:3]:
        tenant.store_verdicts(key, Verdict.FAIL)

    for action in actions:
        action(tenant)
        cached_figures, computed_figures = cached_and_computed_figures(tenant)
        assert cached_figures == computed_figures


def statements(connection: Connection, call: Callable[[], object]) -> list[str]:
    sent_statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent_statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    call()
    event.remove(connection, "before_cursor_execute", note)
    return sent_statements


def reads_verdicts(store: Store, at: datetime) -> bool:
    with store.begin("acme") as session:
        sent_statements = statements(session.connection, lambda: cached_counts(session, at))
    return any("compliance_verdicts" in statement for statement in sent_statements)


def test_a_tenant_without_records_has_counts(store: Store) -> None:
    cached_figures, computed_figures = cached_and_computed_figures(TenantActions(store, day(1)))

    assert cached_figures == computed_figures


def test_unchanged_verdicts_are_counted_once_as_gaps_age(store: Store) -> None:
    tenant = TenantActions(store, day(1))
    tenant.store_verdicts(KEYS[0], Verdict.FAIL)
    tenant.store_verdicts(KEYS[2], Verdict.PASS)

    assert [reads_verdicts(store, at) for at in (day(1), day(1), day(9), day(200))] == [True, False, False, False]

    tenant.store_verdicts(KEYS[2], Verdict.FAIL)
    assert [reads_verdicts(store, at) for at in (day(200), day(200))] == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        """counts || '{"format": "of-another"}' #- '{counts,badges,0}'""",
        "(counts #- '{counts,badges,0}') - 'format'",
        "counts #- '{counts,opened}'",
        "'[]'",
    ],
)
def test_counts_cached_by_another_release_are_ignored(store: Store, other: str) -> None:
    tenant = TenantActions(store, day(1))
    tenant.store_verdicts(KEYS[0], Verdict.FAIL)
    cached_and_computed_figures(tenant)
    tenant.edit(f"UPDATE compliance_counts SET counts = {other}")

    cached_figures, computed_figures = cached_and_computed_figures(tenant)
    assert cached_figures == computed_figures
    assert not reads_verdicts(store, day(1))  # the figures come from the cache


def test_counts_are_not_cached_if_something_changed_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = TenantActions(store, day(1))
    tenant.store_verdicts(KEYS[0], Verdict.FAIL)

    def interrupted(session: TenantSession, ranges: Sequence[KeyRange], at: datetime) -> list[RangeCounts]:
        counts = count_ranges(session, ranges, at)
        tenant.store_verdicts(KEYS[0], Verdict.PASS)  # through another connection
        return counts

    with monkeypatch.context() as patch, store.begin("acme") as session:
        patch.setattr(count_buckets, "count_ranges", interrupted)
        cached_counts(session, day(1))

    cached_figures, computed_figures = cached_and_computed_figures(tenant)
    assert cached_figures == computed_figures


@pytest.mark.usefixtures("small_buckets")
def test_a_bucket_that_changes_while_it_is_divided_is_counted_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = TenantActions(store, day(1))
    for key in KEYS[:2]:
        tenant.store_verdicts(key, Verdict.FAIL)
    divide, new_keys = count_buckets._divide, iter(KEYS[2:])

    def after_a_change(session: TenantSession, basis: str, at: datetime) -> None:
        tenant.store_verdicts(next(new_keys), Verdict.FAIL)  # through another connection, before the lock
        divide(session, basis, at)

    with monkeypatch.context() as patch:
        patch.setattr(count_buckets, "_divide", after_a_change)
        for _ in KEYS[2:]:
            cached_figures, computed_figures = cached_and_computed_figures(tenant)
            assert cached_figures == computed_figures
    with store.begin("acme") as session:
        buckets = session.scalar(select(func.count()).select_from(compliance_count_buckets)) or 0
    assert buckets >= 3


@pytest.mark.usefixtures("small_buckets")
def test_a_change_invalidates_the_bucket_of_its_version_alone(store: Store) -> None:
    tenant = TenantActions(store, day(1))
    for key in KEYS:
        tenant.store_verdicts(key, Verdict.FAIL)
    cached_and_computed_figures(tenant)
    tenant.edit("UPDATE version_verdicts SET verdicts[1] = 'pass' WHERE model_name = 'fraud' AND version_number = 2")

    with store.begin_shared() as connection:
        stale = connection.execute(
            text(
                "SELECT first_model, first_version FROM verifywise_mlflow.compliance_count_buckets "
                "WHERE counted_revision <> revision"
            )
        ).all()
    assert [tuple(row) for row in stale] == [("fraud", 2)]


HOURS = st.integers(0, 24 * 120)
"""The age of a gap."""


@given(ages=st.lists(HOURS, max_size=40), waited=HOURS, limit=st.integers(1, 20), ranges=st.integers(1, 3))
def test_limited_times_give_the_same_ages_while_they_are_valid(
    ages: list[int], waited: int, limit: int, ranges: int
) -> None:
    hour = timedelta(hours=1)
    at = day(1)
    gaps: Times = [(round((at - age * hour).timestamp() * 1e6), 1) for age in ages]
    parts = [RangeCounts(opened={"owned": gaps[start::ranges]}) for start in range(ranges)]
    ends = [limit_times(part, at, limit) for part in parts]
    total = sum_counts(parts)
    ends.append(limit_times(total, at, limit))

    later = at + waited * hour
    assert sum(len(times) for times in total.opened.values()) <= max(limit, 4)
    if all(end is None or later < end for end in ends):
        assert ages_at(total.opened.get("owned", []), later) == ages_at(gaps, later)


def ages_at(times: Times, at: datetime) -> OpenGaps | None:
    return group_by_age([GapCohort(to_time(opened), count) for opened, count in times], at)


def test_a_pipeline_caches_counts_and_a_reader_uses_the_cache(database_url: str, store: Store) -> None:
    TenantActions(store, day(1)).store_verdicts(KEYS[0], Verdict.FAIL)
    with (
        login_role(database_url, new_name("pipeline")) as pipeline,
        login_role(database_url, new_name("reader")) as reader,
    ):
        with store.engine.begin() as connection:
            role_grants.grant(connection, pipeline.name, "pipeline", None, day(1))
            role_grants.grant(connection, reader.name, "reader", "acme", day(1))
        with Store(pipeline.url) as pipeline_store, Store(reader.url) as reader_store:
            has_read_verdicts = [
                reads_verdicts(store_of_role, day(1))
                for store_of_role in (reader_store, reader_store, pipeline_store, pipeline_store, reader_store)
            ]

    assert has_read_verdicts == [True, True, True, False, False]
