-- The tables. A table that belongs to an asset has the asset's name. Each write of the content of a row that was read,
-- and of a canonical record, draws a new number from this sequence. A row that was built from another row stores the
-- revision of that row.
CREATE SEQUENCE {schema}.revisions AS BIGINT;

-- Tenants, and how far each of their stages has come.
CREATE TABLE {schema}.tenants (
    tenant_id TEXT NOT NULL,
    tracking_uri TEXT NOT NULL,
    workspace TEXT,
    first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deactivated_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id)
);

CREATE TABLE {schema}.stage_refreshes (
    tenant_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    refreshed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reconciled_at TIMESTAMP WITH TIME ZONE,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, stage)
);

-- How many bytes the tenant's syncs have written to its histories on a day, UTC, and how many changes the last sync
-- held back.
CREATE TABLE {schema}.history_usage (
    tenant_id TEXT NOT NULL,
    day DATE NOT NULL,
    bytes_written BIGINT NOT NULL,
    held_back BIGINT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id)
);

-- The revision of a tenant's rows up to which a stage has nothing pending. basis is a digest of the stage's settings.
CREATE TABLE {schema}.stage_watermarks (
    tenant_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    basis TEXT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, stage)
);

-- The newest update time of a version in the last complete listing: milliseconds since 1970.
CREATE TABLE {schema}.poll_watermarks (
    tenant_id TEXT NOT NULL,
    newest_version_time BIGINT,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id)
);

-- A transaction locks a row, so that another transaction waits for it. Readers have no access.
CREATE TABLE {schema}.tenant_locks (
    tenant_id TEXT NOT NULL,
    lock TEXT NOT NULL,
    PRIMARY KEY (tenant_id, lock)
);

-- Every version of a tenant's mapping, policies, description, declared AI systems and redaction settings, in full.
CREATE TABLE {schema}.config_versions (
    config_version_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    document JSONB NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (config_version_id)
);
CREATE INDEX config_versions_by_kind ON {schema}.config_versions (tenant_id, kind, config_version_id);

-- What MLflow holds, as last read.
CREATE TABLE {schema}.registered_models (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    description TEXT,
    tags JSONB NOT NULL,
    aliases JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    hidden_from_search BOOLEAN NOT NULL,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    incarnation INTEGER DEFAULT 1 NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name)
);
CREATE INDEX registered_models_by_revision ON {schema}.registered_models (tenant_id, revision);

CREATE TABLE {schema}.model_versions (
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
    logged_model_location TEXT,
    copied_from JSONB DEFAULT '[]' NOT NULL,
    origin_source TEXT,
    origin_run_id TEXT,
    origin_problem TEXT,
    status TEXT,
    status_message TEXT,
    run_link TEXT,
    deployment_job_state TEXT,
    tags JSONB NOT NULL,
    hidden_from_search BOOLEAN NOT NULL,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    incarnation INTEGER DEFAULT 1 NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
CREATE INDEX model_versions_by_run ON {schema}.model_versions (tenant_id, run_id);
-- This index has few rows: the runs of copies that have no run of their own.
CREATE INDEX model_versions_by_origin_run ON {schema}.model_versions (tenant_id, origin_run_id) WHERE run_id IS NULL;
CREATE INDEX model_versions_by_logged_model ON {schema}.model_versions (tenant_id, logged_model_id);
CREATE INDEX model_versions_by_creation ON {schema}.model_versions (tenant_id, created_at);
CREATE INDEX model_versions_by_revision ON {schema}.model_versions (tenant_id, revision);

CREATE TABLE {schema}.prompts (
    tenant_id TEXT NOT NULL,
    prompt_name TEXT NOT NULL,
    description TEXT,
    tags JSONB NOT NULL,
    aliases JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    incarnation INTEGER DEFAULT 1 NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, prompt_name)
);
CREATE INDEX prompts_by_revision ON {schema}.prompts (tenant_id, revision);

-- The template may hold secrets, so only its digest, its length and the names of its variables are stored.
CREATE TABLE {schema}.prompt_versions (
    tenant_id TEXT NOT NULL,
    prompt_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    aliases JSONB NOT NULL,
    commit_message TEXT,
    prompt_type TEXT,
    template_sha256 TEXT,
    template_length INTEGER,
    variables JSONB NOT NULL,
    has_response_format BOOLEAN NOT NULL,
    model_config JSONB NOT NULL,
    tags JSONB NOT NULL,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    incarnation INTEGER DEFAULT 1 NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, prompt_name, version_number)
);

