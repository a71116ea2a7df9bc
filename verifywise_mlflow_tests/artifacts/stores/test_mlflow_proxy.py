"""``http(s)://`` artifact URIs: another MLflow server's artifacts, and web servers that cannot be listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.tree_walk import walk
from verifywise_mlflow_tests.artifacts.stores.backends import open_stores
from verifywise_mlflow_tests.artifacts.trees import write_files
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server, make_response, respond_with

ROUTE = "/api/2.0/mlflow-artifacts/artifacts"
FILES = {"model/MLmodel": b"flavors: {}\n", "model/data/a b+c~ü.txt": b"strange", "model/empty": b""}


@pytest.fixture(scope="session")
def proxy(mlflow_uri: str, mlflow_database: Path) -> str:
    """A real MLflow server that serves the files above below 7/run/artifacts."""
    write_files(mlflow_database.parent / "artifacts" / "7" / "run" / "artifacts", FILES)
    return mlflow_uri


def test_artifacts_of_another_mlflow_are_listed_and_read(proxy: str) -> None:
    prefix = f"{proxy}{ROUTE}"
    with open_stores({"prefix": prefix, "allow_private_network": True}) as stores:
        model_source = stores.open_model(f"{prefix}/7/run/artifacts/model")
        assert model_source is not None
        source, path = model_source
        listing = walk(source, path, ManifestLimits())
        read_contents: dict[str, bytes] = {}
        for file in listing.files:
            with source.read(file.path, 1_000) as chunks:
                read_contents[f"model/{file.path}"] = b"".join(chunks)

    assert listing.problems == ()
    assert read_contents == FILES


def test_a_missing_artifact_of_another_mlflow_is_an_error(proxy: str) -> None:
    prefix = f"{proxy}{ROUTE}/7"
    with open_stores({"prefix": prefix, "allow_private_network": True}) as stores:
        source = stores.open_root(f"{prefix}/run/artifacts/model")
        assert source is not None
        with pytest.raises(ArtifactReadError, match="404"), source.read("missing", 10) as chunks:
            list(chunks)
        assert stores.open_root(f"{proxy}{ROUTE}/8/run") is None
        assert stores.open_root(f"{prefix}/run/../../8") is None


def test_no_request_is_sent_to_a_plain_web_server() -> None:
    with hostile_server(respond_with(make_response("<html>Index of /</html>"))) as server:
        with open_stores({"prefix": f"{server.uri}/mlruns", "allow_private_network": True}) as stores:
            source = stores.open_root(f"{server.uri}/mlruns/1/model")
            assert source is not None
            listing = walk(source, "", ManifestLimits())
        assert server.requests == []

    assert not listing.is_root_listed
    assert "a web server cannot list its files" in listing.problems[0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"files": [{"path": "../up", "is_dir": false}]}', "not normalized"),
        ('{"files": [{"path": "/etc/passwd", "is_dir": false}]}', "the path is"),
        ('{"files": "many"}', "files"),
        ("[]", "did not respond with a listing"),
        ("<html>", "did not respond with JSON"),
    ],
)
def test_an_invalid_listing_is_an_error(body: str, message: str) -> None:
    with hostile_server(respond_with(make_response(body))) as server:
        prefix = f"{server.uri}{ROUTE}"
        with open_stores({"prefix": prefix, "allow_private_network": True}) as stores:
            source = stores.open_root(f"{prefix}/1")
            assert source is not None
            listing = walk(source, "", ManifestLimits())

    assert listing.files == ()
    assert message in listing.problems[0]


def test_credentials_are_sent_to_their_own_server(tmp_path: Path) -> None:
    def script(server: HostileServer, request: object) -> bytes:
        return make_response('{"files": []}')

    with hostile_server(script) as server:
        prefix = f"{server.uri}{ROUTE}"
        auth = {"kind": "basic", "username": "reader", "password": "env:STORE_KEY_ID"}
        with open_stores({"prefix": prefix, "allow_private_network": True, "auth": auth}) as stores:
            source = stores.open_root(f"{prefix}/1")
            assert source is not None
            assert walk(source, "", ManifestLimits()).problems == ()

    assert [request.headers["authorization"] for request in server.requests] == ["Basic cmVhZGVyOkFLSURFWEFNUExF"]
