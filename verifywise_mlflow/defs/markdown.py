"""Markdown for Dagster's pages: links to versions and frameworks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from verifywise_mlflow.common.markdown import escape_markdown
from verifywise_mlflow.compliance.frameworks import Catalog
from verifywise_mlflow.compliance.gap_urgency import Gap
from verifywise_mlflow.compliance.rules.rule import Reference
from verifywise_mlflow.tenants.mlflow_links import version_page_url
from verifywise_mlflow.tenants.tenant import Tenant


def version_links(tenant: Tenant, gaps: Iterable[Gap]) -> dg.MarkdownMetadataValue:
    """Return a list of links to the versions' pages in the tenant's own MLflow."""
    return dg.MetadataValue.md(
        "\n".join(
            f"- [{escape_markdown(gap.model_name)} version {gap.version_number}]"
            f"({version_page_url(tenant, gap.model_name, gap.version_number)})"
            for gap in gaps
        )
    )


def reference_links(references: Sequence[Reference], catalog: Catalog) -> dg.MarkdownMetadataValue:
    """Return a list of clauses, each with its confidence, its date and a link to its framework."""
    return dg.MetadataValue.md("\n".join(f"- {_reference_link(reference, catalog)}" for reference in references))


def _reference_link(reference: Reference, catalog: Catalog) -> str:
    citation = escape_markdown(reference.citation)
    framework = catalog.get(reference.framework)
    if framework is None or framework.url is None:
        return citation
    name = escape_markdown(reference.framework)
    return f"[{name}]({framework.url}){citation.removeprefix(name)}"
