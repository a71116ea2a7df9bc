-- Row-level security: a role to which `db grant` gave access sees and writes the rows of one tenant, apart from the
-- exceptions below. It does not apply to the owner and to superusers. A pipeline and a listener set their tenant for
-- each transaction in the setting verifywise_mlflow.tenant. A reader belongs to one tenant regardless of this setting,
-- since a reader could change the setting.

ALTER TABLE {schema}.role_grants ENABLE ROW LEVEL SECURITY;
-- A role sees its own grant. It also sees the grants of pipelines and listeners, since the first sync of a tenant
-- writes these grants into the tenant's trail. A reader's grant names the reader's tenant, so only that reader and the
-- owner see it.
CREATE POLICY own_and_shared_grants ON {schema}.role_grants FOR SELECT
USING (role_name = current_user OR tenant_id IS NULL);

-- The function runs with the rights of the querying role, which sees its own grant. Its search path is fixed. Otherwise
-- a reader could define an operator = that precedes Postgres' operator, and pass for a pipeline.
CREATE FUNCTION {schema}.current_tenant() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE kind
        WHEN 'reader' THEN tenant_id
        ELSE nullif(current_setting('verifywise_mlflow.tenant', true), '')
    END
    FROM {schema}.role_grants WHERE role_name = current_user
$$;

-- Every table with a tenant, except role_grants, has this policy. Within a subquery, Postgres evaluates the function
-- once per statement instead of once per row.
DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'tenants', 'stage_refreshes', 'stage_watermarks', 'poll_watermarks', 'history_usage', 'tenant_locks',
        'config_versions',
        'registered_models', 'model_versions', 'prompts', 'prompt_versions', 'prompt_version_history',
        'agents', 'agent_history',
        'training_runs', 'logged_models', 'artifact_manifests',
        'integrity_events', 'lifecycle_events',
        'canonical_records', 'canonical_record_history', 'record_inputs',
        'version_verdicts', 'version_verdict_history', 'compliance_badges', 'compliance_badge_history',
        'compliance_counts', 'compliance_count_buckets', 'waivers',
        'delivery_outbox', 'delivery_events', 'delivery_ledger', 'delivery_targets',
        'change_hints', 'webhook_deliveries', 'webhook_status',
        'audit_trail', 'audit_checkpoints', 'checkpoint_receipts', 'state_log', 'state_commitments', 'state_models'
    ] LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format(
            'CREATE POLICY tenant_isolation ON {schema}.%I USING (tenant_id = (SELECT {schema}.current_tenant()))',
            tenant_table);
    END LOOP;
END $$;

-- A pipeline must know which tenants exist and which have changed; it writes only the tenant that its setting names.
CREATE POLICY visible_to_pipelines ON {schema}.tenants FOR SELECT
USING ((SELECT kind = 'pipeline' FROM {schema}.role_grants WHERE role_name = current_user));
CREATE POLICY visible_to_pipelines ON {schema}.change_hints FOR SELECT
USING ((SELECT kind = 'pipeline' FROM {schema}.role_grants WHERE role_name = current_user));

-- A role that may execute a trigger function could attach it to a table of its own, and so write a history with the
-- owner's rights. Postgres lets every role execute a new function.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
