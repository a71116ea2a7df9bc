"""``verifywise-mlflow prompts``."""

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
from verifywise_mlflow.exports.json_documents.prompts import PromptsDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.prompts import (
    PromptRow,
    PromptStateRow,
    prompt_history,
    prompt_rows,
    require_known_prompt,
)
from verifywise_mlflow.services.version_references import require_known_tenant

app = typer.Typer()

_DIGEST: Final = 12
"""The number of hexadecimal digits of a digest that are printed, unless a single prompt is shown."""


@app.command()
def prompts(
    tenant: StoredTenantName,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this prompt, with the former states of its versions.")
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also prompts that MLflow no longer has.")] = False,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List the prompts of a tenant's registry: versions, aliases, model, and which model versions use them.

    The text of a prompt is not stored: its SHA-256 shows whether it is the same one. Times are UTC. Reads the database
    only.
    """
    check_output(output, as_json)
    now = datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        require_known_tenant(session)
        if name is not None:
            require_known_prompt(session, name)
        rows = prompt_rows(session, name, includes_deleted=deleted or name is not None)
        history = prompt_history(session, name) if name is not None else []
        if output is not None:
            write_output(output, PromptRow, rows)
        elif as_json:
            document = PromptsDocument(at=now, tenant=tenant, prompt_name=name, history=tuple(history))
            print_document(document, prompts=rows)
        else:
            is_whole = name is not None
            if not print_by_name(rows, lambda row: row.prompt_name, lambda row: _print_version(row, is_whole=is_whole)):
                out.print("The registry has no prompts, or shows none to this account.")
            print_former_states(history, _state_text)


def _print_version(row: PromptRow, *, is_whole: bool) -> None:
    if row.version_number is None:
        print_whole(Text("no version", "dim"), 2)
        return
    aliases = "".join(f" @{alias}" for alias in row.aliases)
    print_whole(Text.assemble(f"version {row.version_number}", (escape_invisible(aliases), "green")), 2)
    digest = row.template_sha256 or ""
    template = (
        f"{row.template_length:,} characters, SHA-256 {digest if is_whole else digest[:_DIGEST]}" if digest else None
    )
    facts = (
        ("template", template),
        ("variables", ", ".join(row.variables)),
        ("type", row.prompt_type if is_whole else None),
        ("model", ", ".join(filter(None, (row.model, *row.parameters)))),
        ("response format", "stated" if row.has_response_format else None),
        ("commit", row.commit_message),
        ("tags", ", ".join(row.tags) if is_whole else None),
        ("created", utc_text(row.created_at) if row.created_at and is_whole else None),
        ("used by", first_entries(row.used_by, MAX_LISTED)),
    )
    print_facts(facts, row.deleted_at)


def _state_text(state: PromptStateRow) -> str:
    aliases = "".join(f" @{alias}" for alias in state.aliases)
    return f"version {state.version_number}{aliases}: SHA-256 {(state.template_sha256 or 'none')[:_DIGEST]}"