-- Logged models of the type agent, including those from which no version was registered.
CREATE TABLE {schema}.agents (
    tenant_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    name TEXT,
    status TEXT,
    experiment_id TEXT,
    experiment_name TEXT,
    source_run_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    params JSONB NOT NULL,
    metrics JSONB NOT NULL,
    tags JSONB NOT NULL,
    linked_prompts JSONB,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    incarnation INTEGER DEFAULT 1 NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_id)
);

CREATE TABLE {schema}.training_runs (
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
    redactions JSONB DEFAULT '[]' NOT NULL,
    read_error TEXT,
    retry BOOLEAN NOT NULL,
    deferred BOOLEAN DEFAULT false NOT NULL,
    read_for_revision BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);
CREATE INDEX training_runs_by_revision ON {schema}.training_runs (tenant_id, revision);
CREATE INDEX training_runs_to_read_again ON {schema}.training_runs (tenant_id)
    WHERE retry OR read_error IS NULL AND status IN ('RUNNING', 'SCHEDULED');

CREATE TABLE {schema}.logged_models (
    tenant_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    experiment_id TEXT,
    experiment_name TEXT,
    name TEXT,
    source_run_id TEXT,
    artifact_uri TEXT,
    location_key TEXT,
    shares_location BOOLEAN DEFAULT false NOT NULL,
    status TEXT,
    model_type TEXT,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    params JSONB NOT NULL,
    metrics JSONB NOT NULL,
    datasets JSONB DEFAULT '[]' NOT NULL,
    tags JSONB NOT NULL,
    problems JSONB NOT NULL,
    redactions JSONB DEFAULT '[]' NOT NULL,
    read_error TEXT,
    retry BOOLEAN NOT NULL,
    deferred BOOLEAN DEFAULT false NOT NULL,
    read_for_revision BIGINT NOT NULL,
    generative_evaluation JSONB,
    evaluation_error TEXT,
    evaluation_basis TEXT,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, model_id)
);
CREATE INDEX logged_models_to_read_again ON {schema}.logged_models (tenant_id)
    WHERE retry OR read_error IS NULL AND status IN ('RUNNING', 'SCHEDULED');
CREATE INDEX logged_models_by_location ON {schema}.logged_models (tenant_id, location_key);
CREATE INDEX logged_models_by_run ON {schema}.logged_models (tenant_id, source_run_id);
CREATE INDEX logged_models_by_revision ON {schema}.logged_models (tenant_id, revision);

