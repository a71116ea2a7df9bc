"""One seeded portfolio and one report on it, for all tests of the report. No test changes either."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.documents.report.site import write_site
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.documents.report.portfolio import REPORT_TIME, seed_portfolio
from verifywise_mlflow_tests.documents.report.site_reader import SiteReader
from verifywise_mlflow_tests.support.databases import migrated_database


@pytest.fixture(scope="session")
def portfolio_url(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with the portfolio."""
    with migrated_database(postgres) as url:
        with Store(url) as store:
            seed_portfolio(store, tmp_path_factory.mktemp("portfolio"))
        yield url


@pytest.fixture(scope="session")
def portfolio(portfolio_url: str) -> Iterator[Store]:
    """The store of the portfolio."""
    with Store(portfolio_url) as store:
        yield store


@pytest.fixture(scope="session")
def site(portfolio_url: str, tmp_path_factory: pytest.TempPathFactory) -> SiteReader:
    """The report on it."""
    folder: Path = tmp_path_factory.mktemp("site") / "report"
    return SiteReader(write_site(partial(Store, portfolio_url), ["acme"], folder, REPORT_TIME))
