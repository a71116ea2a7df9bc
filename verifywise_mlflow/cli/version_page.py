"""The page that ``show`` prints about a version: the most important facts first, on one screen.

The page has the order in which a governance officer reads: the name of the version, its badge, its gaps, the people who
are responsible for it, and its training data. ``version_details`` prints everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Final

from rich.text import Text

from verifywise_mlflow.cli.display import display, display_origin
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, excerpt
from verifywise_mlflow.compliance.ai_systems import DeclaredSystem
from verifywise_mlflow.compliance.badge import BADGE_MEANINGS
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.history import Validity
from verifywise_mlflow.services.record_parts import PromptUse
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier

MAX_GAPS: Final = 4
"""The maximum number of gaps that the page shows with title and clauses: the severest gaps. Each takes three or four
lines."""
_MAX_VALUE: Final = 100
"""The maximum number of characters of a value on the page."""
_MAX_ENTRIES: Final = 4
"""The maximum number of entries of a list on the page, such as data sets and metrics."""
_MAX_CLAUSES: Final = 3
"""The maximum number of clauses of a gap on the page: they take one line."""
_MAX_NAMES: Final = 6
"""The maximum number of names in a list at the end of a section."""

_WHAT_IT_IS: Final = ("business_purpose", "ai_system", "risk_category", "data_sensitivity")
_WHO_ANSWERS: Final = ("owner", "compliance_approver", "reviewer", "validator")

_GOOD_BADGES: Final = frozenset(badge for badge, meaning in BADGE_MEANINGS.items() if meaning.tone == "good")
_BAD_BADGES: Final = frozenset(badge for badge, meaning in BADGE_MEANINGS.items() if meaning.tone == "bad")
_COLORS: Final[Mapping[str, str]] = {
    **dict.fromkeys((Verdict.PASS, *_GOOD_BADGES), "green"),
    **dict.fromkeys((Verdict.FAIL, Verdict.ERROR, *_BAD_BADGES), "red"),
}
_COLORS_OF_INCOMPLETE: Final[Mapping[str, str]] = {Verdict.PASS: "", **dict.fromkeys(_GOOD_BADGES, "yellow")}
"""The colors for a record that could not be read completely: nothing is green, even if its earlier badge was good."""


def verdict_colors(*, is_complete: bool) -> Mapping[str, str]:
    """Return the color of each verdict and badge that has a color."""
    return _COLORS if is_complete else {**_COLORS, **_COLORS_OF_INCOMPLETE}


def print_page(dossier: VersionDossier, declared: DeclaredSystem | None) -> None:
    """Print the most important facts about a version. If its AI system is declared, the declaration is shown, too."""
    print_heading(dossier)
    _print_gaps(dossier)
    _print_fields(dossier, "What it is", _WHAT_IT_IS, declared)
    _print_fields(dossier, "Who answers for it", _WHO_ANSWERS)
    _print_list("What it was trained on", _training(dossier))
    _print_list("Files and packages", _files(dossier))
    _print_unknowns(dossier)
    out.print()
    out.print(Text("Everything: add --all. How it came about: the command history.", "dim"))


def print_heading(dossier: VersionDossier) -> None:
    """Print the name of the version, the time of the state that is shown, and the badge."""
    record, state, badge = dossier.record, dossier.state, dossier.badge
    out.print(Text(f"{escape_invisible(record.model_name)} version {record.version_number}", style="bold"))
    aliases = record.aliases if isinstance(record.aliases, Sequence) else ()
    names = [f"@{excerpt(str(alias), 60)}" for alias in aliases[:_MAX_ENTRIES]]
    where = [f"stage {record.lifecycle_stage}" if record.lifecycle_stage else "no stage", *names]
    if record.deployment_status:
        where.append(record.deployment_status.replace("_", " "))
    out.print(Text(", ".join(where)))
    out.print(Text(f"As of {utc_text(dossier.as_of)}, unchanged {_period(state.span)}."))
    if state.deleted_at:
        out.print(Text(f"gone from MLflow since {utc_text(state.deleted_at)}", style="red"))
    if badge is None:
        out.print("It was not evaluated yet.")
        return
    color = verdict_colors(is_complete=not state.incomplete).get(badge.badge, "yellow")
    counts = Counter(judged.verdict.verdict for judged in dossier.rules)
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    out.print(Text.assemble("badge: ", (badge.badge, f"bold {color}"), f" {_period(badge.span)}: {words}"))


def _period(span: Validity) -> str:
    if span.valid_to is None:
        return f"since {utc_text(span.valid_from)}"
    return f"from {utc_text(span.valid_from)} until {utc_text(span.valid_to)}"


def clause_list(judged: JudgedRule, limit: int | None = None) -> str:
    """Return the clauses of a rule by framework: ``EU AI Act Art. 10, Art. 12; GDPR Art. 35``."""
    by_framework: dict[str, list[str]] = {}
    for entry in judged.clauses[:limit]:
        by_framework.setdefault(entry.framework.name, []).append(entry.clause.id)
    listed = "; ".join(f"{framework} {', '.join(ids)}" for framework, ids in by_framework.items())
    more = 0 if limit is None else len(judged.clauses) - limit
    return f"{listed}; {more} more" if more > 0 else listed


def _print_gaps(dossier: VersionDossier) -> None:
    gaps, waived = dossier.open_gaps, len(dossier.gaps) - len(dossier.open_gaps)
    if dossier.badge is None:
        return
    counts = Counter(judged.rule.severity for judged in gaps)
    severities = [f"{counts[severity]} {severity}" for severity in reversed(Severity) if counts[severity]]
    title = f"Open gaps: {len(gaps)}" + (f" ({', '.join(severities)})" if severities else "")
    if waived:
        title += f"; {waived} more {'is' if waived == 1 else 'are'} waived"
    _print_title(title)
    by_severity = sorted(gaps, key=lambda judged: -_severity_rank(judged.rule.severity))
    rows = table("severity", "gap")
    rows.show_header = False
    for judged in by_severity[:MAX_GAPS]:
        rows.add_row(display(judged.rule.severity or "-"), _gap(judged))
    if gaps:
        out.print(rows)
    if others := by_severity[MAX_GAPS:]:
        out.print(Text(f"and {_names([judged.verdict.rule_id for judged in others])}."))


def _severity_rank(severity: str) -> int:
    return list(Severity).index(Severity(severity)) if severity in list(Severity) else -1


def _gap(judged: JudgedRule) -> Text:
    title = judged.rule.title or judged.verdict.reason
    lines = [rule_line(judged, "bold"), Text(excerpt(title, 2 * _MAX_VALUE))]
    if judged.clauses:
        lines.append(Text(escape_invisible(clause_list(judged, _MAX_CLAUSES)), "dim"))
    return Text("\n").join(lines)


def rule_line(judged: JudgedRule, style: str) -> Text:
    """Return a rule with its verdict and the verdict's beginning: ``owner: not evidenced since 2026-03-02``."""
    verdict = judged.verdict
    since = (judged.open_since if judged.is_gap else verdict.span.valid_from).astimezone(UTC)
    return Text.assemble(
        (f"{escape_invisible(verdict.rule_id)}: ", "bold"),
        (verdict.verdict, style),
        (f" since {since:%Y-%m-%d}", "bold"),
    )


