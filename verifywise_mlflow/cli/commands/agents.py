"""``verifywise-mlflow agents``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.indented_output import print_indented, print_whole
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, out
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.agents import AgentsDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories.agents import were_listed
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.agents import AgentRow, AgentStateRow, agent_history, agent_rows, require_known_agent
from verifywise_mlflow.services.version_references import require_known_tenant

app = typer.Typer()

MAX_LISTED: Final = 20
"""Entries of a list, unless one agent is shown."""
_NONE: Final = "The server has no agents, or shows none to this account."
_NEVER_LISTED: Final = (
    "No agents are stored, since they were never listed completely. `verifywise-mlflow check` says whether the server "
    "offers any; they are listed at each reconcile."
)


@app.command()
def agents(
    tenant: StoredTenantName,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only the agents with this name or ID, with their former states."),
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also agents that MLflow no longer has.")] = False,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List the agents of a tenant's server, registered or not: prompts, versions of models, parameters, tags.

    An agent is a logged model of MLflow 3 with the type agent. Times are UTC. Reads the database only.
    """
    check_output(output, as_json)
    now = datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        require_known_tenant(session)
        if name is not None:
            require_known_agent(session, name)
        rows = agent_rows(session, name, includes_deleted=deleted or name is not None)
        history = agent_history(session, name) if name is not None else []
        if output is not None:
            write_output(output, AgentRow, rows)
        elif as_json:
            document = AgentsDocument(at=now, tenant=tenant, agent_name=name, history=tuple(history))
            print_document(document, agents=rows)
        else:
            if not _print_agents(rows, is_whole=name is not None):
                out.print(_NONE if were_listed(session) else _NEVER_LISTED)
            _print_history(history)


def _print_agents(rows: Iterable[AgentRow], *, is_whole: bool) -> bool:
    """Print agents below their names, and return whether there is one."""
    has_agents = False
    for name, of_name in groupby(rows, key=lambda row: row.agent_name):
        has_agents = True
        print_whole(Text(escape_invisible(name or "without a name"), "bold"))
        for row in of_name:
            _print_agent(row, is_whole=is_whole)
    return has_agents


def _print_agent(row: AgentRow, *, is_whole: bool) -> None:
    print_whole(Text(escape_invisible(f"{row.model_id} {(row.status or '').lower()}".rstrip()), "green"), 2)

    def listed(entries: Sequence[str]) -> str:
        shown = entries if is_whole else entries[:MAX_LISTED]
        more = [f"{len(entries) - len(shown):,} more"] if len(shown) < len(entries) else []
        return ", ".join((*shown, *more))

    facts = (
        ("deleted", f"MLflow no longer has it since {utc_text(row.deleted_at)}" if row.deleted_at else None),
        ("experiment", row.experiment),
        ("run", row.source_run_id if is_whole else None),
        ("prompts", listed(row.prompts)),
        ("registered as", listed(row.registered_as) or "no version"),
        ("parameters", listed(row.parameters)),
        ("metrics", listed(row.metrics)),
        ("tags", listed(row.tags) if is_whole else None),
        ("created", utc_text(row.created_at) if row.created_at else None),
    )
    for label, text in facts:
        if text:
            print_indented(Text.assemble((f"{label}: ", "cyan"), display(text)), 4)


def _print_history(states: Sequence[AgentStateRow]) -> None:
    former = [state for state in states if state.valid_to]
    if not former:
        return
    print_whole(Text("Former states", "bold"))
    for state in former:
        until = utc_text(state.valid_to) if state.valid_to else ""
        said = "; ".join(
            (
                f"{state.model_id} {(state.status or '').lower()}",
                f"prompts: {', '.join(state.prompts) or 'none'}",
                f"tags: {', '.join(state.tags) or 'none'}",
            )
        )
        print_indented(Text(escape_invisible(f"{said}, from {utc_text(state.valid_from)} to {until}")), 2)
