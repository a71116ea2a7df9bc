-- Which sync made each state. What was there before this migration was made by one that is not known: ''.
ALTER TABLE verifywise.canonical_records ADD COLUMN sync_id TEXT NOT NULL DEFAULT '';
ALTER TABLE verifywise.canonical_records ALTER COLUMN sync_id DROP DEFAULT;
ALTER TABLE verifywise.compliance_results ADD COLUMN sync_id TEXT NOT NULL DEFAULT '';
ALTER TABLE verifywise.compliance_results ALTER COLUMN sync_id DROP DEFAULT;
ALTER TABLE verifywise.compliance_badges ADD COLUMN sync_id TEXT NOT NULL DEFAULT '';
ALTER TABLE verifywise.compliance_badges ALTER COLUMN sync_id DROP DEFAULT;
-- evaluated_at is when a record was last judged; changed_at, since when the badge has been this one.
ALTER TABLE verifywise.compliance_badges ADD COLUMN changed_at TIMESTAMP WITH TIME ZONE;
UPDATE verifywise.compliance_badges SET changed_at = evaluated_at;
ALTER TABLE verifywise.compliance_badges ALTER COLUMN changed_at SET NOT NULL;

CREATE TABLE verifywise.canonical_record_history (
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
    revision BIGINT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number, revision)
);

CREATE INDEX canonical_record_history_by_end ON verifywise.canonical_record_history (tenant_id, held_until);

CREATE TABLE verifywise.compliance_result_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
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
    sync_id TEXT NOT NULL,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    PRIMARY KEY (state_id)
);

CREATE INDEX compliance_result_history_by_version
ON verifywise.compliance_result_history (tenant_id, model_name, version_number, rule_id);
CREATE INDEX compliance_result_history_by_end ON verifywise.compliance_result_history (tenant_id, held_until);

CREATE TABLE verifywise.compliance_badge_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    badge TEXT NOT NULL,
    record_revision BIGINT NOT NULL,
    policy_digest TEXT NOT NULL,
    evaluated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    PRIMARY KEY (state_id)
);

CREATE INDEX compliance_badge_history_by_version
ON verifywise.compliance_badge_history (tenant_id, model_name, version_number);
CREATE INDEX compliance_badge_history_by_end ON verifywise.compliance_badge_history (tenant_id, held_until);

-- The owner's rights, since writers have none on the history. A clock that went back must not end a state before it
-- began, hence the greatest of the two times.
CREATE FUNCTION verifywise.keep_former_record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'records are not deleted: they get a tombstone, and a tenant is erased as a whole'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO verifywise.canonical_record_history (
        tenant_id, model_name, description, business_purpose, owner, version_number, lifecycle_stage,
        created_at, last_updated_at, deployment_status, source_run_id, source_artifact_uri, training_status,
        training_started_at, training_ended_at, metrics, hyperparameters, evaluation_tags, experiment_id,
        experiment_name, code_commit, training_entrypoint, dataset_reference, artifact_uri, risk_category,
        regulatory_scope, data_sensitivity, privacy_assessment_status, compliance_approver,
        security_assessment_version, runtime_environment, artifact_manifest, evidence_files, origins,
        incomplete, findings, gone_at, fingerprint, revision, changed_at, sync_id, held_until, ended_by_sync_id
    ) VALUES (
        OLD.tenant_id, OLD.model_name, OLD.description, OLD.business_purpose, OLD.owner, OLD.version_number,
        OLD.lifecycle_stage, OLD.created_at, OLD.last_updated_at, OLD.deployment_status, OLD.source_run_id,
        OLD.source_artifact_uri, OLD.training_status, OLD.training_started_at, OLD.training_ended_at,
        OLD.metrics, OLD.hyperparameters, OLD.evaluation_tags, OLD.experiment_id, OLD.experiment_name,
        OLD.code_commit, OLD.training_entrypoint, OLD.dataset_reference, OLD.artifact_uri, OLD.risk_category,
        OLD.regulatory_scope, OLD.data_sensitivity, OLD.privacy_assessment_status, OLD.compliance_approver,
        OLD.security_assessment_version, OLD.runtime_environment, OLD.artifact_manifest, OLD.evidence_files,
        OLD.origins, OLD.incomplete, OLD.findings, OLD.gone_at, OLD.fingerprint, OLD.revision, OLD.changed_at,
        OLD.sync_id,
        NEW.changed_at, NEW.sync_id
    );
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_record BEFORE UPDATE ON verifywise.canonical_records
FOR EACH ROW WHEN (OLD.fingerprint IS DISTINCT FROM NEW.fingerprint)
EXECUTE FUNCTION verifywise.keep_former_record();

