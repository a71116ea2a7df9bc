"""The audit trail becomes a chain: each entry holds the hash of the one before it, and none can be changed."""

import hashlib
import json

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Chain what there is, tenant by tenant, in the order in which it was written."""
    op.execute("ALTER TABLE verifywise.audit_trail RENAME TO audit_trail_unchained")
    op.execute("DROP INDEX verifywise.audit_trail_by_tenant")
    op.execute("ALTER TABLE verifywise.audit_trail_unchained DROP CONSTRAINT audit_trail_pkey")
    # The kind is a column, since row-level security keeps an index on an expression that might fail from being used.
    op.execute("""
        CREATE TABLE verifywise.audit_trail (
            tenant_id TEXT NOT NULL,
            sequence BIGINT NOT NULL,
            entry TEXT NOT NULL,
            entry_hash TEXT NOT NULL,
            kind TEXT GENERATED ALWAYS AS (entry::jsonb ->> 'kind') STORED,
            PRIMARY KEY (tenant_id, sequence)
        )
    """)
    _chain()
    op.execute("DROP TABLE verifywise.audit_trail_unchained")
    op.execute("CREATE INDEX audit_trail_by_kind ON verifywise.audit_trail (tenant_id, kind, sequence)")
    op.execute("""
        CREATE TABLE verifywise.audit_checkpoints (
            tenant_id TEXT NOT NULL,
            sequence BIGINT NOT NULL,
            checkpoint TEXT NOT NULL,
            signature TEXT NOT NULL,
            PRIMARY KEY (tenant_id, sequence, signature)
        )
    """)
    # The entry is what was hashed; its parts are read out of it, so that they cannot say anything else.
    op.execute("""
        CREATE VIEW verifywise.audit_entries WITH (security_invoker = true) AS
        SELECT tenant_id,
               sequence,
               (told ->> 'occurred_at')::timestamptz AS occurred_at,
               kind,
               told ->> 'outcome' AS outcome,
               told ->> 'object_kind' AS object_kind,
               told ->> 'object_name' AS object_name,
               told ->> 'reason' AS reason,
               told ->> 'sync_id' AS sync_id,
               told ->> 'dagster_run_id' AS dagster_run_id,
               told ->> 'source_uri' AS source_uri,
               told ->> 'credential_identity' AS credential_identity,
               told ->> 'server_version' AS server_version,
               told ->> 'code_version' AS code_version,
               told -> 'counts' AS counts,
               entry_hash
        FROM (SELECT tenant_id, sequence, kind, entry_hash, entry::jsonb AS told FROM verifywise.audit_trail) AS parsed
    """)
    op.execute("""
        CREATE OR REPLACE FUNCTION verifywise.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
    """)
    for table in ("audit_trail", "audit_checkpoints"):
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON verifywise.{table}
            FOR EACH STATEMENT EXECUTE FUNCTION verifywise.refuse_change()
        """)


def _chain() -> None:
    """As audit/chain.py did it when this migration was written; what is chained once never changes its form."""
    connection = op.get_bind()
    # Texts as they are kept, with the escapes of codec.py: what is hashed is what stands in the table.
    rows = connection.execute(
        text("""
            SELECT tenant_id, kind, sync_id, dagster_run_id, source_uri, credential_identity, server_version,
                   code_version, object_kind, object_name, outcome, reason, counts::text AS counts,
                   to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS occurred_at
            FROM verifywise.audit_trail_unchained ORDER BY tenant_id, entry_id
        """).execution_options(yield_per=1_000)
    )
    tenant, sequence, previous = None, 0, ""
    for page in rows.mappings().partitions(1_000):
        chained = []
        for row in page:
            if row["tenant_id"] != tenant:
                tenant, sequence, previous = row["tenant_id"], 0, ""
            sequence += 1
            told = {**row, "counts": json.loads(row["counts"]), "sequence": sequence, "previous_hash": previous}
            entry = json.dumps(told, sort_keys=True, separators=(",", ":"))
            previous = hashlib.sha256(entry.encode("ascii")).hexdigest()
            chained.append({"tenant_id": tenant, "sequence": sequence, "entry": entry, "entry_hash": previous})
        connection.execute(
            text("INSERT INTO verifywise.audit_trail VALUES (:tenant_id, :sequence, :entry, :entry_hash)"), chained
        )
