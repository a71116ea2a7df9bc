"""A link to a version leads to its page on the tenant's own server, whatever its model is called."""

from __future__ import annotations

import pytest

from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.version_page import version_page


@pytest.mark.parametrize(
    ("described", "name", "page"),
    [
        ({}, "fraud", "https://mlflow.example/ml/#/models/fraud/versions/3"),
        ({"workspace": "risk"}, "fraud", "https://mlflow.example/ml/#/models/fraud/versions/3?workspace=risk"),
        ({}, "a/b c?d#e%2F&é", "https://mlflow.example/ml/#/models/a%2Fb%20c%3Fd%23e%25252F%26%C3%A9/versions/3"),
        ({}, "x](y)\n<b>\"'\ud800", "https://mlflow.example/ml/#/models/x%5D%28y%29%0A%3Cb%3E%22%27%3F/versions/3"),
        # A percent sign is encoded once more: verifywise_mlflow_tests/browser/test_links_into_mlflow.py shows why.
        ({}, "100%41", "https://mlflow.example/ml/#/models/100%252541/versions/3"),
        (
            {"server": {"kind": "databricks"}},
            "main.risk.fraud/x",
            "https://mlflow.example/ml/explore/data/models/main/risk/fraud%2Fx/version/3",
        ),
        (
            {"server": {"kind": "databricks", "registry": "workspace"}},
            "a b",
            "https://mlflow.example/ml/#mlflow/models/a%20b/versions/3",
        ),
    ],
)
def test_a_version_has_its_page(described: dict[str, object], name: str, page: str) -> None:
    tenant = Tenant.model_validate({"tenant_id": "acme", "tracking_uri": "https://mlflow.example/ml/", **described})

    assert version_page(tenant, name, 3) == page