-- location_md5 is a column, since row-level security prevents the use of an index on an expression that might fail. It
-- is a hash, since an index entry has at most 2,704 bytes and a URI may be longer.
CREATE TABLE {schema}.artifact_manifests (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    location_key TEXT NOT NULL,
    manifest JSON NOT NULL,
    retry BOOLEAN NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    hashed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    held_back_since TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    location_md5 TEXT GENERATED ALWAYS AS (md5(manifest ->> 'location')) STORED,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
CREATE INDEX artifact_manifests_by_location ON {schema}.artifact_manifests (tenant_id, location_md5);
CREATE INDEX artifact_manifests_by_revision ON {schema}.artifact_manifests (tenant_id, revision);
CREATE INDEX artifact_manifests_by_hashing ON {schema}.artifact_manifests (tenant_id, hashed_at)
    WHERE held_back_since IS NULL;
CREATE INDEX artifact_manifests_to_retry ON {schema}.artifact_manifests (tenant_id) WHERE retry;
CREATE INDEX artifact_manifests_held_back ON {schema}.artifact_manifests (tenant_id)
    WHERE held_back_since IS NOT NULL;

-- Events: rows are added and never changed.
CREATE TABLE {schema}.integrity_events (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    location TEXT,
    kind TEXT NOT NULL,
    root TEXT NOT NULL,
    path TEXT NOT NULL,
    former_sha256 TEXT,
    sha256 TEXT,
    former_size BIGINT,
    size BIGINT,
    former_read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (event_id)
);
CREATE INDEX integrity_events_by_version ON {schema}.integrity_events (tenant_id, model_name, version_number);

CREATE TABLE {schema}.lifecycle_events (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER,
    incarnation INTEGER NOT NULL,
    kind TEXT NOT NULL,
    alias TEXT,
    previous TEXT,
    value TEXT,
    happened_at TIMESTAMP WITH TIME ZONE,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (event_id)
);
CREATE INDEX lifecycle_events_by_version
ON {schema}.lifecycle_events (tenant_id, model_name, version_number, event_id);
CREATE INDEX lifecycle_events_by_time ON {schema}.lifecycle_events (tenant_id, seen_at);

-- Canonical records, and the revisions of the rows that each record was built from.
CREATE TABLE {schema}.canonical_records (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    description TEXT,
    business_purpose TEXT,
    owner TEXT,
    ai_system TEXT,
    version_number INTEGER NOT NULL,
    lifecycle_stage TEXT,
    aliases JSONB,
    created_at TIMESTAMP WITH TIME ZONE,
    last_updated_at TIMESTAMP WITH TIME ZONE,
    deployment_status TEXT,
    source_run_id TEXT,
    logged_model_id TEXT,
    source_artifact_uri TEXT,
    training_status TEXT,
    training_user TEXT,
    training_started_at TIMESTAMP WITH TIME ZONE,
    training_ended_at TIMESTAMP WITH TIME ZONE,
    metrics JSON,
    hyperparameters JSON,
    evaluation_tags JSON,
    generative_evaluation JSON,
    experiment_id TEXT,
    experiment_name TEXT,
    code_commit TEXT,
    training_entrypoint TEXT,
    dataset_reference JSONB,
    artifact_uri TEXT,
    risk_category TEXT,
    model_tier TEXT,
    regulatory_scope TEXT,
    data_sensitivity TEXT,
    confidentiality TEXT,
    privacy_assessment_status TEXT,
    fundamental_rights_assessment_status TEXT,
    human_oversight_status TEXT,
    compliance_approver TEXT,
    approval_date TEXT,
    reviewer TEXT,
    validator TEXT,
    validation_date TEXT,
    security_assessment_version TEXT,
    monitoring_evidence TEXT,
    model_kind TEXT,
    base_model TEXT,
    base_model_license TEXT,
    prompt_reference TEXT,
    linked_prompts JSONB,
    safety_evaluation TEXT,
    runtime_environment JSON,
    artifact_manifest JSON,
    evidence_files JSONB,
    origins JSON NOT NULL,
    incomplete JSONB NOT NULL,
    findings JSON NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    fingerprint TEXT NOT NULL,
    revision BIGINT DEFAULT nextval('{schema}.revisions') NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
CREATE INDEX canonical_records_by_change ON {schema}.canonical_records (tenant_id, changed_at);
CREATE INDEX canonical_records_by_revision ON {schema}.canonical_records (tenant_id, revision);
-- This index has few rows: living records are counted as all records minus these.
CREATE INDEX canonical_records_deleted ON {schema}.canonical_records (tenant_id, model_name, version_number)
WHERE deleted_at IS NOT NULL;
-- This index has few rows, which each sync counts.
CREATE INDEX canonical_records_incomplete ON {schema}.canonical_records (tenant_id)
WHERE deleted_at IS NULL AND incomplete <> '[]'::jsonb;
-- This index has few rows, which each evaluation groups by model.
CREATE INDEX canonical_records_in_use ON {schema}.canonical_records (tenant_id, model_name, version_number)
INCLUDE (lifecycle_stage, deployment_status)
WHERE deleted_at IS NULL
AND (lifecycle_stage IN ('production', 'staging') OR deployment_status IN ('deployed', 'partly_deployed'));

CREATE TABLE {schema}.record_inputs (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    model_revision BIGINT,
    version_revision BIGINT NOT NULL,
    run_revision BIGINT,
    logged_model_revision BIGINT,
    manifest_revision BIGINT,
    -- The prompts that the record names, and the newest revision of those that the registry has.
    prompt_names TEXT[],
    prompt_revision BIGINT,
    mapping_digest TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
-- This index has few rows: the versions that name prompts.
CREATE INDEX record_inputs_with_prompts ON {schema}.record_inputs (tenant_id, model_name, version_number)
WHERE prompt_names IS NOT NULL;

-- Verdicts, badges and waivers.
-- All verdicts on a version are one row: a row for each verdict would cost several times as much to write. The columns
-- that queries search are arrays with an element for each rule. Each of the other columns is one text with a cell for
-- each rule, in the same order, separated by U+001E: Postgres needs a third of the time to write a text. No cell
-- contains the separator. Cells of values, origins and thresholds are JSON; an empty day is null. The views
-- compliance_results and compliance_verdicts have a row for each verdict. A row may fill a page, since moving its
-- columns to the TOAST table would cost more than writing them.
CREATE TABLE {schema}.version_verdicts (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    rule_ids TEXT[] NOT NULL,
    rule_versions TEXT NOT NULL,
    verdicts TEXT[] NOT NULL,
    reasons TEXT NOT NULL,
    values TEXT NOT NULL,
    policy_ids TEXT NOT NULL,
    policy_versions TEXT NOT NULL,
    evaluated_at TIMESTAMP WITH TIME ZONE[] NOT NULL,
    sync_ids TEXT[] NOT NULL,
    origins TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    days TEXT NOT NULL,
    input_hashes TEXT NOT NULL,
    fingerprints TEXT[] NOT NULL,
    open_since TIMESTAMP WITH TIME ZONE[] NOT NULL,
    PRIMARY KEY (tenant_id, model_name, version_number),
    CONSTRAINT one_element_per_rule CHECK (
        cardinality(rule_ids) = ALL (ARRAY[
            cardinality(verdicts), cardinality(evaluated_at), cardinality(sync_ids), cardinality(fingerprints),
            cardinality(open_since)
        ])
    ),
    CONSTRAINT one_cell_per_rule CHECK (
        cardinality(rule_ids) - 1 = ALL (ARRAY[
            octet_length(rule_versions) - octet_length(replace(rule_versions, E'\x1e', '')),
            octet_length(reasons) - octet_length(replace(reasons, E'\x1e', '')),
            octet_length(values) - octet_length(replace(values, E'\x1e', '')),
            octet_length(policy_ids) - octet_length(replace(policy_ids, E'\x1e', '')),
            octet_length(policy_versions) - octet_length(replace(policy_versions, E'\x1e', '')),
            octet_length(origins) - octet_length(replace(origins, E'\x1e', '')),
            octet_length(thresholds) - octet_length(replace(thresholds, E'\x1e', '')),
            octet_length(days) - octet_length(replace(days, E'\x1e', '')),
            octet_length(input_hashes) - octet_length(replace(input_hashes, E'\x1e', ''))
        ])
    ),
    -- The views cast these cells, so a cell that cannot be cast would break each query of the tenant's verdicts.
    CONSTRAINT numbers_and_days CHECK (
        string_to_array(rule_versions, E'\x1e')::integer[] IS NOT NULL
        AND string_to_array(days, E'\x1e', '')::date[] IS NOT NULL
    )
) WITH (toast_tuple_target = 8160);
-- Hashes do not compress, so Postgres does not try.
ALTER TABLE {schema}.version_verdicts
ALTER input_hashes SET STORAGE EXTERNAL, ALTER fingerprints SET STORAGE EXTERNAL;

-- evaluated_at is the time of the record's last evaluation. changed_at is the time since which the badge has had its
-- present value. versions_digest is the digest of the model's versions in use, if this version is in use. After a
-- change of one version in use, the other versions in use are evaluated again.
CREATE TABLE {schema}.compliance_badges (
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    badge TEXT NOT NULL,
    record_revision BIGINT NOT NULL,
    policy_digest TEXT NOT NULL,
    evaluated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    versions_digest TEXT,
    PRIMARY KEY (tenant_id, model_name, version_number)
);
CREATE INDEX compliance_badges_by_evaluation ON {schema}.compliance_badges (tenant_id, evaluated_at);

-- A cache. Triggers raise revision with each change of the counted rows. The counts are current while counted_revision
-- equals revision and the same waivers are in force, but only until valid_until, if there is such a time.
CREATE TABLE {schema}.compliance_counts (
    tenant_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    counted_revision BIGINT,
    counted_at TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    waiver_ids JSONB,
    counts JSONB,
    PRIMARY KEY (tenant_id)
);

-- The parts of the counts above: a bucket has the keys from its first key up to the first key of the next bucket. basis
-- is a digest of what the counts depend on besides rows. counts are JSON as text, which Postgres need not parse. Pages
-- are half full, so that the new version of an updated row fits next to the old version.
CREATE TABLE {schema}.compliance_count_buckets (
    tenant_id TEXT NOT NULL,
    first_model TEXT NOT NULL,
    first_version INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    counted_revision BIGINT,
    counted_at TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    basis TEXT,
    counts TEXT,
    PRIMARY KEY (tenant_id, first_model, first_version)
) WITH (fillfactor = 50);

CREATE TABLE {schema}.waivers (
    waiver_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    model TEXT NOT NULL,
    version_number INTEGER,
    approver TEXT NOT NULL,
    reason TEXT NOT NULL,
    expires_on DATE NOT NULL,
    source TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    end_reason TEXT,
    PRIMARY KEY (waiver_id)
);
CREATE INDEX waivers_by_rule ON {schema}.waivers (tenant_id, rule_id);

-- The versions whose current state was not yet delivered to a target.
CREATE TABLE {schema}.delivery_outbox (
    tenant_id TEXT NOT NULL,
    target TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    cause TEXT NOT NULL,
    revision BIGINT NOT NULL DEFAULT nextval('{schema}.revisions'),
    pending_since TIMESTAMP WITH TIME ZONE NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    not_before TIMESTAMP WITH TIME ZONE,
    parked_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    PRIMARY KEY (tenant_id, target, model_name, version_number)
);
CREATE INDEX delivery_outbox_by_revision ON {schema}.delivery_outbox (tenant_id, target, revision);

-- The events that are to be delivered to webhooks, a row for each webhook. Each attempt sends the body, or a chat
-- message that is made from it.
CREATE TABLE {schema}.delivery_events (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (event_id)
);
CREATE INDEX delivery_events_by_version
ON {schema}.delivery_events (tenant_id, target, model_name, version_number, event_id);

-- The content that was last written to each target. destination is a digest of the target's address and of our
-- organization there, to which the remote ids belong. intended is set before a request is sent and cleared after its
-- success.
CREATE TABLE {schema}.delivery_ledger (
    tenant_id TEXT NOT NULL,
    target TEXT NOT NULL,
    destination TEXT NOT NULL,
    model_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    item TEXT NOT NULL,
    remote_id TEXT,
    written JSONB,
    intended JSONB,
    intended_at TIMESTAMP WITH TIME ZONE,
    written_at TIMESTAMP WITH TIME ZONE,
    remark TEXT,
    PRIMARY KEY (tenant_id, target, destination, model_name, version_number, incarnation, item)
);

-- The state of each target of a tenant. Without confirmed_at, its deliveries are not allowed yet.
CREATE TABLE {schema}.delivery_targets (
    tenant_id TEXT NOT NULL,
    target TEXT NOT NULL,
    settings_digest TEXT NOT NULL,
    enqueued_all_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    waiting_reason TEXT,
    retry_at TIMESTAMP WITH TIME ZONE,
    last_tried_at TIMESTAMP WITH TIME ZONE,
    last_delivered_at TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    PRIMARY KEY (tenant_id, target)
);

-- Other networks reach the listener, and pipelines read what the listener writes to the next three tables. So the
-- constraints refuse values that would stop a pipeline, such as a time that the driver cannot read. The lengths are those
-- that the listener's code allows.

-- What MLflow's webhooks reported: the objects to read again. Version 0 is the model or prompt itself.
CREATE TABLE {schema}.change_hints (
    tenant_id TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    version_number INTEGER NOT NULL,
    revision BIGINT NOT NULL DEFAULT nextval('{schema}.revisions'),
    first_received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, object_kind, object_name, version_number),
    CONSTRAINT change_hints_object CHECK (
        object_kind IN ('model', 'prompt', 'registry') AND octet_length(object_name) <= 2000 AND version_number >= 0
    ),
    CONSTRAINT change_hints_tenant CHECK (octet_length(tenant_id) <= 63),
    CONSTRAINT change_hints_times CHECK (
        first_received_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
        AND received_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
    )
);

-- The deliveries of the last minutes, so that a repeated delivery has no effect. Each row has the models and prompts
-- that its delivery names.
CREATE TABLE {schema}.webhook_deliveries (
    tenant_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    object_names JSONB NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id),
    CONSTRAINT webhook_deliveries_keys CHECK (octet_length(tenant_id) <= 63 AND octet_length(delivery_id) <= 128),
    CONSTRAINT webhook_deliveries_time CHECK (
        received_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
    ),
    -- A delivery names one model or prompt. JSON writes a byte of the name with up to six bytes.
    CONSTRAINT webhook_deliveries_object_names CHECK (
        jsonb_typeof(object_names) = 'array'
        AND NOT jsonb_path_exists(object_names, 'strict $[*] ? (@.type() != "string")', silent => true)
        AND octet_length(object_names::text) <= 16384
    )
);
CREATE INDEX webhook_deliveries_by_time ON {schema}.webhook_deliveries (tenant_id, received_at);

-- Whether a tenant's webhooks are alive.
CREATE TABLE {schema}.webhook_status (
    tenant_id TEXT NOT NULL,
    last_delivery_at TIMESTAMP WITH TIME ZONE,
    last_event_at TIMESTAMP WITH TIME ZONE,
    last_missed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id),
    CONSTRAINT webhook_status_tenant CHECK (octet_length(tenant_id) <= 63),
    CONSTRAINT webhook_status_times CHECK (
        last_delivery_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
        AND last_event_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
        AND last_missed_at BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'
    )
);

