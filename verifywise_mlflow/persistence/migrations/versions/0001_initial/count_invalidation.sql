-- Triggers that invalidate cached counts.

-- Every statement that changes a record, a verdict or a badge raises the revision of the bucket and of the tenant in
-- the same transaction. Counts of another revision are ignored. The triggers run with the owner's rights, so a writer
-- needs no rights on the counts and cannot forget the new revision. TRUNCATE is refused.
--
-- The tenant's row is written first, which locks it. A division of a bucket locks the same row. So the next statement
-- sees every division that was committed before, and finds the bucket that a key belongs to.
CREATE FUNCTION {schema}.invalidate_counts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        UPDATE {schema}.compliance_counts SET revision = nextval('{schema}.revisions')
        WHERE tenant_id = OLD.tenant_id;
        UPDATE {schema}.compliance_count_buckets SET revision = nextval('{schema}.revisions')
        WHERE tenant_id = OLD.tenant_id AND (first_model, first_version) = (
            SELECT first_model, first_version FROM {schema}.compliance_count_buckets
            WHERE tenant_id = OLD.tenant_id AND (first_model, first_version) <= (OLD.model_name, OLD.version_number)
            ORDER BY first_model DESC, first_version DESC LIMIT 1
        );
    ELSE
        INSERT INTO {schema}.compliance_counts (tenant_id, revision)
        SELECT tenant_id, nextval('{schema}.revisions')
        FROM (SELECT DISTINCT tenant_id FROM changed ORDER BY tenant_id) AS changed
        ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision;
        -- The first bucket of a tenant begins before every key.
        INSERT INTO {schema}.compliance_count_buckets (tenant_id, first_model, first_version, revision)
        SELECT tenant_id, first_model, first_version, nextval('{schema}.revisions')
        FROM (
            SELECT DISTINCT keys.tenant_id, coalesce(first_model, '') AS first_model,
                   coalesce(first_version, -2147483648) AS first_version
            FROM (SELECT DISTINCT tenant_id, model_name, version_number FROM changed) AS keys
            LEFT JOIN LATERAL (
                SELECT first_model, first_version FROM {schema}.compliance_count_buckets AS buckets
                WHERE buckets.tenant_id = keys.tenant_id
                AND (first_model, first_version) <= (keys.model_name, keys.version_number)
                ORDER BY first_model DESC, first_version DESC LIMIT 1
            ) AS bucket ON true
            ORDER BY 1, 2, 3
        ) AS touched
        ON CONFLICT (tenant_id, first_model, first_version) DO UPDATE SET revision = excluded.revision;
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    counted_table text;
BEGIN
    FOREACH counted_table IN ARRAY ARRAY['canonical_records', 'version_verdicts', 'compliance_badges'] LOOP
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_insert AFTER INSERT ON {schema}.%I
             REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_update AFTER UPDATE ON {schema}.%I
             REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_delete AFTER DELETE ON {schema}.%I
             REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
        -- If a row gets another key, the counts of its former bucket change, too.
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_key_change
             AFTER UPDATE OF tenant_id, model_name, version_number ON {schema}.%I
             FOR EACH ROW WHEN (
                 (OLD.tenant_id, OLD.model_name, OLD.version_number)
                 <> (NEW.tenant_id, NEW.model_name, NEW.version_number)
             ) EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
    END LOOP;
END $$;
