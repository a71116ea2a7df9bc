"""The plans that Postgres uses for the statements that our functions send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event

from verifywise_mlflow.persistence.session import TenantSession


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan that reads a table."""

    table: str
    index: str | None
    """Null for a scan of the whole table."""
    rows: float
    """Rows that the step read, including those it discarded, summed over all its executions."""


def plan_steps(session: TenantSession, query: Callable[[TenantSession], object]) -> list[Step]:
    """Return the table scans in the plans of all statements that a query sends. Each statement is run again."""
    sent_statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        sent_statements.append((statement, parameters))

    connection = session.connection
    event.listen(connection, "before_cursor_execute", note)
    query(session)
    event.remove(connection, "before_cursor_execute", note)
    assert sent_statements
    return [step for statement, parameters in sent_statements for step in _explained(connection, statement, parameters)]


def _explained(connection: Connection, statement: str, parameters: Mapping[str, object]) -> Iterator[Step]:
    explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
    waiting = [plan["Plan"] for plan in explained]
    while waiting:
        node = waiting.pop()
        children = node.get("Plans", [])
        waiting += children
        if "Relation Name" in node:
            # In a bitmap scan, the child node names the index and its condition.
            indexes = [child["Index Name"] for child in _plan_nodes(node) if "Index Name" in child]
            examined_rows = sum(
                value for name, value in node.items() if name == "Actual Rows" or name.startswith("Rows Rem")
            )
            yield Step(node["Relation Name"], ",".join(indexes) or None, examined_rows * node["Actual Loops"])


def _plan_nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(descendant for child in node.get("Plans", []) for descendant in _plan_nodes(child))]
