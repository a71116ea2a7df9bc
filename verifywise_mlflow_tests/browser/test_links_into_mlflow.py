"""A link into a tenant's MLflow opens the page of exactly that model or version, for any name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from verifywise_mlflow.defs.assets.asset_metadata import models_page_url
from verifywise_mlflow.tenants.mlflow_links import version_page_url
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.support.registry import Registry

pytestmark = [pytest.mark.slow(seconds=20), pytest.mark.timeout(300)]

HOSTILE = """100% #1? a%2Fb%41 & "Sepsis" 'n' [x](y) + \\ ; <img src=x onerror=alert(1)> Frühwarnung 東京 🏦"""
"""A valid model name in MLflow. Nearly every character has a meaning in addresses or markup."""


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium.page() as page:
        yield page


@pytest.mark.parametrize("name", ["credit-scoring", HOSTILE])
def test_a_link_opens_the_page_of_the_version_for_any_model_name(
    name: str, page: Page, tenant: Tenant, registry: Registry
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for description in ("the first", "the second"):
        registry.version(name, description=description)

    page.goto(version_page_url(tenant, name, 1))

    chromium.wait_for(page, name, "Version 1", "the first")
    assert page.locator('img[src="x"]').count() == 0
    assert dialogs == []


def test_the_link_to_a_tenants_models_opens_its_workspace(page: Page, tenant: Tenant, registry: Registry) -> None:
    registry.version("of-this-workspace")

    page.goto(models_page_url(tenant))

    chromium.wait_for(page, "Registered Models", "of-this-workspace")
