"""The tables, in the schema ``verifywise``. They bear the assets' names and lead with the tenant.

Four columns come back in several of them:

* ``fingerprint``: SHA-256 of what was read. A row is written only when it differs.
* ``revision``: drawn from one sequence at each write. What was built from a row remembers the row's
  revision, so that what is *pending* is found by comparing revisions, row by row.
* ``incarnation``: from 1, how many objects have borne this name and number: what is deleted and created again is
  another object, with another time of creation.
* ``retry``: the last reading failed by something passing, so the next sync tries again.

A table is named here besides its own file, so that ``metadata`` knows every table to whoever imports it.
"""

from verifywise_mlflow.persistence.tables.audit_log import audit_checkpoints, audit_trail
from verifywise_mlflow.persistence.tables.lifecycle import lifecycle_events
from verifywise_mlflow.persistence.tables.manifests import artifact_manifests, integrity_events
from verifywise_mlflow.persistence.tables.records import canonical_record_history, canonical_records, record_inputs
from verifywise_mlflow.persistence.tables.registry import model_versions, registered_models
from verifywise_mlflow.persistence.tables.roles import role_grants
from verifywise_mlflow.persistence.tables.schema import SCHEMA, metadata, revisions
from verifywise_mlflow.persistence.tables.tenancy import config_versions, poll_watermarks, stage_refreshes, tenants
from verifywise_mlflow.persistence.tables.tracking import logged_models, training_runs
from verifywise_mlflow.persistence.tables.verdicts import (
    compliance_badge_history,
    compliance_badges,
    compliance_counts,
    compliance_result_history,
    compliance_results,
    waivers,
)

__all__ = [
    "SCHEMA",
    "role_grants",
    "config_versions",
    "artifact_manifests",
    "audit_checkpoints",
    "audit_trail",
    "canonical_record_history",
    "canonical_records",
    "compliance_badge_history",
    "compliance_badges",
    "compliance_counts",
    "compliance_result_history",
    "compliance_results",
    "integrity_events",
    "lifecycle_events",
    "logged_models",
    "metadata",
    "model_versions",
    "record_inputs",
    "registered_models",
    "revisions",
    "stage_refreshes",
    "tenants",
    "training_runs",
    "poll_watermarks",
    "waivers",
]
