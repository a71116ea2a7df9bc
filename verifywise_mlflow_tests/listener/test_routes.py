"""tenants.yaml and secrets are read again while the listener runs, and a mistake in them affects no other tenant."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from verifywise_mlflow.listener.routes import Routes
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow_tests.support.running_listener import WebhookSecrets, new_secrets, write_tenants


def served(routes: Routes, **tenants: WebhookSecrets) -> set[str]:
    """Return the tenants whose paths the listener serves."""
    return {name for name, of in tenants.items() if (found := routes.find(of.path)) and found.tenant_id == name}


def test_a_new_tenant_a_new_path_and_a_new_secret_take_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acme, globex, file = new_secrets(), new_secrets(2), tmp_path / "tenants.yaml"
    write_tenants(file, {"acme": acme}, monkeypatch)
    routes = Routes()
    assert served(routes, acme=acme, globex=globex) == {"acme"}

    write_tenants(file, {"acme": acme, "globex": globex}, monkeypatch)
    routes.reload()
    assert served(routes, acme=acme, globex=globex) == {"acme", "globex"}

    renewed = new_secrets()
    (tmp_path / "acme-path").write_text(f"{renewed.path}\n")  # without a change of tenants.yaml
    (tmp_path / "acme-0").write_text(renewed.secret)
    routes.reload()
    assert served(routes, acme=acme) == set()
    route = routes.find(renewed.path)
    assert route is not None
    assert route.secrets == (renewed.secret.encode(),)


def test_an_invalid_file_leaves_the_last_routes_in_force_and_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    acme, file = new_secrets(), tmp_path / "tenants.yaml"
    write_tenants(file, {"acme": acme}, monkeypatch)
    routes = Routes()

    valid = file.read_text()
    file.write_text("tenants: [")
    with caplog.at_level(logging.ERROR):
        routes.reload()
        routes.reload()
    assert not routes.is_current
    assert served(routes, acme=acme) == {"acme"}
    assert len(caplog.messages) == 1
    assert "is not YAML" in caplog.text

    file.write_text(valid)
    routes.reload()
    assert routes.is_current


def test_a_listener_does_not_start_with_an_invalid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tenants.yaml").write_text("tenants: [")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))

    with pytest.raises(TenantsFileError):
        Routes()


@pytest.mark.parametrize(
    ("path", "secret", "message"),
    [
        ("short", "x" * 40, "webhooks.path (from file:{folder}/acme-path) is not a secret of 22 to 128"),
        ("x" * 129, "x" * 40, "is not a secret of 22 to 128"),
        ("a path with spaces and / in it", "x" * 40, "is not a secret of 22 to 128"),
        ("x" * 32, "too short", "webhooks.secret (from file:{folder}/acme-0) has fewer than 16 characters"),
        ("x" * 32, "", "the secret file {folder}/acme-0 is empty"),
    ],
)
def test_a_tenant_whose_secrets_cannot_be_used_has_no_route_and_the_others_do(
    path: str,
    secret: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    acme, globex = WebhookSecrets(path, (secret,)), new_secrets()
    write_tenants(tmp_path / "tenants.yaml", {"acme": acme, "globex": globex}, monkeypatch)

    routes = Routes()

    assert served(routes, acme=acme, globex=globex) == {"globex"}
    assert message.format(folder=tmp_path) in caplog.text
    assert path not in caplog.text


def test_two_tenants_with_one_path_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    acme, globex, initech = new_secrets(), new_secrets(), new_secrets()
    copies = {"acme": acme, "globex": globex, "initech": WebhookSecrets(acme.path, initech.secrets)}
    write_tenants(tmp_path / "tenants.yaml", copies, monkeypatch)

    routes = Routes()

    assert served(routes, acme=acme, globex=globex) == {"globex"}
    assert len(routes) == 1
    assert "initech and acme have the same webhooks.path" in caplog.text
