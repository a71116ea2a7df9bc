-- The history of records, verdicts and badges: each former state with the span of time in which it was valid. Triggers
-- write it, so that no writer can forget it, and so that a role that may write records may not write their history.

-- When and by which sync a state ended, then the row as it was. The end comes first, so that a column that a later
-- migration adds to both tables, behind the others, leaves the triggers as they are.
CREATE TABLE {schema}.canonical_record_history (
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.canonical_records,
    PRIMARY KEY (tenant_id, model_name, version_number, revision)
);
CREATE INDEX canonical_record_history_by_begin ON {schema}.canonical_record_history (tenant_id, changed_at);
CREATE INDEX canonical_record_history_by_end ON {schema}.canonical_record_history (tenant_id, valid_to);

CREATE TABLE {schema}.compliance_result_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.compliance_results,
    PRIMARY KEY (state_id)
);
CREATE INDEX compliance_result_history_by_version
ON {schema}.compliance_result_history (tenant_id, model_name, version_number, rule_id);
CREATE INDEX compliance_result_history_by_end ON {schema}.compliance_result_history (tenant_id, valid_to);

CREATE TABLE {schema}.compliance_badge_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    valid_to TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE {schema}.compliance_badges,
    PRIMARY KEY (state_id)
);
CREATE INDEX compliance_badge_history_by_version
ON {schema}.compliance_badge_history (tenant_id, model_name, version_number);
CREATE INDEX compliance_badge_history_by_end ON {schema}.compliance_badge_history (tenant_id, valid_to);

-- A writer that ends a state without writing a new one says when and by which sync in two settings of the transaction.
-- Without them, the time is now and the sync is unknown: ''.
CREATE FUNCTION {schema}.write_time() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(nullif(current_setting('verifywise_mlflow.now', true), '')::timestamptz, now())
$$;
CREATE FUNCTION {schema}.write_sync_id() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(current_setting('verifywise_mlflow.sync_id', true), '')
$$;

