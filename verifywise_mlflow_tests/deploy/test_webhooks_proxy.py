"""The nginx example in front of the listener forwards deliveries only, and its logs contain no path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

import verifywise_mlflow
from verifywise_mlflow_tests.defs.webservers import reverse_proxy
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server, make_response, respond_with

EXAMPLE = (Path(verifywise_mlflow.__file__).parents[1] / "deploy/webhooks-nginx.conf").read_text()
SECRET_PATH = "/mlflow/a-path-that-nobody-can-guess"
HEADERS = {"X-MLflow-Signature": "v1,AAAA", "X-MLflow-Timestamp": "1772366400", "X-MLflow-Delivery-Id": "d-1"}


@dataclass(frozen=True, slots=True)
class Proxied:
    """A listener behind the proxy."""

    listener: HostileServer
    client: urllib3.PoolManager
    uri: str
    home: Path

    def status(self, path: str = SECRET_PATH, *, method: str = "POST", body: bytes = b"{}") -> int:
        return self.client.request(method, f"{self.uri}{path}", body=body, headers=HEADERS, retries=False).status


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    authority = make_authority(tmp_path)
    with ExitStack() as stack:
        listener = stack.enter_context(hostile_server(respond_with(make_response("Accepted.", 202, "text/plain"))))
        replacements = {
            "127.0.0.1:9480": f"127.0.0.1:{listener.port}",
            "127.0.0.1:9481": "127.0.0.1:9",  # a replica that is down
            "/etc/nginx/listener.crt": str(authority.server),
            "/etc/nginx/listener.key": str(authority.server),
            "/var/log/nginx/listener.log": str(tmp_path / "listener.log"),
        }
        port = stack.enter_context(reverse_proxy(tmp_path, EXAMPLE, replacements))
        client = stack.enter_context(urllib3.PoolManager(ca_certs=str(authority.certificate), maxsize=8))
        yield Proxied(listener, client, f"https://127.0.0.1:{port}", tmp_path)


def test_a_delivery_arrives_as_it_was_sent_although_a_replica_is_down(proxied: Proxied) -> None:
    statuses = [proxied.status(body=b'{"entity": "model_version"}') for _ in range(4)]

    assert statuses == [202] * 4
    request = proxied.listener.requests[0]
    assert (request.target, request.body) == (SECRET_PATH, b'{"entity": "model_version"}')
    assert {name: request.headers[name.lower()] for name in HEADERS} == HEADERS


def test_nothing_else_is_forwarded(proxied: Proxied) -> None:
    assert proxied.status("/metrics", method="GET") == 404
    assert proxied.status("/healthz", method="GET") == 404
    assert proxied.status(method="GET") == 403
    assert proxied.status(body=b"x" * 1_100_000) == 413
    assert proxied.listener.requests == []


def test_a_flood_is_limited_and_leaves_no_path_in_the_logs(proxied: Proxied) -> None:
    statuses = Counter(proxied.status() for _ in range(400))

    assert statuses.keys() == {202, 429}
    assert statuses[202] >= 200
    for log in ("listener.log", "nginx.log"):
        assert "a-path-that-nobody-can-guess" not in (proxied.home / log).read_text()