-- The audit trail: entry is canonical JSON, the bytes that were hashed. kind is a column, since row-level security
-- prevents the use of an index on an expression that might fail.
CREATE TABLE {schema}.audit_trail (
    tenant_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    entry TEXT NOT NULL,
    entry_hash TEXT NOT NULL,
    kind TEXT GENERATED ALWAYS AS (entry::jsonb ->> 'kind') STORED,
    PRIMARY KEY (tenant_id, sequence),
    CONSTRAINT audit_trail_entry_size CHECK (octet_length(entry) <= 65536)
);
CREATE INDEX audit_trail_by_kind ON {schema}.audit_trail (tenant_id, kind, sequence);

CREATE TABLE {schema}.audit_checkpoints (
    tenant_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    checkpoint TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (tenant_id, sequence, signature)
);

-- Which checkpoint each witness has, and since when. receipt is the witness's response: where the checkpoint is, or a
-- time-stamp token.
CREATE TABLE {schema}.checkpoint_receipts (
    tenant_id TEXT NOT NULL,
    witness TEXT NOT NULL,
    stored_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sequence BIGINT NOT NULL,
    signature TEXT NOT NULL,
    receipt JSONB NOT NULL,
    PRIMARY KEY (tenant_id, witness, stored_at)
);

-- Every state that was written: the leaves of a Merkle tree whose root the trail commits. Hashed texts are sorted by
-- their bytes, so that every server gives the same order.
CREATE TABLE {schema}.state_log (
    tenant_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    model_name TEXT COLLATE "C" NOT NULL,
    version_number INTEGER NOT NULL,
    object_id TEXT COLLATE "C" NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sync_id TEXT NOT NULL,
    content TEXT NOT NULL,
    leaf_hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, position)
);
CREATE INDEX state_log_by_object
ON {schema}.state_log (tenant_id, model_name, version_number, kind, object_id, position);

CREATE TABLE {schema}.state_commitments (
    tenant_id TEXT NOT NULL,
    size BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    frontier TEXT NOT NULL,
    PRIMARY KEY (tenant_id, size)
);

CREATE TABLE {schema}.state_models (
    tenant_id TEXT NOT NULL,
    model_name TEXT COLLATE "C" NOT NULL,
    root TEXT NOT NULL,
    PRIMARY KEY (tenant_id, model_name)
);

-- Which database roles `db grant` has given access.
CREATE TABLE {schema}.role_grants (
    role_name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('pipeline', 'reader', 'listener')),
    tenant_id TEXT CHECK ((kind = 'reader') = (tenant_id IS NOT NULL)),
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    granted_by_os_user TEXT NOT NULL,
    granted_by_role TEXT NOT NULL,
    PRIMARY KEY (role_name)
);
