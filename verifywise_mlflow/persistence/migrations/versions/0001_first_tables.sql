CREATE SEQUENCE verifywise.revisions AS BIGINT;

CREATE TABLE verifywise.artifact_manifests (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    location_key TEXT NOT NULL,
    manifest JSONB NOT NULL,
    retry BOOLEAN NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);

CREATE TABLE verifywise.audit_trail (
    entry_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    kind TEXT NOT NULL,
    sync_id TEXT NOT NULL,
    dagster_run_id TEXT,
    source_uri TEXT NOT NULL,
    credential_identity TEXT,
    server_version TEXT,
    code_version TEXT NOT NULL,
    object_kind TEXT,
    object_name TEXT,
    outcome TEXT NOT NULL,
    reason TEXT,
    counts JSONB DEFAULT '{}'::jsonb NOT NULL,
    PRIMARY KEY (entry_id)
);
CREATE INDEX audit_trail_by_tenant ON verifywise.audit_trail (tenant_id, entry_id);

CREATE TABLE verifywise.canonical_records (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    description TEXT,
    business_purpose TEXT,
    owner TEXT,
    version_number INTEGER NOT NULL,
    lifecycle_stage TEXT,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    deployment_status TEXT,
    source_run_id TEXT,
    source_artifact_uri TEXT,
    training_status TEXT,
    training_started_at TIMESTAMP WITH TIME ZONE,
    training_ended_at TIMESTAMP WITH TIME ZONE,
    metrics JSONB,
    hyperparameters JSONB,
    evaluation_tags JSONB,
    experiment_id TEXT,
    experiment_name TEXT,
    code_commit TEXT,
    training_entrypoint TEXT,
    dataset_reference JSONB,
    artifact_uri TEXT,
    risk_category TEXT,
    regulatory_scope TEXT,
    data_sensitivity TEXT,
    privacy_assessment_status TEXT,
    compliance_approver TEXT,
    security_assessment_version TEXT,
    runtime_environment JSONB,
    artifact_manifest JSONB,
    evidence_files JSONB,
    origins JSONB NOT NULL,
    incomplete JSONB NOT NULL,
    findings JSONB NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);

CREATE TABLE verifywise.compliance_badges (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    badge TEXT NOT NULL,
    record_revision BIGINT NOT NULL,
    policy_digest TEXT NOT NULL,
    evaluated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);

CREATE TABLE verifywise.compliance_results (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    rule_id TEXT NOT NULL,
    rule_version INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    values JSONB NOT NULL,
    policy_id TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    evaluated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number, rule_id)
);
CREATE INDEX compliance_results_by_verdict ON verifywise.compliance_results (tenant_id, rule_id, verdict);

CREATE TABLE verifywise.logged_models (
    tenant_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    experiment_id TEXT,
    name TEXT,
    source_run_id TEXT,
    artifact_uri TEXT,
    status TEXT,
    model_type TEXT,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    params JSONB NOT NULL,
    metrics JSONB NOT NULL,
    tags JSONB NOT NULL,
    problems JSONB NOT NULL,
    unreadable TEXT,
    retry BOOLEAN NOT NULL,
    read_for_revision BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_id)
);

CREATE TABLE verifywise.model_versions (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    stage TEXT,
    aliases JSONB NOT NULL,
    description TEXT,
    source TEXT,
    run_id TEXT,
    logged_model_id TEXT,
    status TEXT,
    status_message TEXT,
    run_link TEXT,
    deployment_job_state TEXT,
    tags JSONB NOT NULL,
    hidden_from_search BOOLEAN NOT NULL,
    problems JSONB NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
CREATE INDEX model_versions_by_logged_model ON verifywise.model_versions (tenant_id, logged_model_id);
CREATE INDEX model_versions_by_run ON verifywise.model_versions (tenant_id, run_id);

CREATE TABLE verifywise.record_inputs (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    model_revision BIGINT,
    version_revision BIGINT NOT NULL,
    run_revision BIGINT,
    logged_model_revision BIGINT,
    manifest_revision BIGINT,
    mapping_digest TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);

CREATE TABLE verifywise.registered_models (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    description TEXT,
    tags JSONB NOT NULL,
    aliases JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    hidden_from_search BOOLEAN NOT NULL,
    problems JSONB NOT NULL,
    gone_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name)
);

CREATE TABLE verifywise.stage_refreshes (
    tenant_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    refreshed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reconciled_at TIMESTAMP WITH TIME ZONE,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, stage)
);

CREATE TABLE verifywise.tenants (
    tenant_id TEXT NOT NULL,
    tracking_uri TEXT NOT NULL,
    workspace TEXT,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deactivated_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id)
);

CREATE TABLE verifywise.training_runs (
    tenant_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    experiment_id TEXT,
    experiment_name TEXT,
    run_name TEXT,
    user_id TEXT,
    status TEXT,
    lifecycle_stage TEXT,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    artifact_uri TEXT,
    metrics JSONB NOT NULL,
    params JSONB NOT NULL,
    tags JSONB NOT NULL,
    datasets JSONB NOT NULL,
    logged_model_ids JSONB NOT NULL,
    problems JSONB NOT NULL,
    unreadable TEXT,
    retry BOOLEAN NOT NULL,
    read_for_revision BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('verifywise.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);

CREATE TABLE verifywise.version_polls (
    tenant_id TEXT NOT NULL,
    newest_version_time BIGINT,
    noted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id)
);

-- The trail only grows. A privilege could be granted back; a trigger has to be dropped, which shows in the catalogue.
CREATE FUNCTION verifywise.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP;
END $$;

CREATE TRIGGER audit_trail_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON verifywise.audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION verifywise.refuse_change();

-- When each record was last confirmed, without rewriting it: a sync that finds nothing new only moves its stages' times.
CREATE VIEW verifywise.record_confirmations AS
SELECT r.tenant_id,
       r.model_name,
       r.version_number,
       r.changed_at,
       CASE WHEN r.gone_at IS NULL THEN versions.refreshed_at ELSE r.gone_at END AS version_confirmed_at,
       greatest(run.changed_at, runs.reconciled_at) AS run_confirmed_at,
       manifest.read_at AS artifacts_confirmed_at,
       judged.refreshed_at AS judged_at
FROM verifywise.canonical_records AS r
LEFT JOIN verifywise.stage_refreshes AS versions ON versions.tenant_id = r.tenant_id AND versions.stage = 'model_versions'
LEFT JOIN verifywise.stage_refreshes AS runs ON runs.tenant_id = r.tenant_id AND runs.stage = 'training_runs'
LEFT JOIN verifywise.stage_refreshes AS judged ON judged.tenant_id = r.tenant_id AND judged.stage = 'compliance_results'
LEFT JOIN verifywise.training_runs AS run
       ON run.tenant_id = r.tenant_id AND run.run_id = r.source_run_id AND run.unreadable IS NULL
LEFT JOIN verifywise.artifact_manifests AS manifest
       ON manifest.tenant_id = r.tenant_id
      AND manifest.model_name = r.model_name
      AND manifest.version_number = r.version_number;
