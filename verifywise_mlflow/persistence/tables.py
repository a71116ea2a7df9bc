"""The tables, in the schema ``verifywise``. They bear the assets' names and lead with the tenant.

Four columns come back in several of them:

* ``fingerprint``: SHA-256 of what was read. A row is written only when it differs.
* ``revision``: drawn from one sequence at each write. What was built from a row remembers the row's
  revision, so that what is *pending* is found by comparing revisions, row by row.
* ``incarnation``: from 1, how many objects have borne this name and number: what is deleted and created again is
  another object, with another time of creation.
* ``retry``: the last reading failed by something passing, so the next sync tries again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Sequence,
    Table,
    text,
)
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.codec import Json, Text

SCHEMA = "verifywise"

metadata = MetaData(schema=SCHEMA)

revisions = Sequence("revisions", metadata=metadata, data_type=BigInteger)


# SQLAlchemy types a column by what it holds, and these helpers make columns of several kinds: hence Any here.
def _key(name: str, type_: type[Text] | type[Integer] = Text) -> Column[Any]:
    return Column(name, type_(), primary_key=True, autoincrement=False)


def _time(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _incarnation() -> Column[Any]:
    return Column("incarnation", Integer, nullable=False, server_default=text("1"))


def _redactions() -> Column[Any]:
    return Column("redactions", Json, nullable=False, server_default=text("'[]'::jsonb"))


def _written() -> tuple[Column[Any], ...]:
    return (
        Column("fingerprint", Text, nullable=False),
        Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
        _time("changed_at", nullable=False),
    )


tenants = Table(
    "tenants",
    metadata,
    _key("tenant_id"),
    Column("tracking_uri", Text, nullable=False),
    Column("workspace", Text),
    _time("first_seen_at", nullable=False),
    _time("deactivated_at"),
)

registered_models = Table(
    "registered_models",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    Column("description", Text),
    Column("tags", Json, nullable=False),
    Column("aliases", Json, nullable=False),
    _time("created_at"),
    _time("last_updated_at"),
    Column("hidden_from_search", Boolean, nullable=False),
    Column("problems", Json, nullable=False),
    _redactions(),
    _incarnation(),
    _time("gone_at"),
    *_written(),
)

model_versions = Table(
    "model_versions",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    _key("version_number", Integer),
    _time("created_at"),
    _time("last_updated_at"),
    Column("stage", Text),
    Column("aliases", Json, nullable=False),
    Column("description", Text),
    Column("source", Text),
    Column("run_id", Text),
    Column("logged_model_id", Text),
    Column("status", Text),
    Column("status_message", Text),
    Column("run_link", Text),
    Column("deployment_job_state", Text),
    Column("tags", Json, nullable=False),
    Column("hidden_from_search", Boolean, nullable=False),
    Column("problems", Json, nullable=False),
    _redactions(),
    _incarnation(),
    _time("gone_at"),
    *_written(),
    Index("model_versions_by_run", "tenant_id", "run_id"),
    Index("model_versions_by_logged_model", "tenant_id", "logged_model_id"),
)

training_runs = Table(
    "training_runs",
    metadata,
    _key("tenant_id"),
    _key("run_id"),
    Column("experiment_id", Text),
    Column("experiment_name", Text),
    Column("run_name", Text),
    Column("user_id", Text),
    Column("status", Text),
    Column("lifecycle_stage", Text),
    _time("started_at"),
    _time("ended_at"),
    Column("artifact_uri", Text),
    Column("metrics", Json, nullable=False),
    Column("params", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("datasets", Json, nullable=False),
    Column("logged_model_ids", Json, nullable=False),
    Column("problems", Json, nullable=False),
    _redactions(),
    Column("unreadable", Text),
    Column("retry", Boolean, nullable=False),
    Column("read_for_revision", BigInteger, nullable=False),
    *_written(),
)

logged_models = Table(
    "logged_models",
    metadata,
    _key("tenant_id"),
    _key("model_id"),
    Column("experiment_id", Text),
    Column("name", Text),
    Column("source_run_id", Text),
    Column("artifact_uri", Text),
    Column("status", Text),
    Column("model_type", Text),
    _time("created_at"),
    _time("last_updated_at"),
    Column("params", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("problems", Json, nullable=False),
    _redactions(),
    Column("unreadable", Text),
    Column("retry", Boolean, nullable=False),
    Column("read_for_revision", BigInteger, nullable=False),
    *_written(),
)

artifact_manifests = Table(
    "artifact_manifests",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    _key("version_number", Integer),
    Column("location_key", Text, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("retry", Boolean, nullable=False),
    _time("read_at", nullable=False),
    _time("hashed_at", nullable=False),
    *_written(),
    Column("location_md5", PlainText, Computed("md5(manifest ->> 'location')", persisted=True)),
    Index("artifact_manifests_by_location", "tenant_id", "location_md5"),
)

integrity_events = Table(
    "integrity_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("version_number", Integer, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("location", Text),
    Column("kind", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("former_sha256", Text),
    Column("sha256", Text),
    Column("former_size", BigInteger),
    Column("size", BigInteger),
    _time("former_read_at", nullable=False),
    _time("seen_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("integrity_events_by_version", "tenant_id", "model_name", "version_number"),
)


def _record_columns() -> tuple[Column[Any], ...]:
    return (
        _key("tenant_id"),
        # Identity
        _key("model_name"),
        Column("description", Text),
        Column("business_purpose", Text),
        Column("owner", Text),
        # Version and lifecycle
        _key("version_number", Integer),
        Column("lifecycle_stage", Text),
        _time("created_at"),
        _time("last_updated_at"),
        Column("deployment_status", Text),
        Column("source_run_id", Text),
        Column("source_artifact_uri", Text),
        # Training and evaluation
        Column("training_status", Text),
        _time("training_started_at"),
        _time("training_ended_at"),
        Column("metrics", Json),
        Column("hyperparameters", Json),
        Column("evaluation_tags", Json),
        # Lineage
        Column("experiment_id", Text),
        Column("experiment_name", Text),
        Column("code_commit", Text),
        Column("training_entrypoint", Text),
        Column("dataset_reference", Json),
        Column("artifact_uri", Text),
        # Risk and compliance
        Column("risk_category", Text),
        Column("regulatory_scope", Text),
        Column("data_sensitivity", Text),
        Column("privacy_assessment_status", Text),
        Column("compliance_approver", Text),
        Column("security_assessment_version", Text),
        # Artifacts and environment
        Column("runtime_environment", Json),
        Column("artifact_manifest", Json),
        Column("evidence_files", Json),
        # How we know
        Column("origins", Json, nullable=False),
        Column("incomplete", Json, nullable=False),
        Column("findings", Json, nullable=False),
        _time("gone_at"),
        Column("fingerprint", Text, nullable=False),
    )


def _ended() -> tuple[Column[Any], ...]:
    return (_time("held_until", nullable=False), Column("ended_by_sync_id", Text, nullable=False))


canonical_records = Table(
    "canonical_records",
    metadata,
    *_record_columns(),
    Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
    _time("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("canonical_records_by_change", "tenant_id", "changed_at"),
    Index(
        "canonical_records_incomplete",
        "tenant_id",
        postgresql_where=text("gone_at IS NULL AND incomplete <> '[]'::jsonb"),
    ),
)

canonical_record_history = Table(
    "canonical_record_history",
    metadata,
    *_record_columns(),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _time("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    *_ended(),
    Index("canonical_record_history_by_begin", "tenant_id", "changed_at"),
    Index("canonical_record_history_by_end", "tenant_id", "held_until"),
)
"""Written by a trigger, as the other two histories are."""

record_inputs = Table(
    "record_inputs",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    _key("version_number", Integer),
    Column("model_revision", BigInteger),
    Column("version_revision", BigInteger, nullable=False),
    Column("run_revision", BigInteger),
    Column("logged_model_revision", BigInteger),
    Column("manifest_revision", BigInteger),
    Column("mapping_digest", Text, nullable=False),
)


def _verdict_columns() -> tuple[Column[Any], ...]:
    return (
        Column("rule_version", Integer, nullable=False),
        Column("verdict", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("values", Json, nullable=False),
        Column("policy_id", Text, nullable=False),
        Column("policy_version", Text, nullable=False),
        _time("evaluated_at", nullable=False),
        Column("sync_id", Text, nullable=False),
    )


def _rested_on() -> tuple[Column[Any], ...]:
    return (
        Column("origins", Json, nullable=False),
        Column("thresholds", Json, nullable=False),
        Column("day", Date),
        Column("input_hash", PlainText, nullable=False),
        Column("fingerprint", PlainText, nullable=False),
        _time("open_since"),
    )


def _badge_columns() -> tuple[Column[Any], ...]:
    return (
        Column("badge", Text, nullable=False),
        Column("record_revision", BigInteger, nullable=False),
        Column("policy_digest", Text, nullable=False),
        _time("evaluated_at", nullable=False),
        Column("sync_id", Text, nullable=False),
        _time("changed_at", nullable=False),
    )


def _version_columns() -> tuple[Column[Any], ...]:
    return (
        Column("tenant_id", Text, nullable=False),
        Column("model_name", Text, nullable=False),
        Column("version_number", Integer, nullable=False),
    )


def _state_id() -> Column[Any]:
    return Column("state_id", BigInteger, Identity(always=True), primary_key=True)


compliance_results = Table(
    "compliance_results",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    _key("version_number", Integer),
    _key("rule_id"),
    *_verdict_columns(),
    *_rested_on(),
    Index("compliance_results_by_verdict", "tenant_id", "rule_id", "verdict"),
)

compliance_result_history = Table(
    "compliance_result_history",
    metadata,
    _state_id(),
    *_version_columns(),
    Column("rule_id", Text, nullable=False),
    *_verdict_columns(),
    *_rested_on(),
    *_ended(),
    Index("compliance_result_history_by_version", "tenant_id", "model_name", "version_number", "rule_id"),
    Index("compliance_result_history_by_end", "tenant_id", "held_until"),
)

compliance_badges = Table(
    "compliance_badges",
    metadata,
    _key("tenant_id"),
    _key("model_name"),
    _key("version_number", Integer),
    *_badge_columns(),
)

compliance_badge_history = Table(
    "compliance_badge_history",
    metadata,
    _state_id(),
    *_version_columns(),
    *_badge_columns(),
    *_ended(),
    Index("compliance_badge_history_by_version", "tenant_id", "model_name", "version_number"),
    Index("compliance_badge_history_by_end", "tenant_id", "held_until"),
)

waivers = Table(
    "waivers",
    metadata,
    Column("waiver_id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version_number", Integer),
    Column("approver", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("source", Text, nullable=False),
    _time("granted_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    _time("ended_at"),
    Column("ended", Text),
    Index("waivers_by_rule", "tenant_id", "rule_id"),
)
"""Accepted gaps. A row is granted once and ended once; a trigger refuses any other change."""

stage_refreshes = Table(
    "stage_refreshes",
    metadata,
    _key("tenant_id"),
    _key("stage"),
    _time("refreshed_at", nullable=False),
    _time("reconciled_at"),
    Column("sync_id", Text, nullable=False),
)

version_polls = Table(
    "version_polls",
    metadata,
    _key("tenant_id"),
    Column("newest_version_time", BigInteger),
    _time("noted_at", nullable=False),
)

lifecycle_events = Table(
    "lifecycle_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("version_number", Integer),
    Column("incarnation", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("alias", Text),
    Column("previous", Text),
    Column("value", Text),
    _time("happened_at"),
    _time("seen_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("lifecycle_events_by_version", "tenant_id", "model_name", "version_number", "event_id"),
    Index("lifecycle_events_by_time", "tenant_id", "seen_at"),
)

adoptions = Table(
    "adoptions",
    metadata,
    Column("adoption_id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("document", Json, nullable=False),
    _time("adopted_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("adoptions_by_kind", "tenant_id", "kind", "adoption_id"),
)
"""Which mapping, policy and description of a tenant held from when on."""

audit_trail = Table(
    "audit_trail",
    metadata,
    _key("tenant_id"),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", PlainText, nullable=False),
    Column("entry_hash", PlainText, nullable=False),
    Column("kind", PlainText, Computed("entry::jsonb ->> 'kind'", persisted=True)),
    Index("audit_trail_by_kind", "tenant_id", "kind", "sequence"),
)
"""``entry`` is canonical JSON, the very bytes that were hashed; the view ``audit_entries`` shows its parts."""

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    _key("tenant_id"),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("checkpoint", PlainText, nullable=False),
    Column("signature", PlainText, primary_key=True),
)

access = Table(
    "access",
    metadata,
    Column("role_name", PlainText, primary_key=True),
    Column("kind", PlainText, nullable=False),
    Column("tenant_id", Text),
    _time("granted_at", nullable=False),
)
"""Which database roles may do what: the policies of row-level security ask it."""