def declared_by(declared: DeclaredSystem) -> Text:
    """Return who declared an AI system, and when."""
    return display(f"declared by {declared.declared_by} on {declared.declared_on}", 2 * _MAX_VALUE)


def _print_fields(
    dossier: VersionDossier, title: str, fields: Sequence[str], declared: DeclaredSystem | None = None
) -> None:
    _print_title(title)
    rows = table("field", "value", "from")
    rows.show_header = False
    for field in fields:
        value = getattr(dossier.record, field)
        if field == "ai_system" and declared:
            rows.add_row(Text("ai system", "cyan"), display(declared.name, _MAX_VALUE), declared_by(declared))
            if value is None or declared.has_name(value):
                continue
        shown = display(value, _MAX_VALUE) if value is not None else Text("not recorded", "yellow")
        rows.add_row(Text(field.replace("_", " "), "cyan"), shown, _brief_origin(dossier.state.origins.get(field)))
    out.print(rows)


def _brief_origin(origin: Mapping[str, object] | None) -> Text:
    """Return the tag, alias or attribute that a value came from; also its text if the text is no value."""
    if origin is None or origin.get("state"):
        return display_origin(origin)
    return display(f"{origin.get('source')} {origin.get('key')}", _MAX_VALUE)


def _training(dossier: VersionDossier) -> Iterator[tuple[str, Text]]:
    record = dossier.record
    data_sets = [
        excerpt(f"{item.name} ({', '.join(filter(None, (item.context, item.digest)))})".removesuffix(" ()"), _MAX_VALUE)
        for item in dossier.data_sets
    ]
    yield "data sets", _entries(data_sets)
    run = [record.source_run_id, record.training_status, record.training_user and f"by {record.training_user}"]
    times = [display(at).plain for at in (record.training_started_at, record.training_ended_at) if at]
    yield "run", _joined(run)
    yield "trained", _joined([" to ".join(times)])
    yield "code", _joined([record.training_entrypoint, record.code_commit])
    yield "metrics", _entries([f"{name} {value:g}" for name, value in sorted((record.metrics or {}).items())])
    parameters = [f"{name} {value}" for name, value in sorted((record.hyperparameters or {}).items())]
    yield "parameters", _entries(parameters)
    if record.prompt_reference:
        yield "prompts", _entries(list(map(_prompt, dossier.prompts)) or [record.prompt_reference])
    if record.base_model:
        yield "base model", _joined([record.base_model, record.base_model_license])


