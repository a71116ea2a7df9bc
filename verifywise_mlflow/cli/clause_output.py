"""A clause with its evidence, for people and as JSON: the rules, and the versions with the least evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.table import Table
from rich.text import Text

from verifywise_mlflow.cli.coverage_output import clause_fields, counted, counts_as_json
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.output import facts, out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.coverage import version_evidence
from verifywise_mlflow.compliance.frameworks import ApplicationDate, Clause, Framework
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.clause_verdicts import VersionVerdicts
from verifywise_mlflow.services.clause_evidence import ClauseEvidence

WORST_FIRST: Final = (
    *(Verdict.FAIL, Verdict.ERROR, None, Verdict.NOT_EVIDENCED, Verdict.NOT_READ, Verdict.PASS, Verdict.NOT_APPLICABLE),
)
"""The verdicts in the order in which they are printed. None means that the rule was not evaluated yet."""


def clause_as_json(evidence: ClauseEvidence) -> dict[str, object]:
    """Return a clause with its rules and its worst versions as JSON values."""
    covered = evidence.coverage
    return {
        "framework": evidence.framework.name,
        **clause_fields(covered.clause, covered.application),
        "state": covered.state.value,
        "versions": counts_as_json(covered),
        "archived_versions": evidence.archived_count,
        "rules": [
            {
                "rule_id": counted_rule.rule.rule_id,
                "title": counted_rule.rule.title,
                "severity": counted_rule.rule.severity,
                "verdicts": dict(counted_rule.verdict_counts),
            }
            for counted_rule in evidence.rules
        ],
        "worst_versions": [_version_as_json(evidence, version) for version in evidence.worst_versions],
        "more_versions": evidence.unlisted_count,
    }


def _version_as_json(evidence: ClauseEvidence, version: VersionVerdicts) -> dict[str, object]:
    name, number = version.key
    return {
        "model_name": name,
        "version_number": number,
        "lifecycle_stage": version.lifecycle_stage,
        "shows": _shows(evidence, version),
        "verdicts": {
            rule_id: {"verdict": given.verdict, "reason": given.reason} for rule_id, given in version.verdicts.items()
        },
    }


def _shows(evidence: ClauseEvidence, version: VersionVerdicts) -> str:
    verdicts = {rule_id: given.verdict for rule_id, given in version.verdicts.items()}
    return version_evidence(evidence.coverage.rules, verdicts).value


def print_clause(evidence: ClauseEvidence, tenant: str) -> None:
    """Print a clause, its rules, and the versions that show the least evidence for the clause."""
    covered = evidence.coverage
    rows = clause_facts(evidence.framework, covered.clause, covered.application)
    left_out = f" ({evidence.archived_count:,} archived left out)" if evidence.archived_count else ""
    state = ": ".join(filter(None, (covered.state.value, counted(covered)))) + left_out
    rows.add_row(display(tenant), state)
    out.print(rows)
    if not evidence.rules:
        out.print("No rule gives evidence for this clause.\n")
        return
    rules = table("rule", "severity", "versions by verdict")
    for counted_rule in evidence.rules:
        rule, counts = counted_rule.rule, counted_rule.verdict_counts
        words = [f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts.get(verdict)]
        heading = display(rule.rule_id).append("\n").append(display(rule.title))
        rules.add_row(heading, display(rule.severity), ", ".join(words) or "not judged yet")
    out.print(rules)
    versions = table("version", "shows", "verdicts of the rules", unbroken=("shows",))
    for version in evidence.worst_versions:
        name, number = version.key
        verdicts = {rule_id: given.verdict for rule_id, given in version.verdicts.items()}
        versions.add_row(
            version_title(name, number, version.lifecycle_stage),
            _shows(evidence, version),
            rules_by_verdict({rule_id: verdicts.get(rule_id) for rule_id in covered.rules}),
        )
    out.print(versions)
    if evidence.unlisted_count:
        out.print(f"... and {evidence.unlisted_count:,} more, which show as much or more: see --limit")
    out.print("For the values, origins and files behind a version, add --model and --version.\n")


def clause_facts(framework: Framework, clause: Clause, application: ApplicationDate | None) -> Table:
    """Print a clause's number and subject; return a table of the catalog's facts, to which rows can be added."""
    title = f"{framework.name} {clause.id}: {clause.about}"
    out.print(Text(escape_invisible(title), style="bold"))
    rows = facts()
    direct = f". Recorded by MLflow itself: {clause.direct}" if clause.direct else ""
    rows.add_row("MLflow shows", display(f"{clause.obtainable.value}{direct}"))
    if clause.blank:
        rows.add_row("not shown", display(clause.blank))
    rows.add_row("confidence", clause.confidence)
    if application:
        rows.add_row("applies from", display(f"{application.applicable_from}, {application.cited_source}"))
    return rows


def rules_by_verdict(verdicts: Mapping[str, str | None]) -> Text:
    """Return the rules of each verdict, the worst verdict first. None means that a rule was not evaluated yet."""
    lines = []
    for verdict in WORST_FIRST:
        rules = [rule_id for rule_id, given in verdicts.items() if given == verdict]
        if rules:
            lines.append(f"{verdict or 'not judged'}: {', '.join(rules)}")
    return Text("\n").join(map(display, lines))


def version_title(name: str, number: int, lifecycle_stage: str | None) -> Text:
    """Return a version with its stage, such as ``credit version 3 (production)``."""
    return display_name(f"{name} version {number} ({lifecycle_stage or 'no stage'})")
