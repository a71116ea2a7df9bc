-- Triggers that keep tables append-only for every role, including the owner. `verifywise-mlflow db check` reports a
-- trigger that is missing, disabled or changed (persistence/append_only.py lists them).
--
-- The triggers on UPDATE and DELETE fire for each row. A trigger for each statement fires only on the table that the
-- statement names: if the owner gave a table a parent, a DELETE from the parent would delete its rows.

-- A revoked privilege could be granted again without a trace; a trigger must be disabled or dropped, which shows in the
-- catalog.
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- TRUNCATE fires no trigger for each row, and so writes no history.
CREATE FUNCTION {schema}.refuse_truncation() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % is refused: it would leave no trace', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- Rows may be deleted only after the same transaction has written the entry `tenant erased` of their tenant, which
-- cannot be deleted. A check at the end of the transaction instead would have to remember each deleted row. ONLY: an
-- entry in a child of the trail could be deleted, since a child has no triggers.
CREATE FUNCTION {schema}.refuse_deletion() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ONLY {schema}.audit_trail AS entries
        WHERE entries.tenant_id = OLD.tenant_id AND entries.kind = 'tenant erased'
        AND entries.xmin = pg_current_xact_id()::xid
    ) THEN
        RAISE EXCEPTION '% is append-only: only verifywise-mlflow tenants erase deletes its rows', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;

-- An erasure must delete all rows of the tenant in the tables with the trigger refuse_deletion, so that its entry does
-- not cover the deletion of single rows. The function runs with the owner's rights: a pipeline could set another tenant
-- before the end of the transaction, and would not see the rows. If row-level security hides rows from the owner, too,
-- row_security = off makes the query fail.
CREATE FUNCTION {schema}.refuse_partial_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
    erased_table regclass;
    has_rows boolean;
BEGIN
    FOR erased_table IN
        SELECT tgrelid FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE tgfoid = '{schema}.refuse_deletion()'::regprocedure AND relnamespace = '{schema}'::regnamespace
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE tenant_id = $1)', erased_table)
        INTO has_rows USING NEW.tenant_id;
        IF has_rows THEN
            RAISE EXCEPTION 'the entry "tenant erased" of % is refused: % still has rows of the tenant',
                NEW.tenant_id, erased_table USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- A waiver is granted once and ends at most once; its terms stay.
CREATE FUNCTION {schema}.refuse_waiver_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    writable text[] := CASE WHEN OLD.ended_at IS NULL THEN ARRAY['ended_at', 'end_reason'] ELSE ARRAY[]::text[] END;
BEGIN
    IF to_jsonb(OLD) - writable <> to_jsonb(NEW) - writable THEN
        RAISE EXCEPTION 'a waiver can only be ended, and once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refuse_waiver_change BEFORE UPDATE ON {schema}.waivers
FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_waiver_change();
CREATE CONSTRAINT TRIGGER refuse_partial_erasure AFTER INSERT ON {schema}.audit_trail
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.kind = 'tenant erased') EXECUTE FUNCTION {schema}.refuse_partial_erasure();

DO $$
DECLARE
    guarded text;
    trails text[] := ARRAY['audit_trail', 'audit_checkpoints', 'checkpoint_receipts'];
    histories text[] := ARRAY[
        'canonical_record_history', 'version_verdict_history', 'compliance_badge_history', 'lifecycle_events',
        'integrity_events', 'config_versions', 'state_log', 'state_commitments', 'prompt_version_history',
        'agent_history'
    ];
    retained text[] := ARRAY['canonical_records', 'artifact_manifests', 'waivers', 'prompt_versions', 'agents'];
    -- When a version gets a successor, a pipeline deletes its verdicts and badge, which their history keeps.
    deletable text[] := ARRAY['version_verdicts', 'compliance_badges'];
BEGIN
    FOREACH guarded IN ARRAY trails LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {schema}.%I
             FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change()', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY histories LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE ON {schema}.%I
             FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change()', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY trails || histories LOOP
        EXECUTE format(
            'CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON {schema}.%I
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change()', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY retained || deletable LOOP
        EXECUTE format(
            'CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON {schema}.%I
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_truncation()', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY histories || retained LOOP
        EXECUTE format(
            'CREATE TRIGGER refuse_deletion BEFORE DELETE ON {schema}.%I
             FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_deletion()', guarded);
    END LOOP;
END $$;

-- ALWAYS: otherwise session_replication_role = replica would switch the triggers off without a trace.
DO $$
DECLARE
    guard record;
BEGIN
    FOR guard IN
        SELECT tgrelid::regclass AS guarded, tgname FROM pg_trigger WHERE tgfoid IN (
            '{schema}.refuse_change'::regproc, '{schema}.refuse_truncation'::regproc,
            '{schema}.refuse_deletion'::regproc, '{schema}.refuse_partial_erasure'::regproc,
            '{schema}.refuse_waiver_change'::regproc
        )
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', guard.guarded, guard.tgname);
    END LOOP;
END $$;
