"""Where a person goes on from a check: links in Markdown, in which names that others gave are text and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import dagster as dg

from verifywise_mlflow.compliance.frameworks import FrameworkName
from verifywise_mlflow.compliance.rules.rule import Reference
from verifywise_mlflow.persistence.queries.open_gaps import Gap
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.version_page import version_page

FRAMEWORK_PAGES: Final[Mapping[FrameworkName, str]] = {
    "EU AI Act": "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    "GDPR": "https://eur-lex.europa.eu/eli/reg/2016/679/oj",
    "ISO/IEC 42001": "https://www.iso.org/standard/81230.html",
    "NIST AI RMF": "https://doi.org/10.6028/NIST.AI.100-1",
}
"""Where its publisher has it. Nothing is fetched from there."""


def shown(name: str) -> str:
    """Return a name with its control, bidirectional and other unseen characters as escapes."""
    return name if name.isprintable() else repr(name)[1:-1]


def inert_markdown(text: str) -> str:
    """Return a text that Markdown shows as it stands: no sign in it begins a link, an image or other markup.

    It is to stand within a line: at the beginning of one, a hyphen would make a list. Of an address that is written
    out, Dagster makes a link to just this address.
    """
    return re.sub(r"[\\`*_\[\]<>&~|#!]", r"\\\g<0>", shown(text))


def quoted(text: str) -> str:
    """Return sentences that may quote what others said, as code: no link, image or address in them does anything.

    Dagster shows what a check found as Markdown in some places and as it stands in others: this reads well in both.
    """
    written = shown(text).strip()
    if not written:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", written)), default=0))
    return f"{fence} {written} {fence}" if "`" in written else f"{fence}{written}{fence}"


def pages_of_versions(tenant: Tenant, gaps: Iterable[Gap]) -> dg.MarkdownMetadataValue:
    """Return a list of links to the pages of versions in the tenant's own MLflow."""
    return dg.MetadataValue.md(
        "\n".join(
            f"- [{inert_markdown(gap.model_name)} version {gap.version_number}]"
            f"({version_page(tenant, gap.model_name, gap.version_number)})"
            for gap in gaps
        )
    )


def pages_of_references(references: Sequence[Reference]) -> dg.MarkdownMetadataValue:
    """Return a list of clauses with links to where their framework is published."""
    return dg.MetadataValue.md(
        "\n".join(
            f"- [{one.framework}]({FRAMEWORK_PAGES[one.framework]}) {inert_markdown(one.clause)}" for one in references
        )
    )
