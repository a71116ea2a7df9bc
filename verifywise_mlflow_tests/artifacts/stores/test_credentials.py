"""Each kind of credentials, verified by the server or against its protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import urllib3
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores
from verifywise_mlflow.artifacts.tree_walk import FileListing, walk
from verifywise_mlflow_tests.artifacts.stores import backends
from verifywise_mlflow_tests.artifacts.stores.backends import Backend, open_stores, sas_query
from verifywise_mlflow_tests.artifacts.stores.servers import s3_server
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)


def list_files(stores: ArtifactStores, uri: str) -> FileListing:
    with stores:
        source = stores.open_root(uri)
        assert source is not None
        listing = walk(source, "", ManifestLimits())
        for file in listing.files:
            with source.read(file.path, 100) as chunks:
                assert b"".join(chunks) == b"content"
        return listing


@pytest.fixture
def strict_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A bucket on a server that verifies signatures, with the access keys of one reader."""
    with s3_server(tmp_path / "log") as endpoint:
        bucket = backends.s3(endpoint)
        bucket.put("m/a b+c&d=e~ü(1)'%20.txt", b"content")
        iam = boto3.client(
            "iam", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
        )
        iam.create_user(UserName="reader")
        policy = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
        iam.put_user_policy(
            UserName="reader",
            PolicyName="read",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
        )
        keys = iam.create_access_key(UserName="reader")["AccessKey"]
        monkeypatch.setenv("STORE_KEY_ID", keys["AccessKeyId"])
        monkeypatch.setenv("STORE_SECRET", keys["SecretAccessKey"])
        urllib3.request("POST", f"{endpoint}/moto-api/reset-auth", body=b"0")  # from now on, signatures are verified
        yield bucket


def test_s3_accepts_our_signature(strict_s3: Backend) -> None:
    listing = list_files(strict_s3.open_stores(), f"{strict_s3.uri}/m")

    assert listing.problems == ()
    assert len(listing.files) == 1


def test_s3_rejects_a_wrong_signature(strict_s3: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", "wrong")

    listing = list_files(strict_s3.open_stores(), f"{strict_s3.uri}/m")

    assert not listing.is_root_listed
    assert "responded with 403, SignatureDoesNotMatch" in listing.problems[0]
    assert "wrong" not in listing.problems[0]


def test_azure_accepts_a_shared_access_signature(azure: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.put("m/x y", b"content")
    container = azure.uri.partition("://")[2].partition("@")[0]
    access = sas_query(container)
    monkeypatch.setenv("STORE_SAS", f"?{access}")
    description = {name: value for name, value in azure.description.items() if name != "account_key"}

    listing = list_files(
        open_stores({"prefix": azure.uri, **description, "sas_token": "env:STORE_SAS"}), f"{azure.uri}/m"
    )

    assert [file.path for file in listing.files] == ["x y"]


def test_azure_rejects_a_wrong_key(azure: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", base64.b64encode(b"wrong").decode())

    listing = list_files(azure.open_stores(), f"{azure.uri}/m")

    assert "responded with 403, AuthorizationFailure" in listing.problems[0]


@pytest.mark.parametrize("key", ["no base64!", "späß"])
def test_an_invalid_account_key_is_an_error_that_does_not_quote_it(
    azure: Backend, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("STORE_SECRET", key)

    listing = list_files(azure.open_stores(), f"{azure.uri}/m")

    assert "account_key is not the key" in listing.problems[0]
    assert key not in listing.problems[0]


def test_azure_gets_a_token_that_the_issuer_grants_to_the_client() -> None:
    def script(server: HostileServer, request: ReceivedRequest) -> bytes:
        if request.method == "POST":
            return json_response({"access_token": "handed-out", "token_type": "Bearer", "expires_in": 3600})
        return make_response("<EnumerationResults><Blobs/></EnumerationResults>")

    prefix = "abfss://container@account.dfs.core.windows.net"
    with hostile_server(script) as server:
        stores = open_stores(
            {
                "prefix": prefix,
                "endpoint": server.uri,
                "authority": server.uri,
                "tenant_id": "directory",
                "client_id": "governance",
                "client_secret": "env:STORE_KEY_ID",
                "allow_private_network": True,
            }
        )
        assert list_files(stores, f"{prefix}/m").problems == ()

    issuer, blobs = server.requests
    assert issuer.target == "/directory/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Fstorage.azure.com%2F.default" in issuer.body
    assert b"client_secret=AKIDEXAMPLE" in issuer.body
    assert blobs.headers["authorization"] == "Bearer handed-out"


def test_google_gets_a_token_signed_with_the_service_accounts_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    (tmp_path / "key.json").write_text(
        json.dumps(
            {"type": "service_account", "client_email": "reader@project.example", "private_key_id": "k1"}
            | {"private_key": pem, "token_uri": "http://127.0.0.1:1/never-requested"}
        )
    )
    with hostile_server(lambda *_: json_response({})) as server:
        stores = open_stores(
            {
                "prefix": "gs://bucket",
                "endpoint": server.uri,
                "service_account": f"file:{tmp_path / 'key.json'}",
                "allow_private_network": True,
            }
        )
        assert list_files(stores, "gs://bucket/m").problems == ()

    (request,) = server.requests
    scheme, token = request.headers["authorization"].split()
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    key.public_key().verify(signature, token.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (scheme, json.loads(head)["alg"]) == ("Bearer", "RS256")
    assert json.loads(claims)["iss"] == "reader@project.example"
    assert json.loads(claims)["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"


def test_an_invalid_service_account_key_is_an_error_that_does_not_quote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", '{"private_key": "very secret"}')

    listing = list_files(open_stores({"prefix": "gs://bucket", "service_account": "env:STORE_SECRET"}), "gs://bucket/m")

    assert "not the JSON key of a Google service account" in listing.problems[0]
    assert "very secret" not in listing.problems[0]
