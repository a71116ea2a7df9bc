"""The link to a version opens its page on the tenant's own server, for any model name."""

from __future__ import annotations

import pytest

from verifywise_mlflow.tenants.mlflow_links import version_page_url
from verifywise_mlflow.tenants.tenant import Tenant


@pytest.mark.parametrize(
    ("settings", "name", "url"),
    [
        ({}, "fraud", "https://mlflow.example/ml/#/models/fraud/versions/3"),
        ({"workspace": "risk"}, "fraud", "https://mlflow.example/ml/#/models/fraud/versions/3?workspace=risk"),
        ({}, "a/b c?d#e%2F&é", "https://mlflow.example/ml/#/models/a%2Fb%20c%3Fd%23e%25252F%26%C3%A9/versions/3"),
        ({}, "x](y)\n<b>\"'\ud800", "https://mlflow.example/ml/#/models/x%5D%28y%29%0A%3Cb%3E%22%27%3F/versions/3"),
        # A percent sign is encoded twice: verifywise_mlflow_tests/browser/test_links_into_mlflow.py shows why.
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
def test_a_version_has_a_page(settings: dict[str, object], name: str, url: str) -> None:
    tenant = Tenant.model_validate({"tenant_id": "acme", "tracking_uri": "https://mlflow.example/ml/", **settings})

    assert version_page_url(tenant, name, 3) == url
