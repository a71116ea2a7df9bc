"""The pages about a tenant as a whole: portfolio, inventory, gaps, coverage, AI systems, completeness, search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.compliance.coverage import ClauseState
from verifywise_mlflow.documents.report.brief import MAX_PRODUCTION, production_models, sentences
from verifywise_mlflow.documents.report.page_writer import (
    COMPLETENESS,
    COVERAGE,
    GAPS,
    MODELS,
    PORTFOLIO,
    SYSTEMS,
    PageWriter,
)
from verifywise_mlflow.documents.report.portfolio_charts import coverage_chart, portfolio_charts
from verifywise_mlflow.documents.report.site_paths import TenantPaths, file_name
from verifywise_mlflow.documents.report.tenant_state import TenantState

MODELS_PER_PAGE: Final = 500
"""The maximum number of rows on a page. A page with this many rows opens within a second."""


def write_tenant_pages(writer: PageWriter, paths: TenantPaths, state: TenantState) -> None:
    """Write all pages about a tenant except the pages of models and versions."""
    blanks = [
        (coverage.framework.name, blank, len(coverage.clauses))
        for coverage in state.coverage
        if (blank := coverage.state_counts[ClauseState.NOT_OBTAINABLE])
    ]
    writer.write(
        "portfolio.html.j2",
        paths.portfolio,
        PORTFOLIO,
        state=state,
        sentences=list(sentences(state)),
        production=production_models(state)[:MAX_PRODUCTION],
        charts=portfolio_charts(state),
        blanks=blanks,
    )
    pages = [
        state.models[start : start + MODELS_PER_PAGE] for start in range(0, len(state.models), MODELS_PER_PAGE)
    ] or [()]
    for number, models in enumerate(pages, start=1):
        writer.write(
            "models.html.j2",
            paths.models(number),
            MODELS,
            state=state,
            models=models,
            number=number,
            page_count=len(pages),
        )
    rules = state.gaps.ranked_rules()
    writer.write("gaps.html.j2", paths.gaps, GAPS, state=state, rules=rules)
    for rule in rules:
        writer.write(
            "rule.html.j2",
            paths.rule(rule.rule_id),
            GAPS,
            state=state,
            rule=rule,
            stored=state.policies.rules.get(rule.rule_id),
            listed=[(rule, gap) for gap in rule.versions],
        )
    writer.write(
        "coverage.html.j2",
        paths.coverage,
        COVERAGE,
        state=state,
        chart=coverage_chart(state) if state.coverage else None,
    )
    writer.write("systems.html.j2", paths.systems, SYSTEMS, state=state, today=state.at.date())
    writer.write("completeness.html.j2", paths.completeness, COMPLETENESS, state=state)
    writer.folder.write(paths.search_entries, _search_script(paths, state))


def _search_script(paths: TenantPaths, state: TenantState) -> str:
    """Return the script with the entries of the search: ``[text, detail, path, folder of versions, their numbers]``.

    It is a script, since a page that was opened as a file may not read another file.
    """
    entries = json.dumps(list(_search_entries(paths, state)), ensure_ascii=True, separators=(",", ":"))
    return f"window.reportEntries = (window.reportEntries || []).concat({entries});\n"


def _search_entries(paths: TenantPaths, state: TenantState) -> Iterator[Sequence[object]]:
    of_tenant = "" if paths.is_only else f" · {state.tenant_id}"
    for model in state.models:
        owner = f" · {excerpt(model.counting.owner, 100)}" if model.counting.owner else ""
        versions = f"{paths.folder}/versions/{file_name(model.name)}/"
        detail = f"model{owner}{of_tenant}"
        yield (excerpt(model.name), detail, paths.model(model.name), versions, model.version_numbers)
    for rule in state.gaps.ranked_rules():
        yield (excerpt(rule.title), f"gaps of a rule{of_tenant}", paths.rule(rule.rule_id))
    for system in state.systems.systems:
        yield (excerpt(system.name), f"AI system{of_tenant}", f"{paths.systems}#{file_name(system.name)}")
