"""Properties of every kind of object store, on moto's S3, a Cloud Storage emulator and Azurite."""

from __future__ import annotations

import hashlib

import pytest

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import StoredFiles
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.manifest_builder import build_manifest
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.artifacts.tree_walk import walk
from verifywise_mlflow_tests.artifacts.stores.backends import Backend, open_stores

MODEL = {
    "1/run/artifacts/model/MLmodel": b"flavors: {}\n",
    "1/run/artifacts/model/model.pkl": b"\x80\x05" + b"weights " * 100_000,
    "1/run/artifacts/model/data/a b+c%20d&e=f.txt": b"strange",
    "1/run/artifacts/model/data/ünï/cödé~(1)'.txt": "späß".encode(),
    "1/run/artifacts/model/empty": b"",
    "1/run/artifacts/plot.png": b"png",
    "1/other/artifacts/model/MLmodel": b"not ours",
}


def content(source: ArtifactSource, path: str, max_bytes: int = 10**9) -> bytes:
    with source.read(path, max_bytes) as chunks:
        return b"".join(chunks)


def _manifest(uri: str, source: ArtifactSource, path: str, sandbox: Sandbox) -> ArtifactManifest:
    return build_manifest(
        StoredFiles(uri, path),
        source,
        None,
        model_path=path,
        limits=ManifestLimits(),
        hash_files=True,
        sandbox=sandbox,
    )


def test_a_models_files_are_listed_and_read_unchanged(backend: Backend) -> None:
    backend.fill(MODEL)

    with backend.open_stores() as stores:
        model_source = stores.open_model(f"{backend.uri}/1/run/artifacts/model")
        assert model_source is not None
        source, path = model_source
        listing = walk(source, path, ManifestLimits())
        read_contents = {f"1/run/artifacts/{file.path}": content(source, file.path) for file in listing.files}

    assert listing.problems == ()
    assert read_contents == {key: value for key, value in MODEL.items() if key.startswith("1/run/artifacts/model/")}
    assert {f"1/run/artifacts/{file.path}": file.size for file in listing.files} == {
        key: len(value) for key, value in read_contents.items()
    }


def test_a_manifest_is_built_from_a_stores_files(backend: Backend, sandbox: Sandbox) -> None:
    backend.fill(MODEL)
    uri = f"{backend.uri}/1/run/artifacts/model"

    with backend.open_stores() as stores:
        model_source = stores.open_model(uri)
        assert model_source is not None
        manifest = _manifest(uri, *model_source, sandbox)

    assert (manifest.status, manifest.reason, manifest.location) == ("complete", None, uri)
    hashes = {file.path: file.sha256 for file in manifest.files}
    assert hashes["model.pkl"] == hashlib.sha256(MODEL["1/run/artifacts/model/model.pkl"]).hexdigest()
    assert len(hashes) == 5


def test_a_model_that_is_a_single_object_has_one_file(backend: Backend, sandbox: Sandbox) -> None:
    backend.fill({"models/churn.pkl": b"pickle", "models/churn.pkl.bak": b"", "models/deep/er": b""})
    uri = f"{backend.uri}/models/churn.pkl"

    with backend.open_stores() as stores:
        model_source = stores.open_model(uri)
        assert model_source is not None
        manifest = _manifest(uri, *model_source, sandbox)

    assert [file.path for file in manifest.files] == ["churn.pkl"]


def test_reading_ends_at_max_bytes(backend: Backend) -> None:
    backend.put("m/big", b"x" * 3_000_000)

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        assert content(source, "big", 1_000_001) == b"x" * 1_000_001
        assert content(source, "big", 10) == b"x" * 10  # the connection is still usable


def test_a_missing_object_is_an_error(backend: Backend) -> None:
    backend.put("m/x", b"x")

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        with pytest.raises(ArtifactReadError, match="404"):
            content(source, "missing")
        empty = stores.open_root(f"{backend.uri}/nobody")
        assert empty is not None
        assert walk(empty, "", ManifestLimits()).files == ()
        assert not source.has_retryable_failure


def test_a_folder_whose_name_only_starts_like_ours_is_not_listed(backend: Backend) -> None:
    backend.fill({"m/run-1/x": b"", "m/run-10/x": b"", "m/run-1.bak/x": b"", "m/run-1": b"file"})

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m/run-1")
        assert source is not None
        assert [file.path for file in walk(source, "", ManifestLimits()).files] == ["x"]


def test_a_thousand_objects_cost_one_request_across_folders(backend: Backend) -> None:
    backend.fill({f"m/{number % 20}/{number}": b"x" for number in range(60)})

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        assert len(walk(source, "", ManifestLimits()).files) == 60
        assert stores.requests == 1


def test_unsafe_names_are_reported_and_never_read(backend: Backend) -> None:
    backend.fill({"m/good": b"", "m/a//b": b"", "m/c\\d": b""})

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        listing = walk(source, "", ManifestLimits())
        requests_before = stores.requests
        for path in ("a//b", "../x", "/x", "x/", "a/./b", "c\\d", "nul\0", ""):
            with pytest.raises(ArtifactReadError, match="not normalized"):
                content(source, path)
        assert stores.requests == requests_before

    assert "good" in [file.path for file in listing.files]
    assert any("'a//b', refused: the path is not normalized" in problem for problem in listing.problems)


def test_empty_placeholders_of_folders_are_not_files(backend: Backend) -> None:
    backend.fill({"m/": b"", "m/folder/": b"", "m/folder/x": b"x", "m/odd/": b"content"})

    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        listing = walk(source, "", ManifestLimits())

    assert [file.path for file in listing.files] == ["folder/x"]
    assert listing.problems == ("the root lists 'odd/', refused: the path is not normalized",)


def test_no_request_leaves_the_prefix(backend: Backend) -> None:
    backend.fill({"ours/x": b"", "theirs/x": b""})

    with backend.open_stores("ours") as stores:
        assert stores.open_root(f"{backend.uri}/theirs") is None
        assert stores.open_root(f"{backend.uri}/ours/../theirs") is None
        assert stores.open_root(f"{backend.uri}/ours/%2e%2e/theirs") is None
        assert stores.open_root(f"{backend.uri}/ours-too") is None
        assert stores.open_root(backend.uri) is None
        assert stores.requests == 0


def test_a_missing_secret_disables_only_its_store(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE_KEY_ID", "STORE_SECRET"):
        monkeypatch.delenv(name)
    description = dict(backend.description)
    if backend.uri.startswith("gs:"):
        description["service_account"] = "env:STORE_SECRET"

    with open_stores({"prefix": backend.uri, **description}) as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        listing = walk(source, "", ManifestLimits())
        assert source.has_retryable_failure
        assert stores.requests == 0

    assert not listing.is_root_listed
    assert "STORE_" in listing.problems[0]


def test_a_private_address_is_refused_unless_it_is_allowed(backend: Backend) -> None:
    with backend.open_stores(allow_private_network=False) as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        listing = walk(source, "", ManifestLimits())

    assert not listing.is_root_listed
    assert "127.0.0.1, a private, loopback or link-local address" in listing.problems[0]
    assert "allow_private_network: true for the store" in listing.problems[0]
