"""Which store covers a URI, and which descriptions are accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from verifywise_mlflow.artifacts.stores.settings import ObjectStoreSettings
from verifywise_mlflow.artifacts.uris import is_unambiguous, parse_uri
from verifywise_mlflow.tenants.tenant import Artifacts
from verifywise_mlflow_tests.artifacts.stores.backends import open_stores, store_settings


@pytest.mark.parametrize(
    ("uri", "covered"),
    [
        ("s3://models/mlflow", True),
        ("s3://models/mlflow/1/run", True),
        ("s3://models/mlflow/1/run/", True),
        ("S3://models/mlflow/1", True),
        ("s3://models/mlflow-2/1", False),
        ("s3://models", False),
        ("s3://other/mlflow/1", False),
        ("s3a://models/mlflow/1", False),
        ("gs://models/mlflow/1", False),
        ("s3://models/mlflow/../secret", False),
        ("s3://models/mlflow/%2e%2e/secret", False),
        ("s3://models/mlflow/a%2fb", False),
        ("s3://models/mlflow//1", False),
        ("s3://models/mlflow/./1", False),
        ("s3://models/mlflow/1?versionId=3", False),
        ("s3://models/mlflow/1#part", False),
        ("s3://models/mlfl%6fw/1", False),
        ("s3://models/mlflow/a\nb", False),
        ("dbfs:/models/mlflow/1", False),
        ("mlflow-artifacts:/models/mlflow/1", False),
        ("models:/churn/1", False),
        ("runs:/0123/model", False),
        ("", False),
    ],
)
def test_a_store_covers_uris_below_its_prefix_by_whole_segments(uri: str, covered: bool) -> None:
    with open_stores({"prefix": "s3://models/mlflow"}) as stores:
        assert (stores.prefix_of(uri) == "s3://models/mlflow") is covered
        assert (stores.open_model(uri) is not None) is covered
        assert stores.requests == 0


def test_allowed_locations_restrict_the_stores() -> None:
    with open_stores({"prefix": "s3://models"}, allowed_locations=("s3://models/ours", "gs://elsewhere")) as stores:
        assert stores.prefix_of("s3://models/ours/1")
        assert not stores.prefix_of("s3://models/theirs/1")
        assert not stores.prefix_of("gs://elsewhere/1")


def test_the_longest_prefix_takes_precedence() -> None:
    with open_stores(
        {"prefix": "s3://models"}, {"prefix": "s3://models/fast", "prefer": "direct"}, {"prefix": "s3://models/fast/x"}
    ) as stores:
        assert not stores.prefers_direct("s3://models/slow/1")
        assert stores.prefers_direct("s3://models/fast/1")
        assert not stores.prefers_direct("s3://models/fast/x/1")


@given(st.text(), st.text())
def test_a_path_traversal_is_never_covered(before: str, after: str) -> None:
    with open_stores({"prefix": "s3://models/mlflow"}) as stores:
        uri = f"s3://models/mlflow/{before}{after}"
        if stores.prefix_of(uri):
            assert is_unambiguous(uri)
            assert parse_uri(uri, unescape=False).segments[:1] == ("mlflow",)
            assert ".." not in uri.split("/")
        assert not stores.prefix_of(f"s3://models/mlflow/{before}/../{after}")


@pytest.mark.parametrize(
    ("description", "endpoint"),
    [
        ({"prefix": "s3://models/x"}, "https://models.s3.us-east-1.amazonaws.com"),
        ({"prefix": "s3://models/x", "region": "eu-central-1"}, "https://models.s3.eu-central-1.amazonaws.com"),
        ({"prefix": "s3://models/x", "path_style": True}, "https://s3.us-east-1.amazonaws.com"),
        ({"prefix": "s3://models", "endpoint": "https://minio.example:9000/"}, "https://minio.example:9000"),
        (
            {"prefix": "s3://models", "endpoint": "https://minio.example:9000", "path_style": False},
            "https://models.minio.example:9000",
        ),
        ({"prefix": "gs://models/x"}, "https://storage.googleapis.com"),
        ({"prefix": "abfss://c@acc.dfs.core.windows.net/x"}, "https://acc.blob.core.windows.net"),
        ({"prefix": "wasbs://c@acc.blob.core.chinacloudapi.cn"}, "https://acc.blob.core.chinacloudapi.cn"),
    ],
)
def test_the_default_endpoint_is_the_clouds_own(description: dict[str, object], endpoint: str) -> None:
    settings = store_settings(description)

    assert isinstance(settings, ObjectStoreSettings)
    assert settings.network.base_uri == endpoint
    assert not settings.network.allow_private_network


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"prefix": "dbfs:/models"}, "begin it with s3://"),
        ({"prefix": "models"}, "is not the plain URI|root"),
        ({}, "begin it with s3://"),
        ({"prefix": "s3:/models"}, "is not the plain URI"),
        ({"prefix": "s3://models/../x"}, "is not the plain URI"),
        ({"prefix": "s3://models//x"}, "is not the plain URI"),
        ({"prefix": "s3://models", "secret_access_key": "env:X"}, "set both or neither"),
        ({"prefix": "s3://models", "session_token": "env:X"}, "session_token is set without keys"),
        ({"prefix": "s3://models", "secret_access_key": "very-secret", "access_key_id": "env:X"}, "reference"),
        (
            {"prefix": "s3://models", "endpoint": "https://user:very-secret@minio.example"},
            "the URI contains credentials",
        ),
        ({"prefix": "s3://models", "endpoint": "minio.example"}, "address"),
        ({"prefix": "abfss://container/x"}, "CONTAINER@ACCOUNT"),
        ({"prefix": "abfss://c@a.dfs.core.windows.net", "client_id": "x"}, "set all three or none"),
        (
            {"prefix": "abfss://c@a.dfs.core.windows.net", "account_key": "env:X", "sas_token": "env:Y"},
            "only one of account_key",
        ),
        ({"prefix": "file:///mnt/mlflow"}, "Field required"),
        ({"prefix": "file:///mnt/mlflow", "root": "mlflow"}, "absolute path"),
        ({"prefix": "https://files.example/x?token=very-secret"}, "is not the plain URI"),
    ],
)
def test_an_invalid_description_is_refused_without_quoting_it(description: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Artifacts.model_validate({"stores": [description]})

    assert "very-secret" not in str(caught.value)
