"""The evidence of one version for clauses, for people and as JSON: verdicts, values with origins, files with hashes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from rich.text import Text

from verifywise_mlflow.cli.clause_output import WORST_FIRST, clause_facts, rules_by_verdict, version_title
from verifywise_mlflow.cli.coverage_output import clause_fields
from verifywise_mlflow.cli.display import display, display_origin, escape_rich_markup
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.compliance.coverage import ClauseState
from verifywise_mlflow.compliance.frameworks import Obtainable
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.history import VerdictState
from verifywise_mlflow.services.clause_evidence import RuleOnVersion, VersionClause, VersionClauses

MAX_FILES: Final = 20
"""The maximum number of files of a clause that are printed; ``--json`` has all files."""


_ABOUT_ORIGINS: Final = ("stated.", "origins.")


def version_as_json(shown: VersionClauses, tenant: str) -> object:
    """Return a version's evidence for clauses as JSON values."""
    name, number = shown.key
    return json_ready(
        {
            "tenant": tenant,
            "model_name": name,
            "version_number": number,
            "lifecycle_stage": shown.lifecycle_stage,
            "gone_at": shown.deleted_at,
            "clauses": [
                {
                    "framework": entry.cited.framework.name,
                    **clause_fields(entry.cited.clause, entry.cited.framework.application_date_of(entry.cited.clause)),
                    "shows": _shows(entry),
                    "rules": [_rule_as_json(applied) for applied in entry.rules],
                    "files": entry.files,
                }
                for entry in shown.clauses
            ],
        }
    )


def _rule_as_json(applied: RuleOnVersion) -> dict[str, object]:
    rule, verdict = applied.rule, applied.verdict
    document: dict[str, object] = {"rule_id": rule.rule_id, "title": rule.title, "severity": rule.severity}
    if verdict is None:
        return {**document, "verdict": None}
    return {
        **document,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "held_from": verdict.span.valid_from,
        "values": verdict.values,
        "origins": verdict.origins,
        "thresholds": verdict.thresholds,
        "day": verdict.day,
        "input_hash": verdict.input_hash,
    }


def _shows(entry: VersionClause) -> str:
    """Return the version's evidence for a clause; without a rule, at most that a record of the version exists."""
    if entry.evidence:
        return entry.evidence.value
    obtainable = entry.cited.clause.obtainable
    is_settled = obtainable in (Obtainable.SUPPORTS, Obtainable.NOT_OBTAINABLE)
    return obtainable.value if is_settled else ClauseState.NOTHING_SHOWN.value


def print_version(shown: VersionClauses, *, with_values: bool) -> None:
    """Print a version's evidence for clauses: one row per clause, or also the values, origins and files."""
    name, number = shown.key
    out.print(version_title(name, number, shown.lifecycle_stage), style="bold")
    if shown.deleted_at:
        out.print(Text(f"gone from MLflow since {display(shown.deleted_at)} UTC", style="red"))
    if with_values:
        for entry in shown.clauses:
            _print_clause(entry)
        return
    for framework, entries in groupby(shown.clauses, key=lambda entry: entry.cited.framework.name):
        clauses = table("clause", "this version shows", "verdicts of the rules", title=escape_rich_markup(framework))
        for entry in entries:
            verdicts = {applied.rule.rule_id: _verdict(applied) for applied in entry.rules}
            clauses.add_row(display(entry.cited.clause.id), _shows(entry), rules_by_verdict(verdicts))
        out.print(clauses)
    out.print("For the values, origins and files behind a clause, add --clause.")


def _print_clause(entry: VersionClause) -> None:
    cited = entry.cited
    rows = clause_facts(cited.framework, cited.clause, cited.framework.application_date_of(cited.clause))
    rows.add_row("this version", _shows(entry) if entry.evidence else "No rule gives evidence for this clause.")
    out.print(rows)
    for applied in sorted(entry.rules, key=lambda applied: WORST_FIRST.index(_verdict(applied))):
        heading = f"{applied.rule.rule_id}: {_verdict(applied) or 'not judged'}, severity {applied.rule.severity}"
        out.print(display(heading), style="bold")
        if applied.verdict:
            out.print(display(applied.verdict.reason))
        if applied.verdict and applied.verdict.verdict != Verdict.NOT_APPLICABLE:
            _print_values(applied.verdict)
    for file in entry.files[:MAX_FILES]:
        out.print(_file_lines(file))
    if len(entry.files) > MAX_FILES:
        out.print(f"... and {len(entry.files) - MAX_FILES:,} more files: see --json")
    out.print()


def _print_values(verdict: VerdictState) -> None:
    values = table("value", "as it stood", "from")
    for path, value in verdict.values.items():
        if path.startswith(_ABOUT_ORIGINS):  # the column "from" shows the origin
            continue
        entry = verdict.origins.get(path) or verdict.origins.get(path.partition(".")[0])
        values.add_row(display(path), display(value), display_origin(entry))
    for name, number in verdict.thresholds.items():
        values.add_row(display(f"thresholds.{name}"), display(number), "the policy, or the tenant's description")
    out.print(values)


def _file_lines(file: Mapping[str, object]) -> Text:
    size = file.get("size")
    size_text = f"{size:,} bytes" if isinstance(size, int) else "size unknown"
    digest = f"sha256 {file['sha256']}" if file.get("sha256") else f"not hashed: {file.get('note') or 'no reason'}"
    first = display(f"file {file.get('path')}: {file.get('kind')}, {size_text}")
    return first.append("\n  ").append(display(digest))


def _verdict(applied: RuleOnVersion) -> Verdict | None:
    return Verdict(applied.verdict.verdict) if applied.verdict else None
