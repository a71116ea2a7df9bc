"""Changes rows as the owner of the schema can: no trigger stops the owner."""

from __future__ import annotations

from sqlalchemy import text

from verifywise_mlflow.persistence.store import Store


def forge(store: Store, statements: str) -> None:
    """Run statements as the owner of the schema, who disables the triggers and enables them again."""
    with store.begin("acme") as session:
        session.execute(text("SET LOCAL search_path = verifywise_mlflow, public"))
        tables = session.scalars(
            text("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal")
        ).all()
        for change in ("DISABLE", "ENABLE"):
            for table in tables:
                session.execute(text(f"ALTER TABLE {table} {change} TRIGGER USER"))
            if change == "DISABLE":
                for statement in filter(str.strip, statements.split(";")):
                    session.execute(text(statement.replace(":", "\\:")))
