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

-- What people ask of the present states: which are newer than some time.
CREATE INDEX canonical_records_by_change ON verifywise.canonical_records (tenant_id, changed_at);
-- Few, and counted by each sync.
CREATE INDEX canonical_records_incomplete ON verifywise.canonical_records (tenant_id)
WHERE gone_at IS NULL AND incomplete <> '[]'::jsonb;

-- Former states: when and by which sync one ended, and then the row as it was. The end comes first, so that a column
-- which is added to both tables, behind the others, leaves the triggers below as they are.
CREATE TABLE verifywise.canonical_record_history (
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE verifywise.canonical_records,
    PRIMARY KEY (tenant_id, model_name, version_number, revision)
);

CREATE INDEX canonical_record_history_by_begin ON verifywise.canonical_record_history (tenant_id, changed_at);
CREATE INDEX canonical_record_history_by_end ON verifywise.canonical_record_history (tenant_id, held_until);

CREATE TABLE verifywise.compliance_result_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE verifywise.compliance_results,
    PRIMARY KEY (state_id)
);

CREATE INDEX compliance_result_history_by_version
ON verifywise.compliance_result_history (tenant_id, model_name, version_number, rule_id);
CREATE INDEX compliance_result_history_by_end ON verifywise.compliance_result_history (tenant_id, held_until);

CREATE TABLE verifywise.compliance_badge_history (
    state_id BIGINT GENERATED ALWAYS AS IDENTITY,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_by_sync_id TEXT NOT NULL,
    LIKE verifywise.compliance_badges,
    PRIMARY KEY (state_id)
);

CREATE INDEX compliance_badge_history_by_version
ON verifywise.compliance_badge_history (tenant_id, model_name, version_number);
CREATE INDEX compliance_badge_history_by_end ON verifywise.compliance_badge_history (tenant_id, held_until);

-- Who ends a state without putting a new one in its place can tell in two settings of the transaction when that is and
-- by which sync. Who tells nothing writes now, and is no sync: ''.
CREATE FUNCTION verifywise.time_of_writing() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(nullif(current_setting('verifywise.now', true), '')::timestamptz, now())
$$;
CREATE FUNCTION verifywise.writing_sync() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(current_setting('verifywise.sync_id', true), '')
$$;

-- The triggers have the owner's rights, since writers have none on the history. They fire on every change, so that an
-- UPDATE by hand leaves its trace, too: it names neither its time nor a sync, and must not pass for the last one's.
-- A clock that went back must not end a state before it began, hence the greatest of two times: the state that it
-- would have ended earlier gets no length instead. To erase a tenant, its histories have to be deleted last.
CREATE FUNCTION verifywise.keep_former_record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO verifywise.canonical_record_history
        VALUES (greatest(OLD.changed_at, verifywise.time_of_writing()), verifywise.writing_sync(), OLD.*);
        RETURN OLD;
    END IF;
    IF NEW.revision = OLD.revision THEN
        NEW.revision := nextval('verifywise.revisions');
        NEW.fingerprint := '';  -- it was of what the row held, so that the next sync that builds the record writes it
        NEW.changed_at := verifywise.time_of_writing();
        NEW.sync_id := verifywise.writing_sync();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO verifywise.canonical_record_history VALUES (NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_record BEFORE UPDATE ON verifywise.canonical_records
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION verifywise.keep_former_record();
CREATE TRIGGER keep_deleted_record BEFORE DELETE ON verifywise.canonical_records
FOR EACH ROW EXECUTE FUNCTION verifywise.keep_former_record();

CREATE FUNCTION verifywise.keep_former_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO verifywise.compliance_result_history
        VALUES (
            DEFAULT, greatest(OLD.evaluated_at, verifywise.time_of_writing()), verifywise.writing_sync(), OLD.*
        );
        RETURN OLD;
    END IF;
    IF (NEW.evaluated_at, NEW.sync_id) = (OLD.evaluated_at, OLD.sync_id) THEN
        NEW.evaluated_at := verifywise.time_of_writing();
        NEW.sync_id := verifywise.writing_sync();
    END IF;
    NEW.evaluated_at := greatest(OLD.evaluated_at, NEW.evaluated_at);
    INSERT INTO verifywise.compliance_result_history VALUES (DEFAULT, NEW.evaluated_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_verdict BEFORE UPDATE ON verifywise.compliance_results
FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION verifywise.keep_former_verdict();
CREATE TRIGGER keep_deleted_verdict BEFORE DELETE ON verifywise.compliance_results
FOR EACH ROW EXECUTE FUNCTION verifywise.keep_former_verdict();

-- A badge is judged anew with each change of its record and of the policy; only another word is another state.
CREATE FUNCTION verifywise.keep_former_badge() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO verifywise.compliance_badge_history
        VALUES (DEFAULT, greatest(OLD.changed_at, verifywise.time_of_writing()), verifywise.writing_sync(), OLD.*);
        RETURN OLD;
    END IF;
    IF NEW.badge = OLD.badge THEN
        NEW.changed_at := OLD.changed_at;
        NEW.sync_id := OLD.sync_id;
        RETURN NEW;
    END IF;
    IF (NEW.changed_at, NEW.sync_id) = (OLD.changed_at, OLD.sync_id) THEN
        NEW.changed_at := verifywise.time_of_writing();
        NEW.sync_id := verifywise.writing_sync();
    END IF;
    NEW.changed_at := greatest(OLD.changed_at, NEW.changed_at);
    INSERT INTO verifywise.compliance_badge_history VALUES (DEFAULT, NEW.changed_at, NEW.sync_id, OLD.*);
    RETURN NEW;
END $$;

CREATE TRIGGER keep_former_badge BEFORE UPDATE OR DELETE ON verifywise.compliance_badges
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
