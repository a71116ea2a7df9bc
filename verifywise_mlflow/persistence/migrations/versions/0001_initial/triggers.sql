-- Triggers that keep tables append-only, and that invalidate cached counts.

-- A privilege could be granted again; a trigger has to be dropped, which shows in the catalog.
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.audit_trail
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.audit_checkpoints
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

-- The owner deletes the rows of these when it erases a tenant.
CREATE TRIGGER append_only BEFORE UPDATE ON {schema}.lifecycle_events
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON {schema}.integrity_events
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON {schema}.config_versions
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

-- A waiver is granted once and ends once; its terms stay. Row-level security guards the tenant.
CREATE FUNCTION {schema}.refuse_waiver_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    writable text[] := CASE
        WHEN OLD.ended_at IS NULL THEN ARRAY['tenant_id', 'ended_at', 'end_reason'] ELSE ARRAY['tenant_id']
    END;
BEGIN
    IF to_jsonb(OLD) - writable <> to_jsonb(NEW) - writable THEN
        RAISE EXCEPTION 'a waiver can only be ended, and once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refuse_waiver_change BEFORE UPDATE ON {schema}.waivers
FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_waiver_change();

-- Every statement that changes a record, a verdict or a badge moves the revision in the same transaction; counts of
-- another revision are ignored. With the owner's rights, so that a writer needs none and cannot forget it.
CREATE FUNCTION {schema}.invalidate_counts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE {schema}.compliance_counts SET revision = nextval('{schema}.revisions');
    ELSIF TG_LEVEL = 'ROW' THEN
        UPDATE {schema}.compliance_counts SET revision = nextval('{schema}.revisions')
        WHERE tenant_id = OLD.tenant_id;
    ELSE
        INSERT INTO {schema}.compliance_counts (tenant_id, revision)
        SELECT tenant_id, nextval('{schema}.revisions')
        FROM (SELECT DISTINCT tenant_id FROM changed ORDER BY tenant_id) AS changed
        ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision;
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
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_truncate AFTER TRUNCATE ON {schema}.%I
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
        -- Rows that move to another tenant change the counts of the tenant that they leave too.
        EXECUTE format(
            'CREATE TRIGGER invalidate_counts_on_tenant_change AFTER UPDATE OF tenant_id ON {schema}.%I
             FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id) EXECUTE FUNCTION {schema}.invalidate_counts()',
            counted_table);
    END LOOP;
END $$;