-- Of a verdict whose rule is no longer asked, the writer tells in two settings of its transaction when and by which
-- sync it ended.
CREATE FUNCTION verifywise.keep_former_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    ended_at timestamptz := coalesce(nullif(current_setting('verifywise.now', true), '')::timestamptz, now());
    ended_by text := coalesce(current_setting('verifywise.sync_id', true), '');
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.evaluated_at := greatest(OLD.evaluated_at, NEW.evaluated_at);
        ended_at := NEW.evaluated_at;
        ended_by := NEW.sync_id;
    END IF;
    INSERT INTO verifywise.compliance_result_history (
        tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id,
        policy_version, evaluated_at, sync_id, held_until, ended_by_sync_id
    ) VALUES (
        OLD.tenant_id, OLD.model_name, OLD.version_number, OLD.rule_id, OLD.rule_version, OLD.verdict,
        OLD.reason, OLD.values, OLD.policy_id, OLD.policy_version, OLD.evaluated_at, OLD.sync_id,
        greatest(OLD.evaluated_at, ended_at), ended_by
    );
    RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
END $$;

CREATE TRIGGER keep_former_verdict BEFORE UPDATE OR DELETE ON verifywise.compliance_results
FOR EACH ROW EXECUTE FUNCTION verifywise.keep_former_verdict();

CREATE FUNCTION verifywise.keep_former_badge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.badge = OLD.badge THEN
        NEW.changed_at := OLD.changed_at;
        NEW.sync_id := OLD.sync_id;
        RETURN NEW;
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO verifywise.compliance_badge_history (
        tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
        changed_at, held_until, ended_by_sync_id
    ) VALUES (
        OLD.tenant_id, OLD.model_name, OLD.version_number, OLD.badge, OLD.record_revision, OLD.policy_digest,
        OLD.evaluated_at, OLD.sync_id, OLD.changed_at,
        NEW.changed_at, NEW.sync_id
    );
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_badge BEFORE UPDATE ON verifywise.compliance_badges
FOR EACH ROW EXECUTE FUNCTION verifywise.keep_former_badge();

-- Every state, the present one with no end: WHERE held_from <= T AND (held_until > T OR held_until IS NULL).
CREATE VIEW verifywise.canonical_record_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, description, business_purpose, owner, version_number, lifecycle_stage, created_at,
       last_updated_at, deployment_status, source_run_id, source_artifact_uri, training_status,
       training_started_at, training_ended_at, metrics, hyperparameters, evaluation_tags, experiment_id,
       experiment_name, code_commit, training_entrypoint, dataset_reference, artifact_uri, risk_category,
       regulatory_scope, data_sensitivity, privacy_assessment_status, compliance_approver,
       security_assessment_version, runtime_environment, artifact_manifest, evidence_files, origins, incomplete,
       findings, gone_at, fingerprint, revision, changed_at AS held_from, sync_id,
       NULL::timestamptz AS held_until, NULL::text AS ended_by_sync_id
FROM verifywise.canonical_records
UNION ALL
SELECT tenant_id, model_name, description, business_purpose, owner, version_number, lifecycle_stage, created_at,
       last_updated_at, deployment_status, source_run_id, source_artifact_uri, training_status,
       training_started_at, training_ended_at, metrics, hyperparameters, evaluation_tags, experiment_id,
       experiment_name, code_commit, training_entrypoint, dataset_reference, artifact_uri, risk_category,
       regulatory_scope, data_sensitivity, privacy_assessment_status, compliance_approver,
       security_assessment_version, runtime_environment, artifact_manifest, evidence_files, origins, incomplete,
       findings, gone_at, fingerprint, revision, changed_at AS held_from, sync_id,
       held_until, ended_by_sync_id
FROM verifywise.canonical_record_history;

CREATE VIEW verifywise.compliance_result_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id,
       policy_version, evaluated_at AS held_from, sync_id,
       NULL::timestamptz AS held_until, NULL::text AS ended_by_sync_id
FROM verifywise.compliance_results
UNION ALL
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id,
       policy_version, evaluated_at AS held_from, sync_id,
       held_until, ended_by_sync_id
FROM verifywise.compliance_result_history;

CREATE VIEW verifywise.compliance_badge_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS held_from,
       NULL::timestamptz AS held_until, NULL::text AS ended_by_sync_id
FROM verifywise.compliance_badges
UNION ALL
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS held_from,
       held_until, ended_by_sync_id
FROM verifywise.compliance_badge_history;
