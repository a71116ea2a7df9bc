"""Each way to be let in, verified by the server or by what its protocol says."""

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
from verifywise_mlflow.artifacts.walk import FileListing, walk
from verifywise_mlflow_tests.artifacts.stores import backends
from verifywise_mlflow_tests.artifacts.stores.backends import Backend, shared_access, stores
from verifywise_mlflow_tests.artifacts.stores.servers import s3_server
from verifywise_mlflow_tests.http.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)


def listed(opened: ArtifactStores, uri: str) -> FileListing:
    with opened:
        source = opened.open_root(uri)
        assert source is not None
        listing = walk(source, "", ManifestLimits())
        for file in listing.files:
            with source.read(file.path, 100) as chunks:
                assert b"".join(chunks) == b"content"
        return listing


@pytest.fixture
def strict_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A bucket of a server that verifies signatures, and one reader's keys."""
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
        urllib3.request("POST", f"{endpoint}/moto-api/reset-auth", body=b"0")  # from now on, nobody is believed
        yield bucket


def test_s3_believes_our_signature(strict_s3: Backend) -> None:
    listing = listed(strict_s3.stores(), f"{strict_s3.uri}/m")

    assert listing.problems == ()
    assert len(listing.files) == 1


def test_s3_does_not_believe_a_wrong_one(strict_s3: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", "wrong")

    listing = listed(strict_s3.stores(), f"{strict_s3.uri}/m")

    assert not listing.is_root_listed
    assert "responded with 403, SignatureDoesNotMatch" in listing.problems[0]
    assert "wrong" not in listing.problems[0]


def test_azure_believes_a_shared_access_signature(azure: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.put("m/x y", b"content")
    container = azure.uri.partition("://")[2].partition("@")[0]
    access = shared_access(container)
    monkeypatch.setenv("STORE_SAS", f"?{access}")
    description = {name: value for name, value in azure.description.items() if name != "account_key"}

    listing = listed(stores({"prefix": azure.uri, **description, "sas_token": "env:STORE_SAS"}), f"{azure.uri}/m")

    assert [file.path for file in listing.files] == ["x y"]


def test_azure_does_not_believe_a_wrong_key(azure: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", base64.b64encode(b"wrong").decode())

    listing = listed(azure.stores(), f"{azure.uri}/m")

    assert "responded with 403, AuthorizationFailure" in listing.problems[0]


@pytest.mark.parametrize("key", ["no base64!", "späß"])
def test_a_key_that_is_none_is_said_to_be_none_and_not_repeated(
    azure: Backend, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("STORE_SECRET", key)

    listing = listed(azure.stores(), f"{azure.uri}/m")

    assert "account_key is no key" in listing.problems[0]
    assert key not in listing.problems[0]


def test_azure_is_shown_a_token_that_the_issuer_hands_out_for_the_client() -> None:
    def script(server: HostileServer, asked: ReceivedRequest) -> bytes:
        if asked.method == "POST":
            return json_response({"access_token": "handed-out", "token_type": "Bearer", "expires_in": 3600})
        return make_response("<EnumerationResults><Blobs/></EnumerationResults>")

    prefix = "abfss://container@account.dfs.core.windows.net"
    with hostile_server(script) as server:
        opened = stores(
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
        assert listed(opened, f"{prefix}/m").problems == ()

    issuer, blobs = server.requests
    assert issuer.target == "/directory/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Fstorage.azure.com%2F.default" in issuer.body
    assert b"client_secret=AKIDEXAMPLE" in issuer.body
    assert blobs.headers["authorization"] == "Bearer handed-out"


def test_google_is_shown_a_token_that_the_service_accounts_key_signs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    (tmp_path / "key.json").write_text(
        json.dumps(
            {"type": "service_account", "client_email": "reader@project.example", "private_key_id": "k1"}
            | {"private_key": pem, "token_uri": "http://127.0.0.1:1/nobody-is-asked"}
        )
    )
    with hostile_server(lambda *_: json_response({})) as server:
        opened = stores(
            {
                "prefix": "gs://bucket",
                "endpoint": server.uri,
                "service_account": f"file:{tmp_path / 'key.json'}",
                "allow_private_network": True,
            }
        )
        assert listed(opened, "gs://bucket/m").problems == ()

    (asked,) = server.requests
    scheme, token = asked.headers["authorization"].split()
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    key.public_key().verify(signature, token.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (scheme, json.loads(head)["alg"]) == ("Bearer", "RS256")
    assert json.loads(claims)["iss"] == "reader@project.example"
    assert json.loads(claims)["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"


def test_a_service_account_that_is_none_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_SECRET", '{"private_key": "very secret"}')

    listing = listed(stores({"prefix": "gs://bucket", "service_account": "env:STORE_SECRET"}), "gs://bucket/m")

    assert "no key of a service account" in listing.problems[0]
    assert "very secret" not in listing.problems[0]
