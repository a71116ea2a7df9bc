"""Everything that ``show --all`` prints about a version: verdicts with their reasons, fields with their origins."""

from __future__ import annotations

from rich.text import Text

from verifywise_mlflow.cli.display import display, display_origin
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.cli.version_page import clause_list, declared_by, print_heading, rule_line, verdict_colors
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.ai_systems import DeclaredSystem
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP
from verifywise_mlflow.persistence.queries.history import Validity
from verifywise_mlflow.services.version_dossier import VersionDossier


def print_details(dossier: VersionDossier, declared: DeclaredSystem | None) -> None:
    """Print everything that is recorded of a version, and all verdicts on it."""
    print_heading(dossier)
    out.print(Text(f"The record is valid {_span(dossier.state.span)}."))
    if dossier.badge:
        out.print(Text(f"The badge is valid {_span(dossier.badge.span)}. A version is {VERSION_RULE}"))
    if declared:
        out.print(Text("AI system: ") + display(declared.name) + Text(", ") + declared_by(declared))
    print_verdicts(dossier)
    for title, fields in FIELDS_BY_GROUP.items():
        out.print()
        rows = table("field", "value", "from", title=f"[bold]{title}[/bold]")
        for field in fields:
            value = getattr(dossier.record, field)
            rows.add_row(field, display(value), display_origin(dossier.state.origins.get(field)))
        out.print(rows)
    out.print()
    for unread in dossier.unknowns.unread_objects:
        for sentence in unread.sentences:
            out.print(Text("incomplete: ", style="yellow"), display(sentence), sep="")
    for finding in dossier.state.findings:
        out.print(Text("finding: ", style="yellow"), display(finding.get("sentence")), sep="")


def print_verdicts(dossier: VersionDossier) -> None:
    """Print the verdict of each rule: gaps before other verdicts, then by severity."""
    colors = verdict_colors(is_complete=not dossier.state.incomplete)
    rows = table("severity", "verdict")
    rows.show_header = False
    for judged in dossier.rules:
        verdict = judged.verdict
        lines = [rule_line(judged, f"bold {colors.get(verdict.verdict, '')}")]
        lines += [display(text) for text in (judged.rule.title, verdict.reason) if text]
        if judged.clauses:
            lines.append(Text(escape_invisible(clause_list(judged)), "dim"))
        if judged.waiver:
            lines.append(Text.assemble(("waived: ", "cyan"), display(judged.waiver.waiver.sentence)))
        rows.add_row(display(judged.rule.severity or "-"), Text("\n").join(lines))
    if dossier.rules:
        out.print()
        out.print(rows)


def _span(span: Validity) -> str:
    start = f"from {display(span.valid_from)} ({_sync(span.sync_id)})"
    if span.valid_to is None:
        return f"{start} until now"
    return f"{start} until {display(span.valid_to)} ({_sync(span.ended_by_sync_id)})"


def _sync(sync_id: str | None) -> str:
    return f"sync {escape_invisible(sync_id)}" if sync_id else "not by a sync"
