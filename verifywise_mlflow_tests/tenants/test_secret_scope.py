"""If the operator sets a scope, a tenant can refer only to its own secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants

BOTH = "file:/run/secrets/{tenant}/, env:{TENANT}_"


def load(tmp_path: Path, references: dict[str, str]) -> None:
    path = tmp_path / "tenants.yaml"
    tenants = {
        name: {"tracking_uri": "https://mlflow.example", "auth": {"kind": "bearer", "token": reference}}
        for name, reference in references.items()
    }
    path.write_text(yaml.safe_dump({"tenants": tenants}))
    load_tenants(path)


@pytest.mark.parametrize(
    ("tenant", "reference"),
    [
        ("acme", "file:/run/secrets/acme/token"),
        ("acme", "file:/run/secrets/acme/sub/token"),
        ("acme", "env:ACME_TOKEN"),
        ("acme-eu.1", "env:ACME_EU_1_TOKEN"),
    ],
)
def test_a_reference_within_the_scope_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenant: str, reference: str
) -> None:
    monkeypatch.setenv("VERIFYWISE_SECRET_SCOPE", BOTH)

    load(tmp_path, {tenant: reference, "other": "env:OTHER_TOKEN"})


@pytest.mark.parametrize(
    "reference",
    [
        "file:/run/secrets/globex/token",
        "file:/run/secrets/acme/../globex/token",
        "file:/run/secrets/acme2/token",
        "file:/run/secrets/acme",
        "file:/etc/passwd",
        "env:GLOBEX_TOKEN",
        "env:ACME_EU_TOKEN",
        "env:HOME",
    ],
)
def test_a_reference_to_the_secret_of_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setenv("VERIFYWISE_SECRET_SCOPE", BOTH)
    references = {"acme": reference, "acme_eu": "env:ACME_EU_KEY", "globex": "env:GLOBEX_KEY"}

    with pytest.raises(TenantsFileError, match=r"tenant 'acme' refers to .* not within its scope of secrets") as caught:
        load(tmp_path, references)

    assert len(str(caught.value).splitlines()) == 1


def test_without_a_scope_every_reference_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERIFYWISE_SECRET_SCOPE", raising=False)

    load(tmp_path, {"acme": "env:GLOBEX_TOKEN"})


@pytest.mark.parametrize(
    "scope", ["file:/run/secrets/", "env:{TENANT}", "file:secrets/{tenant}/", "file:/s/{tenant}", "x"]
)
def test_a_scope_that_separates_no_tenants_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    monkeypatch.setenv("VERIFYWISE_SECRET_SCOPE", scope)

    with pytest.raises(TenantsFileError, match="is not a scope"):
        load(tmp_path, {"acme": "env:ACME_TOKEN"})
