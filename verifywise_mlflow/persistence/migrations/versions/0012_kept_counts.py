"""A tenant's counted verdicts are kept while they hold; and indexes for what each sync asks of a stage's table."""

from alembic import op

revision = "0012"
down_revision = "0011"

_COUNTED = ("canonical_records", "compliance_results", "compliance_badges")
"""What verdicts are counted from, beside the waivers."""
_STAGES = ("registered_models", "model_versions", "training_runs", "artifact_manifests", "canonical_records")


def upgrade() -> None:
    """Nothing is counted yet: the first to ask counts."""
    op.execute("""
        CREATE TABLE verifywise.compliance_counts (
            tenant_id TEXT NOT NULL,
            revision BIGINT NOT NULL,
            counted_revision BIGINT,
            counted_at TIMESTAMP WITH TIME ZONE,
            waiver_ids JSONB,
            counts JSONB,
            PRIMARY KEY (tenant_id)
        )
    """)
    op.execute("ALTER TABLE verifywise.compliance_counts ENABLE ROW LEVEL SECURITY")
    op.execute("""
        CREATE POLICY of_one_tenant ON verifywise.compliance_counts
        USING (tenant_id = (SELECT verifywise.current_tenant()))
    """)
    op.execute("""
        INSERT INTO verifywise.compliance_counts (tenant_id, revision)
        SELECT tenant_id, nextval('verifywise.revisions')
        FROM (SELECT DISTINCT tenant_id FROM verifywise.canonical_records) AS judged
    """)
    # Whoever changes what is counted, by whichever statement, moves the revision in the same transaction: counts of
    # another revision are not looked at. With the owner's rights, so that a writer needs none and cannot forget it.
    op.execute("""
        CREATE FUNCTION verifywise.outdate_counts() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN
                UPDATE verifywise.compliance_counts SET revision = nextval('verifywise.revisions');
            ELSIF TG_LEVEL = 'ROW' THEN
                UPDATE verifywise.compliance_counts SET revision = nextval('verifywise.revisions')
                WHERE tenant_id = OLD.tenant_id;
            ELSE
                INSERT INTO verifywise.compliance_counts (tenant_id, revision)
                SELECT tenant_id, nextval('verifywise.revisions')
                FROM (SELECT DISTINCT tenant_id FROM changed ORDER BY tenant_id) AS changed
                ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision;
            END IF;
            RETURN NULL;
        END $$
    """)
    for table in _COUNTED:
        for change, rows in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            op.execute(f"""
                CREATE TRIGGER outdate_counts_on_{change.lower()} AFTER {change} ON verifywise.{table}
                REFERENCING {rows} TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION verifywise.outdate_counts()
            """)
        op.execute(f"""
            CREATE TRIGGER outdate_counts_on_truncate AFTER TRUNCATE ON verifywise.{table}
            FOR EACH STATEMENT EXECUTE FUNCTION verifywise.outdate_counts()
        """)
        # Rows that somebody gives to another tenant leave one behind.
        op.execute(f"""
            CREATE TRIGGER outdate_counts_on_leaving AFTER UPDATE OF tenant_id ON verifywise.{table}
            FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id) EXECUTE FUNCTION verifywise.outdate_counts()
        """)
    # Postgres lets everybody execute a new function; see 0010.
    op.execute("REVOKE ALL ON FUNCTION verifywise.outdate_counts() FROM PUBLIC")
    for table in _STAGES:
        op.execute(f"CREATE INDEX {table}_by_revision ON verifywise.{table} (tenant_id, revision)")
    # Small beside the verdicts, whose texts and values would be read along.
    op.execute("""
        CREATE INDEX compliance_results_open ON verifywise.compliance_results (tenant_id, rule_id)
        INCLUDE (model_name, version_number, verdict, open_since, evaluated_at)
        WHERE verdict IN ('fail', 'error', 'not evidenced')
    """)
    # Few: what is living is counted as all but these.
    op.execute("""
        CREATE INDEX canonical_records_gone ON verifywise.canonical_records (tenant_id, model_name, version_number)
        WHERE gone_at IS NOT NULL
    """)
