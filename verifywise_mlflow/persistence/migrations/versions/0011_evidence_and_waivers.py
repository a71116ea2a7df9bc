"""Verdicts keep what they rest on, a hash of it, and since when a gap is open; and waivers."""

from alembic import op

revision = "0011"
down_revision = "0010"

_COLUMNS = """
    ADD COLUMN origins JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN thresholds JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN day DATE,
    ADD COLUMN input_hash TEXT NOT NULL DEFAULT '',
    ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '',
    ADD COLUMN open_since TIMESTAMP WITH TIME ZONE
"""

_STATE = """
    tenant_id, model_name, version_number, rule_id, rule_version, verdict, reason, values, policy_id, policy_version,
    evaluated_at AS held_from, sync_id, origins, thresholds, day, input_hash, fingerprint, open_since
"""
_IS_OPEN = "verdict IN ('fail', 'error', 'not evidenced')"


def upgrade() -> None:
    """Former verdicts have no hash: what they were given for was not kept in the form that is hashed.

    A gap that is there is open since its verdict was given, as far as is known. Written so, and not by an UPDATE, it
    is no change that the triggers would keep as history.
    """
    for table in ("compliance_results", "compliance_result_history"):
        op.execute(f"ALTER TABLE verifywise.{table} {_COLUMNS}")
        for column in ("origins", "thresholds", "input_hash", "fingerprint"):
            op.execute(f"ALTER TABLE verifywise.{table} ALTER COLUMN {column} DROP DEFAULT")
        op.execute(f"""
            ALTER TABLE verifywise.{table} ALTER COLUMN open_since TYPE TIMESTAMP WITH TIME ZONE
            USING CASE WHEN {_IS_OPEN} THEN evaluated_at END
        """)
    op.execute("DROP VIEW verifywise.compliance_result_states")
    op.execute(f"""
        CREATE VIEW verifywise.compliance_result_states WITH (security_invoker = true) AS
        SELECT {_STATE}, NULL::timestamptz AS held_until, NULL::text AS ended_by_sync_id
        FROM verifywise.compliance_results
        UNION ALL
        SELECT {_STATE}, held_until, ended_by_sync_id FROM verifywise.compliance_result_history
    """)  # noqa: S608  # names of our own columns alone
    # As in 0006; but the fingerprint of a row that was changed by hand no longer fits it, so that the next evaluation
    # of the version writes it anew. And a gap stays open since when it was, whoever words it anew.
    op.execute(f"""
        CREATE OR REPLACE FUNCTION verifywise.keep_former_verdict() RETURNS trigger
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
                NEW.fingerprint := '';
            END IF;
            NEW.evaluated_at := greatest(OLD.evaluated_at, NEW.evaluated_at);
            NEW.open_since := CASE WHEN NEW.{_IS_OPEN} THEN coalesce(OLD.open_since, NEW.evaluated_at) END;
            INSERT INTO verifywise.compliance_result_history VALUES (DEFAULT, NEW.evaluated_at, NEW.sync_id, OLD.*);
            RETURN NEW;
        END $$
    """)  # noqa: S608  # a condition of our own alone
    _waivers()


def _waivers() -> None:
    op.execute("""
        CREATE TABLE verifywise.waivers (
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
            ended TEXT,
            PRIMARY KEY (waiver_id)
        )
    """)
    op.execute("CREATE INDEX waivers_by_rule ON verifywise.waivers (tenant_id, rule_id)")
    op.execute("ALTER TABLE verifywise.waivers ENABLE ROW LEVEL SECURITY")
    op.execute("""
        CREATE POLICY of_one_tenant ON verifywise.waivers
        USING (tenant_id = (SELECT verifywise.current_tenant()))
    """)
    # A waiver is granted once and ends once; what it said stays. Whose it is, row-level security looks after.
    op.execute("""
        CREATE FUNCTION verifywise.keep_waiver() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
        DECLARE
            free text[] := CASE
                WHEN OLD.ended_at IS NULL THEN ARRAY['tenant_id', 'ended_at', 'ended'] ELSE ARRAY['tenant_id']
            END;
        BEGIN
            IF to_jsonb(OLD) - free <> to_jsonb(NEW) - free THEN
                RAISE EXCEPTION 'a waiver can only be ended, and once' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER keep_waiver BEFORE UPDATE ON verifywise.waivers
        FOR EACH ROW EXECUTE FUNCTION verifywise.keep_waiver()
    """)
    # Postgres lets everybody execute a new function; see 0010.
    op.execute("REVOKE ALL ON FUNCTION verifywise.keep_waiver() FROM PUBLIC")
