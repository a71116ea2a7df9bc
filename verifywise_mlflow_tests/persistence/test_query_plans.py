"""Frequent queries use indexes for every role: the rows that they read do not grow with the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import role_grants, row_mapping
from verifywise_mlflow.persistence.queries import gaps, stage_queries, verdict_count_cache, verdict_counts
from verifywise_mlflow.persistence.queries.count_buckets import VERSIONS_PER_BUCKET
from verifywise_mlflow.persistence.repositories import (
    audit_log,
    integrity,
    lifecycle_events,
    manifests,
    records,
    registry,
    renamed_versions,
    stage_watermarks,
    tracked_objects,
    verdicts,
)
from verifywise_mlflow.persistence.repositories.manifests import RehashBefore
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS, ReadScope
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records
from verifywise_mlflow_tests.persistence.large_tenants import (
    LOCATION,
    MAPPING,
    MODEL,
    NOW,
    NUMBER,
    POLICY,
    SETTINGS,
    TENANTS,
    VERSIONS,
    fill,
)
from verifywise_mlflow_tests.persistence.query_plans import plan_steps
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.login_roles import login_role, new_name

Question = Callable[[TenantSession], object]
KEY = (MODEL, NUMBER)
LONG_AGO = NOW - timedelta(days=400)


@pytest.fixture(scope="module")
def stores(postgres: EmbeddedPostgres) -> Iterator[Mapping[str, Store]]:
    """Stores with the full tenants, for the owner and for the two kinds of roles."""
    with migrated_database(postgres) as owner, Store(owner) as store:
        with store.engine.begin() as connection:
            fill(connection)
        with (
            login_role(owner, new_name("pipeline")) as pipeline,
            login_role(owner, new_name("reader")) as reader,
        ):
            with store.engine.begin() as connection:
                role_grants.grant(connection, pipeline.name, "pipeline", None, NOW)
                role_grants.grant(connection, reader.name, "reader", "acme", NOW)
            with Store(pipeline.url) as pipeline_store, Store(reader.url) as reader_store:
                yield {"owner": store, "pipeline": pipeline_store, "reader": reader_store}


@pytest.fixture(params=["owner", "pipeline", "reader"])
def session(stores: Mapping[str, Store], request: pytest.FixtureRequest) -> Iterator[TenantSession]:
    """A transaction of the tenant acme, as one of the roles."""
    with stores[request.param].begin("acme") as session:
        yield session


def sql(query: str) -> Question:
    """A query that people write in SQL."""
    parameters = {"model": MODEL, "number": NUMBER, "at": NOW - timedelta(hours=36)}
    return lambda session: session.execute(
        text(f"SELECT * FROM verifywise_mlflow.{query}").bindparams(
            **{k: v for k, v in parameters.items() if f":{k}" in query}
        )
    ).all()


OF_ONE_VERSION = "WHERE tenant_id = 'acme' AND model_name = :model AND version_number = :number"
AS_OF = "valid_from <= :at AND (valid_to > :at OR valid_to IS NULL)"

NARROW: Mapping[str, Question] = {
    "a record": sql(f"canonical_records {OF_ONE_VERSION}"),
    "a record as of a time": sql(f"canonical_record_states {OF_ONE_VERSION} AND {AS_OF}"),
    "all states of a record": sql(f"canonical_record_states {OF_ONE_VERSION}"),
    "the verdicts on a version over time": sql(f"compliance_result_states {OF_ONE_VERSION}"),
    "the badges of a version over time": sql(f"compliance_badge_states {OF_ONE_VERSION}"),
    "the fingerprints of some versions": lambda session: row_mapping.fingerprints(session, canonical_records, [KEY]),
    "a version": lambda session: registry.versions_by_key(session, [KEY]),
    "the known versions of a page": lambda session: registry.stored_versions(session, [KEY]),
    "the known models of a page": lambda session: registry.stored_models(session, [MODEL]),
    "the models of some names": lambda session: registry.models_by_name(session, [MODEL]),
    "some runs": lambda session: tracked_objects.rows_by_id(session, RUNS, ["run-17"]),
    "some logged models": lambda session: tracked_objects.stored_reads(session, LOGGED_MODELS, ["m-18"]),
    "the manifests of some versions": lambda session: manifests.manifest_rows(session, [KEY]),
    "the newest manifest at a place": lambda session: manifests.newest_at_locations(session, [LOCATION], LONG_AGO),
    "what changed in place under a version": lambda session: integrity.changes_by_key(session, [KEY]),
    "the other names of a version": lambda session: renamed_versions.other_names(session, [KEY]),
    "the events of a version": lambda session: lifecycle_events.lifecycle_events_of(session, *KEY),
    "the events of an hour": lambda session: lifecycle_events.lifecycle_events_of(
        session, since=NOW - timedelta(minutes=90), until=NOW - timedelta(minutes=30)
    ),
    "the end of the trail": lambda session: audit_log.head(session),
    "the trail's newest entries": sql("audit_entries WHERE tenant_id = 'acme' ORDER BY sequence DESC LIMIT 20"),
    "due verdicts far behind": lambda session: verdicts.pending_evaluations(
        session, policy_digest="another", after=("model-000450", 1), limit=10
    ),
    "judged records far behind": lambda session: verdicts.evaluated_records(
        session, after=("model-000450", 1), limit=10, selection={"owner": None}
    ),
    "the data version of the records": lambda session: stage_queries.newest_write(session, "canonical_records"),
    "the data version of the verdicts": lambda session: stage_queries.newest_write(session, "compliance_results"),
    "the badges given last": lambda session: stage_queries.newest_rows(session, "compliance_results", 5),
    "the newest revision of a tenant": lambda session: session.scalar(
        select(stage_watermarks._newest_revision(session))
    ),
    "the versions of newer rows": lambda session: stage_watermarks._changed_since(session, 10**9, 10**10),
    "the versions of what is read again": lambda session: stage_watermarks.versions_linking(
        session, tracked_objects.is_read_again(RUNS), tracked_objects.is_read_again(LOGGED_MODELS)
    ),
    "manifests to retry": lambda session: manifests.manifests_to_retry(session),
    "manifests with old hashes": lambda session: manifests.manifests_with_old_hashes(
        session, RehashBefore(LONG_AGO, LONG_AGO)
    ),
    "due runs of a version": lambda session: tracked_objects.pending_reads_up_to(session, RUNS, 200, [KEY]),
    "due manifest of a version": lambda session: manifests.pending_manifests(
        session,
        settings_digest="another",
        rehash_before=RehashBefore(LONG_AGO, LONG_AGO),
        retry_failed=False,
        among=[KEY],
    ),
    "records with other prompts": lambda session: records.with_other_prompts(session),
    "due record of a version": lambda session: records.pending_records(
        session, mapping_digest="another", after=None, limit=500, among=[KEY]
    ),
    "due verdicts of a version": lambda session: verdicts.pending_evaluations(
        session, policy_digest="another", after=None, limit=500, among=[KEY]
    ),
    "the models written last": lambda session: stage_queries.newest_rows(session, "registered_models", 5),
    "the versions written last": lambda session: stage_queries.newest_rows(session, "model_versions", 5),
    "the runs written last": lambda session: stage_queries.newest_rows(session, "training_runs", 5),
    "the manifests written last": lambda session: stage_queries.newest_rows(session, "artifact_manifests", 5),
    "the records written last": lambda session: stage_queries.newest_rows(session, "canonical_records", 5),
    "the trail's entries of a rare kind": sql(
        "audit_entries WHERE tenant_id = 'acme' AND kind = 'erasure' ORDER BY sequence DESC LIMIT 20"
    ),
}


@pytest.mark.parametrize("question", NARROW)
def test_a_narrow_query_reads_few_rows(session: TenantSession, question: str) -> None:
    steps = [step for step in plan_steps(session, NARROW[question]) if step.table not in {"role_grants", "tenants"}]

    assert steps
    assert [step for step in steps if step.index is None] == []
    assert sum(step.rows for step in steps) <= 200, steps


OLD = RehashBefore(LONG_AGO, LONG_AGO)
WIDE: Mapping[str, Question] = {
    "known versions": lambda session: registry.stored_versions(session),
    "living versions": lambda session: list(registry.living_versions(session)),
    "due runs": lambda session: tracked_objects.pending_reads(session, RUNS, ReadScope.CHANGED),
    "due runs, as many as fit": lambda session: tracked_objects.pending_reads_up_to(session, RUNS, 200),
    "due logged models": lambda session: tracked_objects.pending_reads(session, LOGGED_MODELS, ReadScope.CHANGED),
    "due manifests": lambda session: manifests.pending_manifests(
        session, settings_digest=SETTINGS, rehash_before=OLD, retry_failed=True
    ),
    "due records": lambda session: records.pending_records(session, mapping_digest=MAPPING, after=None, limit=500),
    "due verdicts": lambda session: verdicts.pending_evaluations(session, policy_digest=POLICY, after=None, limit=500),
    "all records as of a time": sql(f"canonical_record_states WHERE tenant_id = 'acme' AND {AS_OF}"),
    "how often each rule failed": lambda session: verdict_counts.rule_counts(session),
    "all counts": lambda session: verdict_count_cache.compute_counts(session, NOW),
    "the gaps that most need a person": lambda session: gaps.urgent_gaps(session, NOW, {}, 20),
    "how many files changed in place": lambda session: stage_queries.count_changed_files(session),
}


@pytest.mark.parametrize("question", WIDE)
def test_a_wide_query_reads_each_row_once(session: TenantSession, question: str) -> None:
    if question != "known versions" and question.startswith("due"):
        assert WIDE[question](session) == []

    rows_by_table: dict[str, float] = {}
    for step in plan_steps(session, WIDE[question]):
        rows_by_table[step.table] = rows_by_table.get(step.table, 0) + step.rows

    states = {"canonical_record_history": 3}
    looked_up = 100  # the texts of the worst gaps
    too_many = {
        table: count
        for table, count in rows_by_table.items()
        if count > VERSIONS * len(TENANTS) * states.get(table, 1) + looked_up
    }
    assert too_many == {}


def test_counts_after_one_change_read_one_bucket(stores: Mapping[str, Store]) -> None:
    def count(session: TenantSession) -> None:
        verdict_count_cache.cached_counts(session, NOW)

    with stores["pipeline"].begin("acme") as session, session.connection.begin_nested() as savepoint:
        count(session)  # this query divides the tenant into buckets
        session.execute(
            update(canonical_records)
            .where(canonical_records.c.tenant_id == "acme", canonical_records.c.model_name == MODEL)
            .values(lifecycle_stage="archived")
        )
        steps = plan_steps(session, count)
        savepoint.rollback()

    rows = Counter[str]()
    for step in steps:
        rows[step.table] += round(step.rows)
    counted = 2 * VERSIONS_PER_BUCKET  # of a bucket that is not divided yet
    assert 0 < rows["version_verdicts"] <= counted
    assert rows["compliance_badges"] <= counted
    assert rows["canonical_records"] <= 3 * counted
    assert rows["compliance_count_buckets"] <= 4 * VERSIONS / VERSIONS_PER_BUCKET


def test_a_manifests_location_and_an_entrys_kind_use_their_indexes(session: TenantSession) -> None:
    # Row-level security evaluates its own condition before an expression that could fail, so an index on such an
    # expression is useless.
    used_indexes = [
        step.index
        for question in ("the newest manifest at a place", "the trail's entries of a rare kind")
        for step in plan_steps(session, NARROW[question])
    ]

    assert {"artifact_manifests_by_location", "audit_trail_by_kind"} <= set(used_indexes)
