"""Row-level security: whoever is not the owner sees and writes the rows of one tenant.

``access`` says who may be what. A pipeline is set to a tenant, transaction by transaction, by the setting
``verifywise.tenant``. A reader belongs to one tenant, and no setting moves it: it could change a setting itself.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

_OF_A_TENANT = (
    "registered_models",
    "model_versions",
    "training_runs",
    "logged_models",
    "artifact_manifests",
    "integrity_events",
    "lifecycle_events",
    "canonical_records",
    "canonical_record_history",
    "record_inputs",
    "compliance_results",
    "compliance_result_history",
    "compliance_badges",
    "compliance_badge_history",
    "stage_refreshes",
    "version_polls",
    "adoptions",
    "audit_trail",
    "audit_checkpoints",
)


def upgrade() -> None:
    """Nobody but the owner has access before ``db grant`` gives it."""
    op.execute("""
        CREATE TABLE verifywise.access (
            role_name TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('pipeline', 'reader')),
            tenant_id TEXT CHECK ((kind = 'reader') = (tenant_id IS NOT NULL)),
            granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (role_name)
        )
    """)
    op.execute("ALTER TABLE verifywise.access ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own_row ON verifywise.access FOR SELECT USING (role_name = current_user)")
    # With the rights of who asks, whose own row it is. Its search path is fixed, or a reader could put an operator = of
    # its own before Postgres' and be taken for a pipeline.
    op.execute("""
        CREATE FUNCTION verifywise.current_tenant() RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT CASE kind
                WHEN 'reader' THEN tenant_id
                ELSE nullif(current_setting('verifywise.tenant', true), '')
            END
            FROM verifywise.access WHERE role_name = current_user
        $$
    """)
    for table in _OF_A_TENANT:
        op.execute(f"ALTER TABLE verifywise.{table} ENABLE ROW LEVEL SECURITY")
        # In a query of its own, the function is asked once a statement instead of once a row.
        op.execute(f"""
            CREATE POLICY of_one_tenant ON verifywise.{table}
            USING (tenant_id = (SELECT verifywise.current_tenant()))
        """)
    # What row-level security does not know to be free of errors is asked after it, so that an index on an expression is
    # of no use to anybody but the owner: the expression gets a column.
    op.execute("""
        ALTER TABLE verifywise.artifact_manifests
        ADD COLUMN location_md5 TEXT GENERATED ALWAYS AS (md5(manifest ->> 'location')) STORED
    """)
    op.execute("DROP INDEX verifywise.artifact_manifests_by_location")
    op.execute("""
        CREATE INDEX artifact_manifests_by_location ON verifywise.artifact_manifests (tenant_id, location_md5)
    """)
    # A pipeline has to know which tenants there are; it changes only the one that it is set to.
    op.execute("ALTER TABLE verifywise.tenants ENABLE ROW LEVEL SECURITY")
    op.execute("""
        CREATE POLICY of_one_tenant ON verifywise.tenants USING (tenant_id = (SELECT verifywise.current_tenant()))
    """)
    op.execute("""
        CREATE POLICY seen_by_pipelines ON verifywise.tenants FOR SELECT
        USING ((SELECT kind = 'pipeline' FROM verifywise.access WHERE role_name = current_user))
    """)
    op.execute("ALTER VIEW verifywise.record_confirmations SET (security_invoker = true)")
    # Whoever may execute a trigger's function may put it on a table of its own, and so write a history with the owner's
    # rights. Postgres lets everybody execute a new function.
    op.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA verifywise FROM PUBLIC")
