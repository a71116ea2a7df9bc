"""References to secrets, and the credentials that use them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from verifywise_mlflow.http.request_auth import Request
from verifywise_mlflow.tenants.auth import (
    AUTH_KINDS,
    BasicCredentials,
    BearerCredentials,
    NoCredentials,
    OAuth2Credentials,
    SigV4Credentials,
)
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.tenant import Tenant

SECRET = "s3cr3t-Ünïcode"


def test_a_variable_is_read_when_the_secret_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = SecretReference("env:ACME_TOKEN")
    monkeypatch.setenv("ACME_TOKEN", "first")
    first = reference.resolve()
    monkeypatch.setenv("ACME_TOKEN", SECRET)

    assert (first, reference.resolve()) == ("first", SECRET)


@pytest.mark.parametrize("line_break", ["", "\n", "\r\n", "\n\n"])
def test_a_file_is_read_without_its_trailing_line_breaks(tmp_path: Path, line_break: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(f" {SECRET} {line_break}".encode())

    assert SecretReference(f"file:{path}").resolve() == f" {SECRET} "


def test_a_missing_or_empty_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is not None:
            monkeypatch.setenv("ACME_TOKEN", value)
        with pytest.raises(SecretUnavailableError, match=r"ACME_TOKEN .*is not set or empty"):
            SecretReference("env:ACME_TOKEN").resolve()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not UTF-8")]
)
def test_a_file_without_a_secret_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SecretUnavailableError, match=f"{path}.*{message}") as caught:
        SecretReference(f"file:{path}").resolve()

    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "pasted", ["hunter2", "env:", "env:A-B", "env:A B", "env:1A", "file:token", "file:", "ENV:A", ""]
)
def test_a_value_that_is_not_a_reference_is_rejected_without_quoting_it(pasted: str) -> None:
    with pytest.raises(ValidationError, match="not the secret itself") as caught:
        SecretReference(f"{pasted}\nhunter2" if pasted.startswith("env:") else f"{pasted}hunter2\0"[:7])

    assert "hunter2" not in str(caught.value)


def test_basic_credentials_are_sent_in_the_basic_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSWORD", SECRET)
    credentials = BasicCredentials(kind="basic", username="ann", password=SecretReference("env:ACME_PASSWORD"))

    scheme, _, pair = credentials.authorization().partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(pair).decode() == f"ann:{SECRET}"


def test_no_credentials_send_nothing() -> None:
    assert (NoCredentials().authorization(), NoCredentials().identity()) == (None, "none")


def test_an_identity_does_not_contain_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_SECRET", SECRET)
    reference = SecretReference("env:ACME_SECRET")
    basic = BasicCredentials(kind="basic", username="ann", password=reference)
    bearer = BearerCredentials(kind="bearer", token=reference)

    assert basic.identity() == "basic ann (password from env:ACME_SECRET)"
    assert bearer.identity().endswith("(token from env:ACME_SECRET)")
    assert SECRET not in f"{basic!r} {bearer!r} {basic.identity()} {bearer.identity()}"


def test_an_oauth2_identity_has_the_client_id_the_issuer_and_the_secrets_reference() -> None:
    client = OAuth2Credentials(
        kind="oauth2",
        token_uri="https://idp.example/token",
        client_id="svc",
        client_secret=SecretReference("env:ACME_SECRET"),
    )

    # The variable is not set: an identity needs no token.
    assert client.identity() == "oauth2 svc at idp.example (secret from env:ACME_SECRET)"


def test_a_sigv4_identity_has_the_key_id_unless_it_looks_like_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    keys = SigV4Credentials(
        kind="sigv4",
        access_key_id=SecretReference("env:ACME_KEY"),
        secret_access_key=SecretReference("env:ACME_SECRET"),
        region="eu-west-1",
    )
    identities = []
    for key in ("AKIAIOSFODNN7EXAMPLE", secret):
        monkeypatch.setenv("ACME_KEY", key)
        identities.append(keys.identity())

    assert identities[0] == "sigv4 AKIAIOSFODNN7EXAMPLE (secret from env:ACME_SECRET)"
    assert identities[1].startswith("sigv4 sha256:")
    assert secret not in identities[1]


def test_a_signature_is_for_what_the_arn_says_unless_the_tenant_says_otherwise() -> None:
    reference = SecretReference("env:ACME_KEY")
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-app/app-7"

    def scope(arn: str | None = None, region: str | None = None, service: str | None = None) -> tuple[str, str]:
        return SigV4Credentials(
            kind="sigv4",
            access_key_id=reference,
            secret_access_key=reference,
            arn=arn,
            region=region,
            service=service,
        ).signing_scope()

    assert scope(arn=arn) == ("eu-west-1", "sagemaker")
    assert scope(arn=arn, region="eu-west-2", service="mine") == ("eu-west-2", "mine")
    assert scope(region="eu-west-3") == ("eu-west-3", "sagemaker-mlflow")


def test_every_kind_of_credentials_has_a_name() -> None:
    assert AUTH_KINDS == ("none", "basic", "bearer", "oauth2", "sigv4")


def test_a_fingerprint_distinguishes_one_token_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = BearerCredentials(kind="bearer", token=SecretReference("env:ACME_TOKEN"))
    identities = []
    for token in ("one", "two", "one"):
        monkeypatch.setenv("ACME_TOKEN", token)
        identities.append(bearer.identity())

    assert identities[0] == identities[2] != identities[1]


def test_secrets_are_resolved_only_when_a_connection_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = Tenant.model_validate(
        {
            "tenant_id": "acme",
            "tracking_uri": "https://a.example/ml/",
            "auth": {"kind": "bearer", "token": "env:ACME_TOKEN"},
            "headers": {"X-Gateway-Key": "env:ACME_KEY"},
            "workspace": "team-a",
        }
    )
    settings = connection_settings(tenant)
    with pytest.raises(SecretUnavailableError, match="ACME_KEY"):
        settings.credentials()
    monkeypatch.setenv("ACME_TOKEN", SECRET)
    monkeypatch.setenv("ACME_KEY", "key")

    sent_headers = settings.credentials().headers(Request("GET", "https://a.example/ml/version", {}, None))
    assert sent_headers == {"Authorization": f"Bearer {SECRET}", "X-Gateway-Key": "key"}
    assert (settings.base_uri, settings.workspace) == ("https://a.example/ml", "team-a")
    assert not settings.allow_private_network
    assert SECRET not in f"{settings!r} {tenant!r}"
