"""Gaps, waivers, all verdicts, and the way from a clause to its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.documents.blocks import (
    Block,
    Cell,
    Paragraph,
    Row,
    Section,
    limited_table,
    shorten,
    show_day,
)
from verifywise_mlflow.documents.version.training import MAX_ROWS
from verifywise_mlflow.documents.version.wording import origin_note, show_value, verdict_cell
from verifywise_mlflow.persistence.queries.history import VerdictState
from verifywise_mlflow.services.clause_evidence import RuleOnVersion, VersionClause
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier

_MAX_VALUES = 6
_MAX_FILES = 5


def gaps(dossier: VersionDossier) -> Section:
    """Return the gaps that nobody accepted, with since when they are open and what to do."""
    if dossier.badge is None:
        blocks: tuple[Block, ...] = (Paragraph("No rule has been evaluated on this version yet.", "warning"),)
    elif not dossier.open_gaps:
        blocks = (Paragraph("No gap is open.", "good"),)
    else:
        rows = (
            (
                Cell(judged.rule.title or judged.verdict.rule_id, judged.verdict.rule_id),
                Cell(judged.rule.severity or "unknown"),
                verdict_cell(judged.verdict.verdict),
                Cell(show_day(judged.open_since), _age(dossier, judged)),
                Cell(shorten(judged.verdict.reason), f"What to do: {judged.rule.remedy}" if judged.rule.remedy else ""),
            )
            for judged in dossier.open_gaps
        )
        blocks = (
            limited_table(
                "Open gaps, the most severe first",
                ("Rule", "Severity", "Verdict", "Open since", "What was found"),
                rows,
                limit=MAX_ROWS,
                more="verdicts.json",
            ),
        )
    intro = Paragraph(
        "A gap is a rule that failed, could not be evaluated, or for which MLflow shows no evidence. “Not evidenced” "
        "does not mean that something was not done: it means that MLflow does not show it."
    )
    return Section("open-gaps", "Open gaps", (intro, *blocks))


def accepted_gaps(dossier: VersionDossier) -> Section:
    """Return the waivers: who accepted which gap, why and until when."""
    if not dossier.waivers:
        return Section("waivers", "Accepted gaps (waivers)", (Paragraph("No gap of this version was ever waived."),))
    rows = []
    for stored in dossier.waivers:
        waiver, in_force = stored.waiver, stored.is_in_force(dossier.as_of)
        if in_force:
            state = Cell("in force", f"until the end of {waiver.expires.isoformat()}", "quiet")
        else:
            ended = show_day(stored.ended_at) if stored.ended_at else waiver.expires.isoformat()
            state = Cell("ended", f"{stored.end_reason or 'expired'}, {ended}", "quiet")
        scope = waiver.model + (f" version {waiver.version}" if waiver.version else ", all versions")
        rows.append(
            (
                Cell(waiver.rule, f"granted for: {shorten(scope, 200)}"),
                Cell(shorten(waiver.approver, 200)),
                Cell(show_day(stored.granted_at)),
                state,
                Cell(shorten(waiver.reason)),
            )
        )
    table = limited_table(
        "Waivers, the oldest first",
        ("Rule", "Accepted by", "Since", "State", "Reason"),
        rows,
        limit=MAX_ROWS,
        more="verdicts.json",
    )
    return Section("waivers", "Accepted gaps (waivers)", (table,))


def all_rules(dossier: VersionDossier) -> Section:
    """Return every rule with its verdict and the values that it read."""
    if not dossier.rules:
        return Section("rules", "All rules", (Paragraph("No rule has been evaluated on this version yet."),))
    rows = (
        (
            Cell(judged.rule.title or judged.verdict.rule_id, judged.verdict.rule_id),
            verdict_cell(judged.verdict.verdict, f"since {show_day(judged.verdict.span.valid_from)}"),
            Cell(shorten(judged.verdict.reason)),
            Cell(", ".join(f"{cited.framework.name} {cited.clause.id}" for cited in judged.clauses)),
        )
        for judged in dossier.rules
    )
    table = limited_table(
        "All rules and their verdicts",
        ("Rule", "Verdict", "What was found", "Gives evidence for"),
        rows,
        limit=5 * MAX_ROWS,
        more="verdicts.json",
    )
    return Section("rules", "All rules", (table,))


def clauses(dossier: VersionDossier) -> Section:
    """Return, for each framework, the way from a clause to rule, verdict, value, source and file."""
    return Section(
        "from-clause-to-evidence",
        "From clause to evidence",
        (
            Paragraph(
                "Each row leads from a clause to a rule, its verdict, the values that the rule read, where these come "
                "from, and the hashes of the files behind them. Clauses that MLflow can say nothing about are listed "
                "under “What cannot be known from MLflow”."
            ),
        ),
        tuple(_framework(dossier, framework) for framework in dossier.frameworks),
    )


def _framework(dossier: VersionDossier, framework: Framework) -> Section:
    entries = [clause for clause in dossier.clauses_of(framework) if clause.rules]
    anchor = "framework-" + "".join(
        char if char.isascii() and char.isalnum() else "-" for char in framework.name.lower()
    )
    rows = [row for entry in entries for row in _clause_rows(entry)]
    return Section(
        anchor,
        f"{framework.name}, {framework.edition}",
        (
            limited_table(
                f"{framework.name}: evidence by clause",
                ("Clause", "Rule and verdict", "Values and their sources", "Files and hashes"),
                rows,
                limit=5 * MAX_ROWS,
                more="verdicts.json",
            ),
        ),
    )


def _clause_rows(entry: VersionClause) -> Iterator[Row]:
    clause = entry.cited.clause
    blank = f" Not shown by MLflow: {clause.blank}" if clause.blank else ""
    for number, applied in enumerate(entry.rules):
        about = f"{clause.about}{blank}" if number == 0 else ""
        verdict = applied.verdict
        yield (
            Cell(clause.id, about),
            verdict_cell(verdict.verdict if verdict else None, applied.rule.title or applied.rule.rule_id),
            Cell(*_values(applied)),
            Cell(*_hashes(entry.files, applied)),
        )


def _values(applied: RuleOnVersion) -> tuple[str, str]:
    """Return the values that a rule read, and their sources."""
    verdict = applied.verdict
    if verdict is None:
        return "", ""
    names = [path for path in verdict.values if not path.startswith(("origins.", "thresholds."))]
    shown = "; ".join(f"{path}: {show_value(verdict.values[path], 120)}" for path in names[:_MAX_VALUES])
    if len(names) > _MAX_VALUES:
        shown += f"; and {len(names) - _MAX_VALUES} more values in verdicts.json"
    return shown, "; ".join(_sources(verdict, names[:_MAX_VALUES]))


def _sources(verdict: VerdictState, paths: Sequence[str]) -> Iterator[str]:
    for field in dict.fromkeys(path.partition(".")[0] for path in paths):
        if note := origin_note(verdict.origins.get(field)):
            yield note


def _hashes(files: Sequence[Mapping[str, object]], applied: RuleOnVersion) -> tuple[str, str]:
    if not files or applied.verdict is None:
        return "", ""
    listed = [f"{shorten(str(file.get('path')), 120)} SHA-256 {file.get('sha256') or 'not hashed'}" for file in files]
    more = f"; and {len(listed) - _MAX_FILES:,} more files in record.json" if len(listed) > _MAX_FILES else ""
    return "; ".join(listed[:_MAX_FILES]) + more, ""


def _age(dossier: VersionDossier, judged: JudgedRule) -> str:
    days = (dossier.as_of - judged.open_since).days
    return f"{days} day{'' if days == 1 else 's'}"