def _prompt(link: PromptUse) -> str:
    number = "" if link.version_number is None else f" {link.version_number}"
    notes = [f"@{link.alias}" if link.alias else None, None if link.state == "found" else link.state]
    return f"{link.name}{number} ({', '.join(filter(None, notes))})".removesuffix(" ()")


def _files(dossier: VersionDossier) -> Iterator[tuple[str, Text]]:
    manifest, environment = dossier.manifest, dossier.environment
    if manifest is None:
        yield "files", Text("not recorded", "yellow")
    else:
        hashed = sum(file.sha256 is not None for file in manifest.files)
        signed = [f"{signature.path} {signature.status}" for signature in manifest.signatures]
        yield "files", _joined([f"{len(manifest.files):,}, {hashed:,} of them hashed", manifest.status, *signed])
    if environment is None:
        yield "environment", Text("not recorded", "yellow")
    else:
        pinned = sum(package.pinned for package in environment.packages)
        python = f"Python {environment.python_version or 'unknown'}"
        yield "environment", _joined([python, f"{len(environment.packages):,} packages, {pinned:,} of them pinned"])


def _print_unknowns(dossier: VersionDossier) -> None:
    unknowns = dossier.unknowns
    sentences = [sentence for item in unknowns.unread_objects for sentence in item.sentences]
    findings = [str(finding.get("sentence")) for finding in dossier.state.findings]
    out.print()
    for title, texts in (("Could not be read", sentences), ("Findings", findings)):
        if texts:
            more = f" (and {len(texts) - 1:,} more)" if len(texts) > 1 else ""
            out.print(Text.assemble((f"{title}: ", "bold"), display(texts[0], 2 * _MAX_VALUE), more))
    shown = {*_WHAT_IT_IS, *_WHO_ANSWERS}
    missing = [item.field.replace("_", " ") for item in unknowns.missing_fields if item.field not in shown]
    if missing:
        out.print(Text(f"Not recorded either: {_names(missing)}.", "yellow"))


def _print_title(title: str) -> None:
    out.print()
    out.print(Text(title, style="bold"))


def _print_list(title: str, entries: Iterator[tuple[str, Text]]) -> None:
    _print_title(title)
    rows = table("field", "value")
    rows.show_header = False
    for name, value in entries:
        rows.add_row(Text(name, "cyan"), value)
    out.print(rows)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(escape_invisible(name) for name in names[:_MAX_NAMES]) + more


def _entries(texts: Sequence[str]) -> Text:
    if not texts:
        return Text("not recorded", "yellow")
    more = f" and {len(texts) - _MAX_ENTRIES:,} more" if len(texts) > _MAX_ENTRIES else ""
    return Text(", ".join(excerpt(text, _MAX_VALUE) for text in texts[:_MAX_ENTRIES]) + more)


def _joined(parts: Sequence[str | None]) -> Text:
    known = [excerpt(part, _MAX_VALUE) for part in parts if part]
    return Text(", ".join(known)) if known else Text("not recorded", "yellow")
