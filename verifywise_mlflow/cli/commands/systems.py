"""``verifywise-mlflow systems``."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, listed
from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, facts, fail, out, table
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.badge import MODEL_RULE
from verifywise_mlflow.exports.json_documents.systems import (
    DeclaredFacts,
    SystemDocument,
    SystemRow,
    SystemsDocument,
    system_document,
    system_row,
)
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import ai_systems, declaration_history
from verifywise_mlflow.services.version_references import require_known_tenant

app = typer.Typer()

MAX_LISTED = 20
"""The maximum number of a model's versions in use that are listed by number."""


@app.command()
def systems(
    tenant: StoredTenantName,
    system: Annotated[
        str | None, typer.Argument(metavar="[SYSTEM]", help="Only this AI system, in detail, with its declarations.")
    ] = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List a tenant's AI systems: their models, badges, open gaps, and what is declared about them.

    A tag such as ai_system or use_case, or ai_systems.yaml next to tenants.yaml, groups models into systems. Facts of
    that file are shown as declared, by whom and when; where MLflow shows something else, both are shown.
    """
    check_output(output, as_json)
    if output and system:
        fail("--output writes a table of all systems: leave SYSTEM out", MISUSED, as_json)
    at = datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        found = ai_systems(session, at)
        if not found.systems:
            require_known_tenant(session)
        if system is not None:
            one = found.named(system)
            if one is None:
                names = [known.name for known in found.systems]
                raise unknown_name(f"the tenant {quote(tenant)} has no AI system {quote(system)}", system, names)
            document = system_document(tenant, one, declaration_history(session, one.name), at)
    if system is not None:
        if as_json:
            print_document(document)
        else:
            _print_system(document)
        return
    rows = tuple(system_row(tenant, known, at.date()) for known in found.systems)
    if output:
        write_output(output, SystemRow, rows)
    elif as_json:
        without = found.models_without_system
        print_document(SystemsDocument(at=at, tenant=tenant, systems=rows, models_without_system=without))
    else:
        _print_systems(rows, found.models_without_system)


def _print_systems(rows: tuple[SystemRow, ...], models_without_system: tuple[str, ...]) -> None:
    if not rows:
        out.print("No tag and no declaration names an AI system.")
    else:
        summary = table(
            "system", "models", "in use", "badge", "open gaps", "risk", "declared", right=("models", "in use")
        )
        for row in rows:
            summary.add_row(
                display(row.system),
                f"{len(row.models):,}",
                f"{row.versions_in_use:,}",
                row.badge or "-",
                _gaps(row, most=1),
                display(", ".join(row.risk_categories) or None),
                _declared_summary(row),
            )
        out.print(summary)
        out.print("risk: what tags state. declared: what people state in the file of AI systems; it is no evidence.")
    _print_contradictions(rows)
    if models_without_system:
        sentence = f"{len(models_without_system):,} models without a system: {listed(models_without_system)}"
        out.print(display(sentence, max_length=2_000))


def _print_contradictions(rows: tuple[SystemRow, ...]) -> None:
    for row in rows:
        for sentence in row.contradictions:
            out.print(display(f"Contradiction in {row.system}: {sentence}"), style="yellow")
        for pattern in row.patterns_without_model:
            out.print(
                display(f"The declaration of {row.system} names {pattern}, which no model matches"), style="yellow"
            )


def _gaps(row: SystemRow, most: int = 4) -> Text:
    """Return the number of open gaps, followed by the numbers for the highest severities."""
    counts = {"critical": row.critical, "high": row.high, "medium": row.medium, "low": row.low}
    highest = [f"{count:,} {severity}" for severity, count in counts.items() if count][:most]
    return Text(f"{row.open_gaps:,}" + (f" ({', '.join(highest)})" if highest else ""))


def _declared_summary(row: SystemRow) -> Text:
    declared = row.declared
    if declared is None:
        return Text("-")
    parts = [f"risk {declared.risk_category}"] if declared.risk_category else []
    if declared.next_review:
        parts.append(f"review {'overdue since' if row.is_review_overdue else 'due on'} {declared.next_review}")
    parts.append(f"by {declared.declared_by}, {declared.declared_on}")
    return display("; ".join(parts))


def _print_system(document: SystemDocument) -> None:
    row = document.system
    out.print(display(row.system), style="bold")
    shown = facts()
    shown.add_row("badge", row.badge or "no model in MLflow")
    shown.add_row("open gaps", _gaps(row))
    shown.add_row("risk by tags", display(", ".join(row.risk_categories) or None))
    out.print(shown)
    models = table("model", "by", "badge", "versions", "in use", "open gaps", right=("versions", "open gaps"))
    for model in document.models:
        numbers = ", ".join(map(str, model.versions_in_use[:MAX_LISTED])) or "-"
        models.add_row(
            display(model.model_name),
            model.assigned_by,
            model.badge or "-",
            f"{model.versions:,}",
            numbers,
            f"{model.open_gaps:,}",
        )
    if document.models:
        out.print(models)
        out.print(f"A model's badge is {MODEL_RULE} Open gaps are those of all versions.", style="dim", highlight=False)
    _print_contradictions((row,))
    if row.declared is None:
        out.print("Nothing is declared about this system: only tags name it.")
    else:
        _print_declared(row.declared, row, document)
    out.print(display(f"The gaps one by one: verifywise-mlflow gaps {row.tenant} --system {shlex.quote(row.system)}"))


def _print_declared(declared: DeclaredFacts, row: SystemRow, document: SystemDocument) -> None:
    out.print(display(f"Declared by {declared.declared_by} on {declared.declared_on}; no evidence:"))
    stated = facts()
    overdue = " (overdue)" if row.is_review_overdue else ""
    for name, value in (
        ("purpose", declared.purpose),
        ("risk category", declared.risk_category),
        ("basis", declared.risk_basis),
        ("decided by", declared.risk_decided_by),
        ("decided on", declared.risk_decided_on),
        ("roles", ", ".join(declared.roles)),
        ("provider", declared.provider),
        ("owner", declared.owner),
        ("affected persons", declared.affected_persons),
        ("last review", declared.last_review),
        ("next review", f"{declared.next_review}{overdue}" if declared.next_review else None),
    ):
        if value:
            stated.add_row(name, display(value, max_length=1_000))
    for entry in document.documents:
        dated = entry.dated.isoformat() if entry.dated else ""
        version = f"version {entry.version}" if entry.version else ""
        parts = [entry.title, entry.location, *filter(None, (version, dated))]
        about = f" ({', '.join(entry.clauses)})" if entry.clauses else ""
        stated.add_row("document", display(", ".join(parts) + about))
    out.print(stated)
    for recorded in document.history:
        by = f"as declared by {recorded.declared.declared_by}" if recorded.declared else "declaration removed"
        out.print(display(f"{utc_text(recorded.recorded_at)}: {by}, found by sync {recorded.sync_id}"))
