"""``verifywise-mlflow agents``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName
from verifywise_mlflow.cli.asset_output import (
    MAX_LISTED,
    first_entries,
    print_by_name,
    print_facts,
    print_former_states,
)
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.indented_output import print_whole
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
        typer.Argument(
            metavar="[NAME]", help="Only the agents with this name or ID, with their runs, tags and former states."
        ),
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also agents that MLflow no longer has.")] = False,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List a tenant's agents, registered or not, with their prompts, model versions, parameters and metrics.

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
            is_whole = name is not None
            if not print_by_name(rows, lambda row: row.agent_name, lambda row: _print_agent(row, is_whole=is_whole)):
                out.print(_NONE if were_listed(session) else _NEVER_LISTED)
            print_former_states(history, _state_text)


def _print_agent(row: AgentRow, *, is_whole: bool) -> None:
    print_whole(Text(escape_invisible(f"{row.model_id} {(row.status or '').lower()}".rstrip()), "green"), 2)
    limit = None if is_whole else MAX_LISTED
    facts = (
        ("experiment", row.experiment),
        ("run", row.source_run_id if is_whole else None),
        ("prompts", first_entries(row.prompts, limit)),
        ("registered as", first_entries(row.registered_as, limit) or "no version"),
        ("parameters", first_entries(row.parameters, limit)),
        ("metrics", first_entries(row.metrics, limit)),
        ("tags", ", ".join(row.tags) if is_whole else None),
        ("created", utc_text(row.created_at) if row.created_at else None),
    )
    print_facts(facts, row.deleted_at)


def _state_text(state: AgentStateRow) -> str:
    prompts, tags = (", ".join(entries) or "none" for entries in (state.prompts, state.tags))
    return f"{state.model_id} {(state.status or '').lower()}; prompts: {prompts}; tags: {tags}"
