"""The coverage of a framework's clauses as a table for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape

from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.coverage import ClauseCoverage, ClauseState, FrameworkCoverage, VersionEvidence
from verifywise_mlflow.compliance.frameworks import ApplicationDate, Clause, Framework


def clause_fields(clause: Clause, application: ApplicationDate | None) -> dict[str, object]:
    """Return the catalog's facts about a clause, as JSON values."""
    return {
        "id": clause.id,
        "about": clause.about,
        "obtainable": clause.obtainable.value,
        "direct": clause.direct,
        "blank": clause.blank,
        "confidence": clause.confidence,
        "applicable_from": application.applicable_from.isoformat() if application else None,
        "date_source": application.cited_source if application else None,
    }


def coverage_as_json(coverage: FrameworkCoverage, tenant: str | None) -> dict[str, object]:
    """Return a framework's coverage as JSON values; without a tenant, how much MLflow can show."""
    framework = coverage.framework
    document: dict[str, object] = {
        "name": framework.name,
        "edition": framework.edition,
        "covers": framework.covers,
        "source": framework.source,
        "url": framework.url,
    }
    if tenant is not None:
        document["versions"] = coverage.version_count
        document["archived_versions"] = coverage.archived_count
        document["states"] = {state.value: count for state, count in coverage.state_counts.items()}
    document["clauses"] = [
        {
            **clause_fields(entry.clause, entry.application),
            "rules": entry.rules,
            **({} if tenant is None else {"state": entry.state.value, "versions": counts_as_json(entry)}),
        }
        for entry in coverage.clauses
    ]
    return document


def counts_as_json(coverage: ClauseCoverage) -> dict[str, int]:
    """Return the number of versions for each degree of evidence for a clause."""
    return {evidence.value: count for evidence, count in coverage.version_counts.items()}


def print_coverage(coverage: FrameworkCoverage, tenant: str | None) -> None:
    """Print the coverage of a framework's clauses; without a tenant, how much MLflow can show of each clause."""
    framework = coverage.framework
    name = escape(escape_invisible(framework.name))
    if tenant is None:
        clauses = table("clause", "about", "MLflow shows", "MLflow does not show", title=name)
    else:
        title = f"{name}: {escape(escape_invisible(tenant))}, {coverage.version_count:,} versions"
        if coverage.archived_count:
            title += f" ({coverage.archived_count:,} archived left out)"
        clauses = table("clause", "about", "state", "blank", title=title)
    for entry in coverage.clauses:
        state, blank = entry.clause.obtainable.value, entry.clause.blank
        if tenant is not None:
            state = ": ".join(filter(None, (entry.state.value, counted(entry))))
            is_counted = any(entry.version_counts.values())
            blank = blank if is_counted or entry.state is ClauseState.NOT_OBTAINABLE else "No rule covers it."
        cells = (entry.clause.id, f"{entry.clause.about} ({certainty(entry)})", state, blank)
        clauses.add_row(*(escape(escape_invisible(cell)) for cell in cells))
    out.print(clauses)
    if tenant is not None:
        out.print(", ".join(f"{count} {state.value}" for state, count in coverage.state_counts.items()))
    for line in framework_remarks(framework):
        out.print(line, highlight=False, markup=False)


def print_overview(coverages: Sequence[FrameworkCoverage], tenant: str | None) -> None:
    """Print the number of each framework's clauses by state; without a tenant, by how much MLflow can show."""
    rows = table("framework", "clauses", "of them", right=("clauses",))
    for coverage in coverages:
        if tenant is None:
            counts = Counter(entry.clause.obtainable.value for entry in coverage.clauses)
        else:
            counts = Counter({state.value: count for state, count in coverage.state_counts.items()})
        states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        rows.add_row(display_name(coverage.framework.name), f"{len(coverage.clauses):,}", display(states))
    out.print(rows)
    subject = f" {tenant}" if tenant else ""
    out.print(
        display(f"One framework, clause by clause: verifywise-mlflow frameworks{subject} --framework NAME"),
        soft_wrap=True,
    )


def certainty(coverage: ClauseCoverage) -> str:
    """Return a clause's confidence and date, short enough for a cell: both qualify every statement about the clause."""
    application = coverage.application
    since = f"; from {application.short_form}" if application else ""
    return f"confidence {coverage.clause.confidence}{since}"


def framework_remarks(framework: Framework) -> list[str]:
    """Return the extent and the source of a framework's list of clauses, and the source of each date."""
    source = framework.source
    dates = [f"From {entry.applicable_from}: {entry.cited_source}." for entry in framework.dates.values()]
    return [
        escape_invisible(line)
        for line in (f"It covers {framework.covers}. {source[0].upper()}{source[1:].rstrip('.')}.", *dates)
    ]


def counted(coverage: ClauseCoverage) -> str:
    """Return the number of versions for each degree of evidence, such as ``3 shown, 1 failed``."""
    words = _WORDS_OF_RECORDS if coverage.state is ClauseState.SUPPORTS and not coverage.rules else _WORDS
    counts = {word: sum(coverage.version_counts[evidence] for evidence in group) for word, group in words.items()}
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


_WORDS = {
    "shown": (VersionEvidence.SHOWN,),
    "in part": (VersionEvidence.IN_PART,),
    "with gaps": (VersionEvidence.NOT_SHOWN, VersionEvidence.NOT_EVALUATED, VersionEvidence.ERROR),
    "failed": (VersionEvidence.FAILED,),
    "not read": (VersionEvidence.NOT_READ,),
    "not applicable": (VersionEvidence.NOT_APPLICABLE,),
}
"""Maps each word in the table to the degrees of evidence that it combines, for lack of space. ``--json`` has each
degree separately."""
_WORDS_OF_RECORDS = {"recorded": (VersionEvidence.SHOWN,)}
