"""A stage that examines only the versions of newer rows finds the same as a pass over all versions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text

from verifywise_mlflow.persistence.repositories import (
    manifests,
    records,
    stage_watermarks,
    tracked_objects,
    verdicts,
)
from verifywise_mlflow.persistence.repositories.manifests import RehashBefore
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS, ReadScope
from verifywise_mlflow.persistence.repositories.versions_in_use import keys_in_use
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.large_tenants import MAPPING, NOW, POLICY, SETTINGS, fill

Pending = Callable[[TenantSession, Collection[Key] | None], Collection[object]]
OLD = RehashBefore(NOW - timedelta(days=1), NOW - timedelta(days=30))

STAGES: Mapping[str, Pending] = {
    "runs": lambda session, among: tracked_objects.pending_reads(session, RUNS, ReadScope.PENDING, among),
    "logged models": lambda session, among: tracked_objects.pending_reads(
        session, LOGGED_MODELS, ReadScope.CHANGED, among
    ),
    "manifests": lambda session, among: manifests.pending_manifests(
        session, settings_digest=SETTINGS, rehash_before=OLD, retry_failed=False, among=among
    ),
    "records": lambda session, among: [
        item.key
        for item in records.pending_records(
            session,
            mapping_digest=MAPPING,
            after=None,
            limit=500,
            among=among,
            with_other_prompts=records.with_other_prompts(session),
        )
    ],
    "verdicts": lambda session, among: [
        item.key
        for item in verdicts.pending_evaluations(session, policy_digest=POLICY, after=None, limit=500, among=among)
    ],
}
NEW = "revision = nextval('revisions')"
OF_RUN_5 = "model_name = 'model-000000' AND version_number = 6"
COPY = "model_name = 'model-000000' AND version_number = 8"
CHANGES: Mapping[str, tuple[str, str]] = {
    "nothing": ("SELECT 1", ""),
    "a version": (f"UPDATE model_versions SET {NEW}, deleted_at = now() WHERE run_id = 'run-4'", "records"),
    "a version's run": (
        f"UPDATE model_versions SET {NEW}, run_id = 'run-new' WHERE run_id = 'run-4'",
        "runs, logged models, manifests, records",
    ),
    "a version's logged model": (
        f"UPDATE model_versions SET {NEW}, logged_model_id = 'm-new' WHERE run_id = 'run-4'",
        "runs, logged models, records",
    ),
    "a model": (f"UPDATE registered_models SET {NEW} WHERE model_name = 'model-000003'", "records"),
    "a prompt": (f"UPDATE prompts SET {NEW} WHERE prompt_name = 'prompt-5'", "records"),
    "a prompt that is new": (
        "INSERT INTO prompts (tenant_id, prompt_name, tags, aliases, problems, fingerprint, changed_at) "
        "VALUES ('acme', 'elsewhere', '{}', '{}', '[]', 'f', now())",
        "records",
    ),
    "a prompt that no version names": (f"UPDATE prompts SET {NEW} WHERE prompt_name = 'prompt-20'", ""),
    "a run": (f"UPDATE training_runs SET {NEW}, status = 'FAILED' WHERE run_id = 'run-5'", "manifests, records"),
    "a run that goes on": (
        f"UPDATE training_runs SET {NEW}, status = 'RUNNING' WHERE run_id = 'run-5'",
        "runs, manifests, records",
    ),
    "a run to retry": ("UPDATE training_runs SET retry = true WHERE run_id = 'run-5'", "runs"),
    "a logged model": (
        f"UPDATE logged_models SET {NEW}, artifact_uri = 's3://other' WHERE model_id = 'm-8'",
        "manifests, records",
    ),
    "the run of a logged model": (f"UPDATE training_runs SET {NEW} WHERE run_id = 'run-8'", "records"),
    "a logged model to retry": ("UPDATE logged_models SET retry = true WHERE model_id = 'm-8'", "logged models"),
    "a manifest": (f"UPDATE artifact_manifests SET {NEW} WHERE {OF_RUN_5}", "records"),
    "a manifest to retry": (f"UPDATE artifact_manifests SET retry = true WHERE {OF_RUN_5}", "manifests"),
    "an old hash": (
        f"UPDATE artifact_manifests SET hashed_at = hashed_at - interval '31 days' WHERE {OF_RUN_5}",
        "manifests",
    ),
    "hashes of two days": ("UPDATE artifact_manifests SET hashed_at = hashed_at - interval '2 days'", "manifests"),
    "a version's stage": (
        f"UPDATE canonical_records SET lifecycle_stage = 'production' WHERE {OF_RUN_5}",
        "verdicts",
    ),
    "a record": (f"UPDATE canonical_records SET owner = 'ada' WHERE {OF_RUN_5}", "verdicts"),
    "a new version": (
        "INSERT INTO model_versions (tenant_id, model_name, version_number, run_id, aliases, tags, hidden_from_search, "
        "problems, fingerprint, changed_at) "
        "VALUES ('acme', 'new', 1, 'run-5', '[]', '{}', false, '[]', 'f', now())",
        "runs, manifests, records",
    ),
}
"""Changes, and the stages for which each change makes a version pending."""

SETUP = (
    # A copy, which has the run of its original, and a version whose run only its logged model names.
    "UPDATE model_versions SET run_id = NULL, origin_run_id = 'run-5' WHERE run_id = 'run-7'",
    "UPDATE model_versions SET run_id = NULL WHERE run_id = 'run-8'",
    "UPDATE training_runs SET read_for_revision = (SELECT max(revision) FROM model_versions)",
    "UPDATE logged_models SET read_for_revision = (SELECT max(revision) FROM model_versions)",
    f"UPDATE record_inputs SET run_revision = (SELECT revision FROM training_runs WHERE run_id = 'run-5') WHERE {COPY}",
    "UPDATE artifact_manifests SET location_key = (SELECT md5(concat('settings', jsonb_build_array("
    "v.source, r.run_id, r.artifact_uri, r.status, NULL, v.incarnation))) FROM model_versions AS v, training_runs AS r "
    f"WHERE r.run_id = 'run-5' AND {COPY}) WHERE {COPY}",
)


@pytest.fixture
def session(store: Store) -> Iterator[TenantSession]:
    """A transaction of a tenant for whom nothing is pending."""
    with store.engine.begin() as connection:
        fill(connection, tenants=("acme",), versions=60)
    with store.begin("acme") as session:
        session.connection.execute(text("SET LOCAL search_path = verifywise_mlflow"))
        yield session


def scope_of(session: TenantSession, stage: str) -> Collection[Key] | None:
    """Return the versions that the stages choose to examine."""
    scope = stage_watermarks.stage_scope(session, stage, "basis", is_full=False)
    if scope.keys is None:
        return None
    if stage in ("runs", "logged models"):
        again = (tracked_objects.is_read_again(RUNS), tracked_objects.is_read_again(LOGGED_MODELS))
        scope = scope.including(stage_watermarks.versions_linking(session, *again))
    elif stage == "manifests":
        scope = scope.including(manifests.manifests_to_retry(session))
        scope = scope.including(manifests.manifests_with_old_hashes(session, OLD))
    elif stage == "verdicts" and scope.keys:
        scope = scope.including(keys_in_use(session, {name for name, _ in scope.keys}))
    return scope.keys


def test_a_changed_scope_has_all_that_is_pending(session: TenantSession) -> None:
    for statement in SETUP:
        session.execute(text(statement))
    for stage in STAGES:
        assert scope_of(session, stage) is None
        stage_watermarks.advance(session, stage_watermarks.stage_scope(session, stage, "basis", is_full=True))

    for name, (statement, stages) in CHANGES.items():
        with session.connection.begin_nested() as savepoint:
            session.execute(text(statement))
            scopes = {stage: scope_of(session, stage) for stage in STAGES}
            assert all(keys is not None and len(keys) < 20 for keys in scopes.values()), name
            pending = {stage: find(session, scopes[stage]) for stage, find in STAGES.items()}
            assert pending == {stage: find(session, None) for stage, find in STAGES.items()}, name
            assert ", ".join(stage for stage in STAGES if pending[stage]) == stages, name
            savepoint.rollback()


def test_a_watermark_is_of_one_stage_and_basis(session: TenantSession) -> None:
    stage_watermarks.advance(session, stage_watermarks.stage_scope(session, "records", "basis", is_full=True))

    assert stage_watermarks.stage_scope(session, "records", "basis", is_full=False).keys == []
    assert stage_watermarks.stage_scope(session, "records", "basis", is_full=True).keys is None
    assert stage_watermarks.stage_scope(session, "records", "another", is_full=False).keys is None
    assert stage_watermarks.stage_scope(session, "verdicts", "basis", is_full=False).keys is None


def test_too_many_changed_versions_are_a_pass_over_all(session: TenantSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_watermarks, "MAX_CHANGED", 9)
    stage_watermarks.advance(session, stage_watermarks.stage_scope(session, "records", "basis", is_full=True))
    session.execute(text(f"UPDATE registered_models SET {NEW} WHERE model_name = 'model-000003'"))

    assert stage_watermarks.stage_scope(session, "records", "basis", is_full=False).keys is None
