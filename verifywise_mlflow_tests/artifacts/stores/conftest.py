"""Each store's server runs once per session; each test gets a new bucket on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from verifywise_mlflow_tests.artifacts.stores import backends, servers
from verifywise_mlflow_tests.artifacts.stores.backends import Backend


@pytest.fixture(scope="session")
def gcs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.gcs_server(tmp_path_factory.mktemp("gcs") / "log") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def azure_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.azure_server(tmp_path_factory.mktemp("azure") / "log") as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets that the backends' descriptions reference."""
    monkeypatch.setenv("STORE_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("STORE_SECRET", servers.AZURITE_KEY)


@pytest.fixture
def s3(s3_endpoint: str) -> Backend:
    return backends.s3(s3_endpoint)


@pytest.fixture
def gcs(gcs_endpoint: str) -> Backend:
    return backends.gcs(gcs_endpoint)


@pytest.fixture
def azure(azure_endpoint: str) -> Backend:
    return backends.azure(azure_endpoint)


_KINDS: dict[str, tuple[str, Callable[[str], Backend]]] = {
    "s3": ("s3_endpoint", backends.s3),
    "gs": ("gcs_endpoint", backends.gcs),
    "abfss": ("azure_endpoint", backends.azure),
    "wasbs": ("azure_endpoint", partial(backends.azure, scheme="wasbs", service="blob")),
}


@pytest.fixture(params=list(_KINDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """A new bucket of each kind."""
    endpoint_fixture, create = _KINDS[request.param]
    return create(request.getfixturevalue(endpoint_fixture))
