-- Views for people. Each reads with the rights of the role that queries it, so that row-level security applies.

-- When each record was last confirmed. The record is not rewritten for this: a sync that finds no change only sets the
-- times of its stages. A complete listing confirms a version. Nothing confirms a deleted version: its run is not read,
-- and its record is not evaluated again.
CREATE VIEW {schema}.record_confirmations WITH (security_invoker = true) AS
SELECT r.tenant_id,
       r.model_name,
       r.version_number,
       r.changed_at,
       CASE WHEN r.deleted_at IS NULL THEN versions.reconciled_at ELSE r.deleted_at END AS version_confirmed_at,
       CASE WHEN greatest(run.changed_at, runs.reconciled_at) > r.deleted_at THEN r.deleted_at
            ELSE greatest(run.changed_at, runs.reconciled_at) END AS run_confirmed_at,
       manifest.read_at AS artifacts_confirmed_at,
       CASE WHEN judged.refreshed_at > r.deleted_at THEN r.deleted_at ELSE judged.refreshed_at END AS judged_at
FROM {schema}.canonical_records AS r
LEFT JOIN {schema}.stage_refreshes AS versions ON versions.tenant_id = r.tenant_id AND versions.stage = 'model_versions'
LEFT JOIN {schema}.stage_refreshes AS runs ON runs.tenant_id = r.tenant_id AND runs.stage = 'training_runs'
LEFT JOIN {schema}.stage_refreshes AS judged ON judged.tenant_id = r.tenant_id AND judged.stage = 'compliance_results'
LEFT JOIN {schema}.training_runs AS run
       ON run.tenant_id = r.tenant_id AND run.run_id = r.source_run_id AND run.read_error IS NULL
LEFT JOIN {schema}.artifact_manifests AS manifest
       ON manifest.tenant_id = r.tenant_id
      AND manifest.model_name = r.model_name
      AND manifest.version_number = r.version_number;

-- The entry is the hashed text; the view reads its parts from it, so that they cannot differ.
CREATE VIEW {schema}.audit_entries WITH (security_invoker = true) AS
SELECT tenant_id,
       sequence,
       (parts ->> 'occurred_at')::timestamptz AS occurred_at,
       kind,
       parts ->> 'outcome' AS outcome,
       parts ->> 'object_kind' AS object_kind,
       parts ->> 'object_name' AS object_name,
       parts ->> 'reason' AS reason,
       parts ->> 'sync_id' AS sync_id,
       parts ->> 'dagster_run_id' AS dagster_run_id,
       parts ->> 'source_uri' AS source_uri,
       parts ->> 'credential_identity' AS credential_identity,
       parts ->> 'server_version' AS server_version,
       parts ->> 'code_version' AS code_version,
       parts #>> '{actor,os_user}' AS os_user,
       parts #>> '{actor,database_role}' AS database_role,
       parts #>> '{actor,dagster_user}' AS dagster_user,
       parts -> 'counts' AS counts,
       entry_hash
FROM (SELECT tenant_id, sequence, kind, entry_hash, entry::jsonb AS parts FROM {schema}.audit_trail) AS parsed;
