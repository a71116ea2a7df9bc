"""Everything that ``show --all`` prints about a version: verdicts with their reasons, fields with their origins."""

from __future__ import annotations

from datetime import UTC

from rich.text import Text

from verifywise_mlflow.cli.display import display, display_name, display_origin
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.cli.version_page import cited, clause_list, print_heading, verdict_colors
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP
from verifywise_mlflow.services.version_dossier import VersionDossier


def print_details(dossier: VersionDossier) -> None:
    """Print everything that is recorded of a version, and all verdicts on it."""
    print_heading(dossier)
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
    """Print the verdict of each rule, what matters first: gaps before other verdicts, then by severity."""
    if not dossier.rules:
        return
    colors = verdict_colors(is_complete=not dossier.state.incomplete)
    out.print()
    rows = table("rule", "verdict, since", "title, reason, clauses", unbroken=("rule", "verdict, since"))
    for judged in dossier.rules:
        verdict, rule = judged.verdict, judged.rule
        word = Text(verdict.verdict, style=colors.get(verdict.verdict, ""))
        since = judged.open_since if judged.is_gap else verdict.span.valid_from
        lines = [Text.assemble((escape_invisible(rule.title), "bold"))] if rule.title else []
        lines.append(display(verdict.reason))
        if judged.clauses:
            lines.append(Text(escape_invisible(clause_list(cited(judged))), "dim"))
        if judged.waiver:
            lines.append(Text.assemble(("waived: ", "cyan"), display(judged.waiver.waiver.sentence)))
        rows.add_row(
            display_name(verdict.rule_id).append(f"\n{escape_invisible(rule.severity)}", "dim"),
            word.append(f"\n{since.astimezone(UTC):%Y-%m-%d}", "dim"),
            Text("\n").join(lines),
        )
    out.print(rows)
