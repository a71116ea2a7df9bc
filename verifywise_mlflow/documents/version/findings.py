"""The sections on gaps, waivers, all verdicts, and the way from a clause to its evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.compliance.verdict import Verdict
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
from verifywise_mlflow.documents.version.wording import (
    EVIDENCE_TONES,
    evidence_word,
    origin_note,
    show_value,
    verdict_cell,
)
from verifywise_mlflow.services.clause_evidence import RuleOnVersion, VersionClause, files_read
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier

_MAX_VALUES = 6
_MAX_FILES = 3


def gaps(dossier: VersionDossier) -> Section:
    """Return the gaps that nobody accepted, each with the time at which it opened and what to do."""
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
                Cell(shorten(judged.verdict.reason)),
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
    """Return every rule with its verdict, the values that it read, their sources, and the files behind them."""
    if not dossier.rules:
        return Section("rules", "From rule to value, source and file", (Paragraph("No rule has been evaluated yet."),))
    files_behind = _files_behind(dossier)
    rows = (
        (
            Cell(judged.rule.title or judged.verdict.rule_id, judged.verdict.rule_id),
            verdict_cell(judged.verdict.verdict, f"since {show_day(judged.verdict.span.valid_from)}"),
            Cell(shorten(judged.verdict.reason)),
            _values(judged),
            Cell(files_behind(judged)),
        )
        for judged in dossier.rules
    )
    table = limited_table(
        "All rules with their verdicts, the values that they read, and the files behind these",
        ("Rule", "Verdict", "What was found", "Values and their sources", "Files and their SHA-256"),
        rows,
        limit=5 * MAX_ROWS,
        more="verdicts.json",
    )
    return Section("rules", "From rule to value, source and file", (table,))


def clauses(dossier: VersionDossier) -> Section:
    """Return, for each framework, the way from a clause to the rules that give evidence for it."""
    return Section(
        "from-clause-to-rule",
        "From clause to rule",
        (
            Paragraph(
                "These tables lead from a clause to the rules that give evidence for it. The table of rules after them "
                "leads on to the values, their sources and the hashes of files. Clauses that MLflow can say nothing "
                "about are listed under “What cannot be known from MLflow”."
            ),
        ),
        tuple(_framework(dossier, framework) for framework in dossier.frameworks),
    )


def _framework(dossier: VersionDossier, framework: Framework) -> Section:
    name = framework.name.lower()
    anchor = "framework-" + "".join(char if char.isascii() and char.isalnum() else "-" for char in name)
    rows = [_clause_row(entry) for entry in dossier.clauses_of(framework) if entry.rules]
    table = limited_table(
        f"{framework.name}: what the version shows of each clause",
        ("Clause", "The version shows", "By these rules", "What MLflow does not show"),
        rows,
        limit=5 * MAX_ROWS,
        more="verdicts.json",
    )
    return Section(anchor, framework.name, (Paragraph(f"Edition: {framework.edition}."), table))


def _clause_row(entry: VersionClause) -> Row:
    by_verdict = groupby(sorted(entry.rules, key=_verdict), key=_verdict)
    verdicts = (f"{verdict}: {_rules(verdict, list(rules))}" for verdict, rules in by_verdict)
    clause = entry.cited.clause
    shows = evidence_word(entry.evidence) if entry.evidence else "nothing"
    tone = EVIDENCE_TONES.get(entry.evidence) if entry.evidence else None
    return (Cell(clause.id, clause.about), Cell(shows, tone=tone), Cell("\n".join(verdicts)), Cell(clause.blank))


def _verdict(applied: RuleOnVersion) -> str:
    return applied.verdict.verdict if applied.verdict else "not evaluated"


def _rules(verdict: str, rules: Sequence[RuleOnVersion]) -> str:
    if verdict == Verdict.NOT_APPLICABLE:
        return f"{len(rules)} rule{'' if len(rules) == 1 else 's'}"
    return "; ".join(applied.rule.title or applied.rule.rule_id for applied in rules)


def _values(judged: JudgedRule) -> Cell:
    """Return the values that a rule read, and their sources."""
    verdict = judged.verdict
    names = [path for path in verdict.values if not path.startswith(("origins.", "thresholds."))]
    shown = [f"{path}: {show_value(verdict.values[path], 120)}" for path in names[:_MAX_VALUES]]
    if len(names) > _MAX_VALUES:
        shown.append(f"and {len(names) - _MAX_VALUES} more in verdicts.json")
    fields = dict.fromkeys(path.partition(".")[0] for path in names[:_MAX_VALUES])
    sources = dict.fromkeys(filter(None, (origin_note(verdict.origins.get(field)) for field in fields)))
    return Cell("\n".join(shown), "\n".join(sources))


def _files_behind(dossier: VersionDossier) -> Callable[[JudgedRule], str]:
    """Return a function that lists the files behind the fields of a rule. Rules with the same fields share a list."""
    known: dict[frozenset[str], str] = {}

    def files_behind(judged: JudgedRule) -> str:
        fields = _FIELDS_WITH_FILES & {path.partition(".")[0] for path in judged.verdict.values}
        if fields not in known:
            files = list(files_read(dossier.record, [RuleOnVersion(judged.rule, judged.verdict)])) if fields else []
            known[fields] = "\n".join(_file_lines(files))
        return known[fields]

    return files_behind


_FIELDS_WITH_FILES: Final = frozenset(("artifact_manifest", "evidence_files", "runtime_environment"))


def _file_lines(files: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for file in files[:_MAX_FILES]:
        yield f"{shorten(str(file.get('path')), 120)}: {file.get('sha256') or 'not hashed'}"
    if len(files) > _MAX_FILES:
        yield f"and {len(files) - _MAX_FILES:,} more in record.json"


def _age(dossier: VersionDossier, judged: JudgedRule) -> str:
    days = (dossier.as_of - judged.open_since).days
    return f"{days} day{'' if days == 1 else 's'}"
