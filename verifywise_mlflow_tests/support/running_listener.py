"""A listener of webhooks on a free port. The MLflow server of the session delivers to it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3
import yaml

from verifywise_mlflow.listener.application import create_app
from verifywise_mlflow.listener.routes import Routes
from verifywise_mlflow.listener.server import create_server, open_socket
from verifywise_mlflow.persistence.store import Store


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """A tenant's path and secrets."""

    path: str
    secrets: tuple[str, ...]

    @property
    def secret(self) -> str:
        """The secret that MLflow signs with."""
        return self.secrets[0]


def new_secrets(number: int = 1) -> WebhookSecrets:
    """Return a random path and random secrets."""
    return WebhookSecrets(secrets.token_urlsafe(24), tuple(secrets.token_urlsafe(24) for _ in range(number)))


@dataclass(frozen=True, slots=True)
class RunningListener:
    """A listener on 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        """The listener's address."""
        return f"http://127.0.0.1:{self.port}"

    def address(self, of: WebhookSecrets) -> str:
        """Return the address to which MLflow delivers the events of a tenant."""
        return f"{self.url}/mlflow/{of.path}"

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """Send a GET request."""
        headers = {"Connection": "close"}
        return urllib3.request("GET", f"{self.url}{path}", headers=headers, retries=False, timeout=10)


def write_tenants(
    path: Path,
    tenants: Mapping[str, WebhookSecrets],
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    workspace: str | None = None,
) -> None:
    """Write a tenants.yaml with webhooks and files with its secrets, and name the tenants.yaml in the environment.

    Args:
        path: The file.
        tenants: The webhooks of each tenant.
        monkeypatch: The test's fixture.
        settings: More fields of the section ``webhooks``, by tenant.
        workspace: The workspace of all tenants.
    """
    described: dict[str, object] = {}
    for name, of_tenant in tenants.items():
        files = [path.parent / f"{name}-{part}" for part in ("path", *map(str, range(len(of_tenant.secrets))))]
        for file, value in zip(files, (of_tenant.path, *of_tenant.secrets), strict=True):
            file.write_text(value)
        references = [f"file:{file}" for file in files]
        described[name] = {
            "tracking_uri": "http://mlflow.test",
            "workspace": workspace,
            "webhooks": {"path": references[0], "secret": references[1:], **(settings or {}).get(name, {})},
        }
    path.write_text(yaml.safe_dump({"tenants": described}))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))


@contextmanager
def running_listener(store: Store, routes: Routes | None = None) -> Iterator[RunningListener]:
    """Run a listener in a thread. The environment names its tenants.yaml."""
    listening = open_socket("127.0.0.1", 0)
    server = create_server(create_app(store, routes or Routes()))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        await_that(lambda: server.started)
        yield RunningListener(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


def await_that(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it does not hold after {seconds} s"
        time.sleep(0.02)
