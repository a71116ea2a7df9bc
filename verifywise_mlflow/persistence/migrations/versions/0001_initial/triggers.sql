-- Triggers that keep tables append-only.

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
