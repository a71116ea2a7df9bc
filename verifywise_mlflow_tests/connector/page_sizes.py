"""The page sizes of listings. With small page sizes, a listing takes several pages without thousands of rows.

The requests of a sync depend on how many pages a listing has, not on how many rows a page has.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from verifywise_mlflow.connector import registry_search, tracking_reader
from verifywise_mlflow.pipeline.stages import training_runs


@dataclass(frozen=True, slots=True)
class PageSizes:
    """The rows of a full page."""

    models: int
    versions: int
    experiments: int
    runs: int
    logged_models: int


REAL_PAGES = PageSizes(
    models=registry_search.MODELS_PAGE_SIZE,
    versions=registry_search.VERSIONS_PAGE_SIZE,
    experiments=tracking_reader.EXPERIMENTS_PAGE_SIZE,
    runs=tracking_reader.RUNS_PAGE_SIZE,
    logged_models=tracking_reader.LOGGED_MODELS_PAGE_SIZE,
)
"""The sizes that the product uses."""

SMALL_PAGES = PageSizes(models=50, versions=100, experiments=50, runs=20, logged_models=50)


def use_page_sizes(monkeypatch: pytest.MonkeyPatch, sizes: PageSizes) -> None:
    """Make the product read pages of these sizes."""
    monkeypatch.setattr(registry_search, "MODELS_PAGE_SIZE", sizes.models)
    monkeypatch.setattr(registry_search, "VERSIONS_PAGE_SIZE", sizes.versions)
    monkeypatch.setattr(tracking_reader, "EXPERIMENTS_PAGE_SIZE", sizes.experiments)
    for module in (tracking_reader, training_runs):  # the stage uses the same sizes
        monkeypatch.setattr(module, "RUNS_PAGE_SIZE", sizes.runs)
        monkeypatch.setattr(module, "LOGGED_MODELS_PAGE_SIZE", sizes.logged_models)
