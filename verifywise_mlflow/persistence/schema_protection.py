"""Checks what protects evidence and tenants from the database's own roles: triggers, and row-level security."""

from __future__ import annotations

from sqlalchemy import Connection

from verifywise_mlflow.persistence.append_only import append_only_problems
from verifywise_mlflow.persistence.row_level_security import row_level_security_problems


def protection_problems(connection: Connection) -> list[str]:
    """Return how triggers, their functions and policies differ from this release's, as texts without a period."""
    return [*append_only_problems(connection), *row_level_security_problems(connection)]
