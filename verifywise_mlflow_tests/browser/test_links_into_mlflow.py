"""A link into a tenant's MLflow opens the page of that very model or version, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from verifywise_mlflow.defs.assets.asset_metadata import models_page_url
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.version_page import version_page_url
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.registry import Registry

pytestmark = pytest.mark.timeout(300)

HOSTILE = """100% #1? a%2Fb%41 & "Sepsis" 'n' [x](y) + \\ ; <img src=x onerror=alert(1)> Frühwarnung 東京 🏦"""
"""MLflow takes it for a name. Nearly each sign in it means something in an address or in markup."""


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium.page() as page:
        yield page


@pytest.mark.parametrize("name", ["credit-scoring", HOSTILE])
def test_a_version_has_its_own_page_whatever_its_model_is_called(
    name: str, page: Page, tenant: Tenant, registry: Registry
) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    for description in ("the first", "the second"):
        registry.version(name, description=description)

    page.goto(version_page_url(tenant, name, 1))

    chromium.wait_for(page, name, "Version 1", "the first")
    assert page.locator('img[src="x"]').count() == 0
    assert said == []


def test_the_models_of_a_tenant_are_those_of_its_workspace(page: Page, tenant: Tenant, registry: Registry) -> None:
    registry.version("of-this-workspace")

    page.goto(models_page_url(tenant))

    chromium.wait_for(page, "Registered Models", "of-this-workspace")
