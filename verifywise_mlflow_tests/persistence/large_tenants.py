"""Three tenants with thousands of versions each and nothing pending. The database writes them in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text

TENANTS = ("acme", "globex", "initech")
VERSIONS = 5_000
VERSIONS_A_MODEL = 10
RULES = 3

SETTINGS, MAPPING, POLICY = "settings", "mapping", "policy"
"""The digests of the settings, the mapping and the policy that all rows name."""
MODEL, NUMBER = "model-000123", 4
"""One of the versions, which is the same for each tenant."""
LOCATION = "s3://bucket/1233"
"""The location of this version's files."""
NOW = datetime(2026, 3, 1, tzinfo=UTC)

# $tenant, $now, $rules and $size (of the arrays of rules) are replaced; n is a version's number in the tenant.
_ROWS = """
INSERT INTO registered_models (tenant_id, model_name, tags, aliases, hidden_from_search, problems, fingerprint,
                               changed_at)
SELECT $tenant, model, '{}', '{"champion": 4}', false, '[]', 'f', $now FROM of_models;

INSERT INTO model_versions (tenant_id, model_name, version_number, source, run_id, logged_model_id, aliases, tags,
                            hidden_from_search, problems, fingerprint, created_at, changed_at)
SELECT $tenant, model, number, CASE WHEN n % 2 = 0 THEN 'models:/m-' || n ELSE 's3://bucket/' || n END, 'run-' || n,
       CASE WHEN n % 2 = 0 THEN 'm-' || n END, '[]', jsonb_build_object('team', repeat('words ', 50)), false, '[]',
       md5(n::text), $now - n * interval '1 second', $now
FROM of_versions;

INSERT INTO training_runs (tenant_id, run_id, status, artifact_uri, metrics, params, tags, datasets, logged_model_ids,
                           problems, retry, read_for_revision, fingerprint, changed_at)
SELECT $tenant, 'run-' || n, 'FINISHED', 's3://bucket/' || n, '{}', jsonb_build_object('words', repeat('words ', 100)),
       '{}', '[]', '[]', '[]', false, 1000000000, 'f', $now
FROM of_versions;

INSERT INTO logged_models (tenant_id, model_id, source_run_id, status, params, metrics, tags, problems, retry,
                           read_for_revision, fingerprint, changed_at)
SELECT $tenant, 'm-' || n, 'run-' || n, 'READY', jsonb_build_object('words', repeat('words ', 50)), '{}', '{}', '[]',
       false, 1000000000, 'f', $now
FROM of_versions WHERE n % 2 = 0;

INSERT INTO artifact_manifests (tenant_id, model_name, version_number, location_key, manifest, retry, read_at,
                                hashed_at, fingerprint, changed_at)
SELECT $tenant, v.model_name, v.version_number,
       md5(concat('settings', jsonb_build_array(
           v.source, v.run_id, r.artifact_uri, r.status, l.artifact_uri, v.incarnation))),
       jsonb_build_object('location', r.artifact_uri, 'status', 'complete', 'files', '[]'::jsonb, 'reason', NULL,
                          'environment', NULL, 'digest', repeat('words ', 100)),
       false, $now, $now, 'f', $now
FROM model_versions AS v
JOIN training_runs AS r ON r.tenant_id = v.tenant_id AND r.run_id = v.run_id
LEFT JOIN logged_models AS l ON l.tenant_id = v.tenant_id AND l.model_id = v.logged_model_id
WHERE v.tenant_id = $tenant;

INSERT INTO canonical_records (tenant_id, model_name, version_number, lifecycle_stage, origins, incomplete, findings,
                               fingerprint, changed_at, sync_id)
SELECT $tenant, model, number, CASE WHEN number = 1 THEN 'production' END,
       jsonb_build_object('words', repeat('words ', 100)), '[]', '[]', 'f', $now, 'sync-2'
FROM of_versions;

INSERT INTO canonical_record_history (tenant_id, model_name, version_number, origins, incomplete, findings, fingerprint,
                                      revision, changed_at, sync_id, valid_to, ended_by_sync_id)
SELECT $tenant, model, number, jsonb_build_object('words', repeat('words ', 100)), '[]', '[]', 'f', state,
       $now - state * interval '1 day', 'sync-1', $now - (state - 1) * interval '1 day', 'sync-2'
FROM of_versions, generate_series(1, 3) AS state;

INSERT INTO prompts (tenant_id, prompt_name, tags, aliases, problems, fingerprint, changed_at)
SELECT $tenant, 'prompt-' || n, '{}', '{}', '[]', 'f', $now FROM of_versions WHERE n % 5 = 0;

INSERT INTO record_inputs
SELECT $tenant, v.model_name, v.version_number, m.revision, v.revision, r.revision, l.revision, a.revision,
       CASE WHEN p.revision IS NOT NULL THEN ARRAY['elsewhere', p.prompt_name] END, p.revision, 'mapping'
FROM model_versions AS v
JOIN registered_models AS m USING (tenant_id, model_name)
JOIN training_runs AS r USING (tenant_id, run_id)
JOIN artifact_manifests AS a USING (tenant_id, model_name, version_number)
LEFT JOIN logged_models AS l ON l.tenant_id = v.tenant_id AND l.model_id = v.logged_model_id
LEFT JOIN prompts AS p ON p.tenant_id = v.tenant_id AND concat('run-', substring(p.prompt_name FROM 8), '0') = v.run_id
WHERE v.tenant_id = $tenant;

INSERT INTO version_verdicts
SELECT $tenant, model, number, array_agg('rule-' || rule), string_agg('1', E'\x1e'),
       array_agg(CASE WHEN (n + rule) % 50 = 0 THEN 'fail' ELSE 'pass' END), string_agg('reason', E'\x1e'),
       string_agg('{}', E'\x1e'), string_agg('policy', E'\x1e'), string_agg('1', E'\x1e'),
       array_fill($now, $size), array_fill('sync-2'::text, $size), string_agg('{}', E'\x1e'),
       string_agg('{}', E'\x1e'), string_agg('', E'\x1e'), string_agg('h', E'\x1e'),
       array_fill('f'::text, $size), array_fill(NULL::timestamptz, $size)
FROM of_versions, generate_series(1, $rules) AS rule GROUP BY model, number, n;

INSERT INTO version_verdict_history (tenant_id, model_name, version_number, rule_ids, rule_versions, verdicts, reasons,
                                     values, policy_ids, policy_versions, evaluated_at, sync_ids, origins, thresholds,
                                     days, input_hashes, fingerprints, open_since, valid_to, ended_by_sync_id)
SELECT tenant_id, model_name, version_number, rule_ids, rule_versions, array_fill('fail'::text, $size), reasons,
       values, policy_ids, policy_versions, array_fill($now - interval '2 days', $size),
       array_fill('sync-1'::text, $size), origins, thresholds, days, input_hashes, fingerprints, open_since,
       $now, 'sync-2'
FROM version_verdicts WHERE tenant_id = $tenant;

INSERT INTO compliance_badges
SELECT tenant_id, model_name, version_number, 'green', revision, 'policy', $now, 'sync-2', $now,
       CASE WHEN lifecycle_stage = 'production' THEN md5(version_number || '/' || lifecycle_stage) END
FROM canonical_records WHERE tenant_id = $tenant;

INSERT INTO compliance_badge_history (tenant_id, model_name, version_number, badge, record_revision, policy_digest,
                                      evaluated_at, sync_id, changed_at, valid_to, ended_by_sync_id)
SELECT $tenant, model, number, 'red', 1, 'policy', $now - interval '2 days', 'sync-1', $now - interval '2 days', $now,
       'sync-2'
FROM of_versions;

INSERT INTO lifecycle_events (tenant_id, model_name, version_number, incarnation, kind, value, seen_at, sync_id)
SELECT $tenant, model, number, 1, kind, 'Production', $now - n * interval '1 minute', 'sync-1'
FROM of_versions, unnest(ARRAY['first seen', 'stage']) AS kind;

INSERT INTO integrity_events (tenant_id, model_name, version_number, incarnation, kind, root, path, former_read_at,
                              seen_at, sync_id)
SELECT $tenant, model, number, 1, 'changed', 'model', 'model.pkl', $now, $now, 'sync-1' FROM of_versions;

INSERT INTO audit_trail (tenant_id, sequence, entry, entry_hash)
SELECT $tenant, n, jsonb_build_object('kind', CASE WHEN n % 500 = 0 THEN 'erasure' ELSE 'sync ended' END, 'sequence', n,
                                      'reason', repeat('words ', 20))::text, md5(n::text)
FROM of_versions;
"""

_OF_VERSIONS = """
CREATE TEMP VIEW of_versions AS
SELECT n, 'model-' || lpad((n / {per_model})::text, 6, '0') AS model, n % {per_model} + 1 AS number
FROM generate_series(0, {versions} - 1) AS n;
CREATE TEMP VIEW of_models AS SELECT DISTINCT model FROM of_versions;
"""


def fill(connection: Connection, *, tenants: Sequence[str] = TENANTS, versions: int = VERSIONS) -> None:
    """Write the tenants, and analyze the tables, so that the planner knows the numbers of rows."""
    connection.execute(text("SET LOCAL search_path = verifywise_mlflow, pg_temp"))
    connection.execute(text(_OF_VERSIONS.format(per_model=VERSIONS_A_MODEL, versions=versions)))
    for tenant in tenants:
        rows_sql = _ROWS.replace("$tenant", f"'{tenant}'").replace("$size", "ARRAY[$rules]")
        rows_sql = rows_sql.replace("$rules", str(RULES))
        connection.exec_driver_sql(rows_sql.replace("$now", f"'{NOW.isoformat()}'::timestamptz").replace("%", "%%"))
    connection.execute(text("DROP VIEW of_models, of_versions"))
    connection.execute(text("ANALYZE"))
