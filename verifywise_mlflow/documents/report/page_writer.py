"""Renders pages into the folder of a site, with the frame that all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.documents.report.page_folder import PageFolder
from verifywise_mlflow.documents.report.rendering import environment
from verifywise_mlflow.documents.report.site_paths import START, TenantPaths, to_root
from verifywise_mlflow.services.reading_completeness import Completeness

PORTFOLIO, MODELS, GAPS, COVERAGE = "Portfolio", "Models", "Gaps", "Coverage"
SYSTEMS, COMPLETENESS = "AI systems", "Completeness"


@dataclass(frozen=True, slots=True)
class TenantFooter:
    """The footer of each page about a tenant."""

    tenant_id: str
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class PageWriter:
    """Writes the pages of one tenant, or the pages about all tenants."""

    folder: PageFolder
    at: datetime
    search_sources: Sequence[str]
    """The scripts with the entries that the search finds."""
    paths: TenantPaths | None = None
    """The paths of the tenant's pages; None if the pages are about all tenants."""
    only_systems: Sequence[str] = ()
    """The AI systems that the report is about; empty if it is about all models."""

    def write(self, template: str, page: str, section: str, **context: object) -> None:
        """Render a page.

        Args:
            template: the name of the template.
            page: the path of the page in the site.
            section: the entry of the navigation that leads to it.
            context: what the template shows.
        """
        self.folder.write(
            page,
            environment()
            .get_template(template)
            .render(
                page=page,
                root=to_root(page),
                section=section,
                navigation=self._navigation(),
                paths=self.paths,
                at=self.at,
                only_systems=self.only_systems,
                search_sources=self.search_sources,
                **context,
            ),
        )

    def _navigation(self) -> Sequence[tuple[str, str]]:
        if self.paths is None:
            return ()
        return (
            *(() if self.paths.is_only else (("All tenants", START),)),
            (PORTFOLIO, self.paths.portfolio),
            (MODELS, self.paths.models()),
            (GAPS, self.paths.gaps),
            (COVERAGE, self.paths.coverage),
            (SYSTEMS, self.paths.systems),
            (COMPLETENESS, self.paths.completeness),
        )
