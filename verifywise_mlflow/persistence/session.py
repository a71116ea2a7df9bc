"""A transaction of one tenant. Every function that reads or writes tenant data takes one as an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from sqlalchemy import Connection, CursorResult, Executable, ScalarResult
from sqlalchemy.sql.selectable import TypedReturnsRows

T = TypeVar("T")
R = TypeVar("R", bound=tuple[Any, ...])

# SQLAlchemy types a statement's parameters, and the rows of an untyped statement, with Any: hence Any here.
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TenantSession:
    """An open transaction and the tenant that it belongs to. ``Store.begin`` opens one.

    Row-level security limits a reader to its own tenant, and a pipeline to the tenant of the session. Row-level
    security does not apply to the schema's owner, and lets a pipeline read the tables ``tenants`` and ``change_hints``
    of all tenants. So every statement on rows of the tenant also filters by ``tenant_id``.
    """

    connection: Connection
    tenant_id: str
    dagster_user: str | None = None
    """The authenticated user who requested the Dagster run, for the audit trail."""

    @overload
    def execute(self, statement: TypedReturnsRows[R], parameters: Parameters | None = None) -> CursorResult[R]: ...

    @overload
    def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[Any]: ...

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[Any]:
        """Run a statement and return its result."""
        return self.connection.execute(statement, parameters)

    @overload
    def scalar(
        self, statement: TypedReturnsRows[tuple[T]], parameters: Mapping[str, Any] | None = None
    ) -> T | None: ...

    @overload
    def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any: ...

    def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a statement and return the first column of its first row; None if there is no row."""
        return self.connection.scalar(statement, parameters)

    @overload
    def scalars(
        self, statement: TypedReturnsRows[tuple[T]], parameters: Parameters | None = None
    ) -> ScalarResult[T]: ...

    @overload
    def scalars(self, statement: Executable, parameters: Parameters | None = None) -> ScalarResult[Any]: ...

    def scalars(self, statement: Executable, parameters: Parameters | None = None) -> ScalarResult[Any]:
        """Run a statement and return the first column of its rows."""
        return self.connection.scalars(statement, parameters)
