"""The tables. A table that belongs to an asset has the asset's name.

Several tables have these columns:

* ``fingerprint``: a hash of the content. A sync writes the content again only when it differs.
* ``revision``: a number that is drawn from one sequence at each write of the content. A row that is built from another
  row stores the revision of that row. So a comparison of revisions finds what is pending.
* ``incarnation``: counts the objects with this name and number, from 1. An object that is deleted and created again is
  another object, with another creation time.
* ``retry``: the last read failed with a transient error, so the next sync reads the object again.

Every table is imported here, so that ``metadata`` is complete for its users.
"""

from verifywise_mlflow.persistence.tables.agents import agent_history, agents
from verifywise_mlflow.persistence.tables.audit_log import audit_checkpoints, audit_trail, checkpoint_receipts
from verifywise_mlflow.persistence.tables.change_hints import change_hints, webhook_deliveries, webhook_status
from verifywise_mlflow.persistence.tables.delivery import delivery_ledger, delivery_outbox, delivery_targets
from verifywise_mlflow.persistence.tables.delivery_events import delivery_events
from verifywise_mlflow.persistence.tables.lifecycle import lifecycle_events
from verifywise_mlflow.persistence.tables.manifests import artifact_manifests, integrity_events
from verifywise_mlflow.persistence.tables.prompts import prompt_version_history, prompt_versions, prompts
from verifywise_mlflow.persistence.tables.records import canonical_record_history, canonical_records, record_inputs
from verifywise_mlflow.persistence.tables.registry import model_versions, registered_models
from verifywise_mlflow.persistence.tables.roles import role_grants
from verifywise_mlflow.persistence.tables.schema import SCHEMA, metadata, revisions, views
from verifywise_mlflow.persistence.tables.state_log import state_commitments, state_log, state_models
from verifywise_mlflow.persistence.tables.tenancy import (
    config_versions,
    history_usage,
    poll_watermarks,
    stage_refreshes,
    stage_watermarks,
    tenant_locks,
    tenants,
)
from verifywise_mlflow.persistence.tables.tracking import logged_models, training_runs
from verifywise_mlflow.persistence.tables.verdicts import (
    compliance_badge_history,
    compliance_badges,
    compliance_count_buckets,
    compliance_counts,
    compliance_result_history,
    compliance_results,
    compliance_verdicts,
    version_verdict_history,
    version_verdicts,
    waivers,
)

__all__ = [
    "SCHEMA",
    "agent_history",
    "agents",
    "artifact_manifests",
    "audit_checkpoints",
    "audit_trail",
    "canonical_record_history",
    "canonical_records",
    "change_hints",
    "checkpoint_receipts",
    "compliance_badge_history",
    "compliance_badges",
    "compliance_count_buckets",
    "compliance_counts",
    "compliance_result_history",
    "compliance_results",
    "compliance_verdicts",
    "config_versions",
    "delivery_events",
    "delivery_ledger",
    "delivery_outbox",
    "delivery_targets",
    "history_usage",
    "integrity_events",
    "lifecycle_events",
    "logged_models",
    "metadata",
    "model_versions",
    "poll_watermarks",
    "prompt_version_history",
    "prompt_versions",
    "prompts",
    "record_inputs",
    "registered_models",
    "revisions",
    "role_grants",
    "stage_refreshes",
    "stage_watermarks",
    "state_commitments",
    "state_log",
    "state_models",
    "tenant_locks",
    "tenants",
    "training_runs",
    "version_verdict_history",
    "version_verdicts",
    "views",
    "waivers",
    "webhook_deliveries",
    "webhook_status",
]