-- The triggers run with the owner's rights, since writers have none on the history. They fire on every change, so that
-- an UPDATE by hand leaves its trace too: it sets neither the time nor the sync, and must not be attributed to the last
-- sync. A clock that went back must not end a state before it began, hence the greatest of two times: the state then
-- gets a span of no length. To erase a tenant, its history has to be deleted last.
CREATE FUNCTION {schema}.save_former_record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.canonical_record_history
        VALUES (greatest(OLD.changed_at, {schema}.write_time()), {schema}.write_sync_id(), OLD.*);
        RETURN OLD;
    END IF;
    IF NEW.revision = OLD.revision THEN
        NEW.revision := nextval('{schema}.revisions');
        NEW.fingerprint := '';  -- it no longer fits the row, so the next sync that builds the record writes it again
        NEW.changed_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO {schema}.canonical_record_history VALUES (NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_record BEFORE UPDATE ON {schema}.canonical_records
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.save_former_record();
CREATE TRIGGER save_deleted_record BEFORE DELETE ON {schema}.canonical_records
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_record();

-- The fingerprint of a row that was changed by hand no longer fits it, so the next evaluation of the version writes the
-- verdict again. A gap keeps the time when it opened, however its verdict changes while it stays open, and while what it
-- rests on cannot be read: that closes nothing.
CREATE FUNCTION {schema}.save_former_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.compliance_result_history
        VALUES (DEFAULT, greatest(OLD.evaluated_at, {schema}.write_time()), {schema}.write_sync_id(), OLD.*);
        RETURN OLD;
    END IF;
    IF (NEW.evaluated_at, NEW.sync_id) = (OLD.evaluated_at, OLD.sync_id) THEN
        NEW.evaluated_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
        NEW.fingerprint := '';
    END IF;
    NEW.evaluated_at := greatest(OLD.evaluated_at, NEW.evaluated_at);
    NEW.open_since := CASE
        WHEN NEW.verdict IN ('fail', 'error', 'not evidenced') THEN coalesce(OLD.open_since, NEW.evaluated_at)
        WHEN NEW.verdict = 'not read' THEN OLD.open_since
    END;
    INSERT INTO {schema}.compliance_result_history VALUES (DEFAULT, NEW.evaluated_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_verdict BEFORE UPDATE ON {schema}.compliance_results
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION {schema}.save_former_verdict();
CREATE TRIGGER save_deleted_verdict BEFORE DELETE ON {schema}.compliance_results
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_verdict();

-- Each change of a record or a policy evaluates the badge again; only another badge is another state.
CREATE FUNCTION {schema}.save_former_badge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.compliance_badge_history
        VALUES (DEFAULT, greatest(OLD.changed_at, {schema}.write_time()), {schema}.write_sync_id(), OLD.*);
        RETURN OLD;
    END IF;
    IF NEW.badge = OLD.badge THEN
        NEW.changed_at := OLD.changed_at;
        NEW.sync_id := OLD.sync_id;
        RETURN NEW;
    END IF;
    IF (NEW.changed_at, NEW.sync_id) = (OLD.changed_at, OLD.sync_id) THEN
        NEW.changed_at := {schema}.write_time();
        NEW.sync_id := {schema}.write_sync_id();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO {schema}.compliance_badge_history VALUES (DEFAULT, NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER save_former_badge BEFORE UPDATE OR DELETE ON {schema}.compliance_badges
FOR EACH ROW EXECUTE FUNCTION {schema}.save_former_badge();

-- Every state; the present one has no end. As of T: WHERE valid_from <= T AND (valid_to > T OR valid_to IS NULL).
CREATE VIEW {schema}.canonical_record_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, description, business_purpose, owner, version_number, lifecycle_stage, aliases,
       created_at, last_updated_at, deployment_status, source_run_id, logged_model_id, source_artifact_uri,
       training_status, training_user, training_started_at, training_ended_at, metrics, hyperparameters,
       evaluation_tags, experiment_id, experiment_name, code_commit, training_entrypoint, dataset_reference,
       artifact_uri, risk_category, model_tier, regulatory_scope, data_sensitivity, confidentiality,
       privacy_assessment_status, fundamental_rights_assessment_status, human_oversight_status, compliance_approver,
       approval_date, reviewer, validator, validation_date, security_assessment_version, monitoring_evidence,
       model_kind, base_model, base_model_license, prompt_reference, safety_evaluation, runtime_environment,
       artifact_manifest, evidence_files, origins, incomplete, findings, deleted_at, fingerprint,
       revision, changed_at AS valid_from, sync_id,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.canonical_records
UNION ALL
SELECT tenant_id, model_name, description, business_purpose, owner, version_number, lifecycle_stage, aliases,
       created_at, last_updated_at, deployment_status, source_run_id, logged_model_id, source_artifact_uri,
       training_status, training_user, training_started_at, training_ended_at, metrics, hyperparameters,
       evaluation_tags, experiment_id, experiment_name, code_commit, training_entrypoint, dataset_reference,
       artifact_uri, risk_category, model_tier, regulatory_scope, data_sensitivity, confidentiality,
       privacy_assessment_status, fundamental_rights_assessment_status, human_oversight_status, compliance_approver,
       approval_date, reviewer, validator, validation_date, security_assessment_version, monitoring_evidence,
       model_kind, base_model, base_model_license, prompt_reference, safety_evaluation, runtime_environment,
       artifact_manifest, evidence_files, origins, incomplete, findings, deleted_at, fingerprint,
       revision, changed_at AS valid_from, sync_id,
       valid_to, ended_by_sync_id
FROM {schema}.canonical_record_history;

CREATE VIEW {schema}.compliance_result_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id, policy_version,
       evaluated_at AS valid_from, sync_id, origins, thresholds, day, input_hash, fingerprint, open_since,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.compliance_results
UNION ALL
SELECT tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id, policy_version,
       evaluated_at AS valid_from, sync_id, origins, thresholds, day, input_hash, fingerprint, open_since,
       valid_to, ended_by_sync_id
FROM {schema}.compliance_result_history;

CREATE VIEW {schema}.compliance_badge_states WITH (security_invoker = true) AS
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS valid_from, versions_digest,
       NULL::timestamptz AS valid_to, NULL::text AS ended_by_sync_id
FROM {schema}.compliance_badges
UNION ALL
SELECT tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id,
       changed_at AS valid_from, versions_digest,
       valid_to, ended_by_sync_id
FROM {schema}.compliance_badge_history;
