"""Network behavior of stores: which servers are contacted, with which credentials, and stores that lie or hang."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores import bucket_source
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores
from verifywise_mlflow.artifacts.tree_walk import FileListing, walk
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.artifacts.stores.backends import open_stores, store_settings
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)

EMPTY = make_response(
    "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", content_type="application/xml"
)
KINDS = {
    "s3://bucket": EMPTY,
    "gs://bucket": json_response({}),
    "abfss://container@account.dfs.core.windows.net": make_response(
        "<EnumerationResults><Blobs/></EnumerationResults>"
    ),
}


def list_files(stores: ArtifactStores, uri: str) -> FileListing:
    with stores:
        source = stores.open_root(uri)
        assert source is not None
        return walk(source, "", ManifestLimits())


def s3_stores(server: HostileServer, limits: Limits | None = None, **options: object) -> ArtifactStores:
    description = {"prefix": "s3://bucket", "endpoint": server.uri, "allow_private_network": True, **options}
    settings = ConnectionSettings("https://mlflow.example", limits=limits or Limits(max_attempts=1))
    return ArtifactStores([store_settings(description, settings)])


def s3_page(*keys: str, size: str = "1", elements: str = "") -> bytes:
    objects = "".join(f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>" for key in keys)
    return make_response(f'<ListBucketResult xmlns="urn:s3">{objects}{elements}</ListBucketResult>')


@pytest.fixture
def trap() -> Iterator[HostileServer]:
    """A server that must not be contacted."""
    with hostile_server(respond_with(make_response("trapped"))) as server:
        yield server
        assert server.requests == []


@pytest.mark.parametrize("prefix", KINDS)
def test_the_machines_environment_is_ignored(
    prefix: str, trap: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "c2VjcmV0IG9mIHRoZSBtYWNoaW5l"
    (tmp_path / "aws").write_text(
        f"[default]\naws_access_key_id = AKIDMACHINE\naws_secret_access_key = {secret}\nendpoint_url = {trap.uri}\n"
    )
    (tmp_path / "google.json").write_text(
        json.dumps(
            {"type": "authorized_user", "client_id": "x", "client_secret": secret, "refresh_token": secret}
            | {"token_uri": trap.uri, "gcs_base_url": trap.uri}
        )
    )
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login machine password {secret}\n")
    connection = f"BlobEndpoint={trap.uri};AccountName=account;AccountKey={secret}"
    for name, value in {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), trap.uri),
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_METADATA_ENDPOINT"), trap.uri),
        **dict.fromkeys(("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"), trap.uri),
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), str(tmp_path / "aws")),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), secret),
        "AWS_SSE_CUSTOMER_KEY_BASE64": secret,
        "AWS_REGION": "mars-north-1",
        **dict.fromkeys(("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"), str(tmp_path / "google.json")),
        **dict.fromkeys(("STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "GCE_METADATA_ROOT"), trap.uri),
        **dict.fromkeys(("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_SECRET"), secret),
        **dict.fromkeys(("AZURE_STORAGE_ENCRYPTION_KEY", "AZURE_TENANT_ID", "AZURE_CLIENT_ID"), secret),
        **dict.fromkeys(("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_AUTHORITY_HOST"), trap.uri),
        "AZURE_STORAGE_CONNECTION_STRING": connection,
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
    }.items():
        monkeypatch.setenv(name, value)

    with hostile_server(respond_with(KINDS[prefix])) as server:
        stores = open_stores({"prefix": prefix, "endpoint": server.uri, "allow_private_network": True})
        assert list_files(stores, f"{prefix}/m").problems == ()

    (request,) = server.requests
    assert "authorization" not in request.headers
    sent_text = f"{request.target} {request.headers}"
    assert secret not in sent_text
    assert "mars" not in sent_text


@pytest.mark.parametrize("prefix", KINDS)
def test_authorities_from_the_environment_are_not_trusted(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
    with hostile_server(respond_with(KINDS[prefix]), authority.server_context()) as server:
        description = {"prefix": prefix, "endpoint": server.uri, "allow_private_network": True}
        distrusted = list_files(open_stores(description), f"{prefix}/m")
        trusted = list_files(open_stores({**description, "ca_bundle": str(authority.certificate)}), f"{prefix}/m")

    assert "CERTIFICATE_VERIFY_FAILED" in distrusted.problems[0]
    assert trusted.problems == ()


@pytest.mark.parametrize("prefix", KINDS)
def test_a_redirect_is_not_followed(prefix: str, trap: HostileServer) -> None:
    redirect = make_response("", 307, headers={"Location": f"{trap.uri}/elsewhere"})
    with hostile_server(respond_with(redirect)) as server:
        stores = open_stores({"prefix": prefix, "endpoint": server.uri, "allow_private_network": True})
        listing = list_files(stores, f"{prefix}/m")

    assert not listing.is_root_listed
    assert "a redirect. Redirects are not followed" in listing.problems[0]


def test_a_store_is_read_through_the_tenants_proxy() -> None:
    from verifywise_mlflow.http.settings import ProxySettings

    with hostile_server(respond_with(EMPTY)) as proxy:
        proxy_settings = ProxySettings(proxy.uri, dict, allow_private_network=True)
        server = ConnectionSettings("https://mlflow.example", proxy=proxy_settings, limits=Limits(max_attempts=1))
        stores = ArtifactStores([store_settings({"prefix": "s3://bucket", "endpoint": "http://store.example"}, server)])
        assert list_files(stores, "s3://bucket/m").problems == ()

    assert [request.target.partition("?")[0] for request in proxy.requests] == ["http://store.example/bucket/"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (make_response("not xml"), "did not respond with XML"),
        (make_response("<html></html>"), "did not respond with a listing"),
        (make_response("<!DOCTYPE x [<!ENTITY y 'z'>]><ListBucketResult>&y;</ListBucketResult>"), "document type"),
        (
            make_response('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x><ListBucketResult/>'.encode("utf-16")),
            "did not respond with XML",
        ),
        (s3_page("m/x", size="many"), "not a number"),
        (s3_page("m/x", size="9" * 4_000), "not a number"),
        (s3_page("other/x"), "outside the requested prefix"),
        (make_response(b"x" * 70_000_000), "more than the"),
    ],
)
def test_a_response_that_is_not_a_listing_is_an_error(page: bytes, message: str) -> None:
    with hostile_server(respond_with(page)) as server:
        listing = list_files(s3_stores(server, prefix="s3://bucket/m"), "s3://bucket/m")

    assert not listing.is_root_listed
    assert message in listing.problems[0]


def test_no_log_shows_the_session_token_of_a_store(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("botocore.auth"), "filters", [])  # as before a process has signed anything
    keys = {}
    for field in ("access_key_id", "secret_access_key", "session_token"):
        monkeypatch.setenv(f"STORE_{field.upper()}", f"the-{field}")
        keys[field] = f"env:STORE_{field.upper()}"

    with hostile_server(respond_with(EMPTY)) as server, caplog.at_level(logging.DEBUG):
        list_files(s3_stores(server, None, region="eu-west-1", **keys), "s3://bucket/m")

    assert server.requests[0].headers["x-amz-security-token"] == "the-session_token"
    assert "the-session_token" not in caplog.text


def test_an_endless_listing_ends_with_an_error() -> None:
    same_token = "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>"
    with hostile_server(respond_with(s3_page("m/x", elements=same_token))) as server:
        listing = list_files(s3_stores(server), "s3://bucket/m")

    assert not listing.is_root_listed
    assert "repeats a continuation token" in listing.problems[0]
    assert len(server.requests) <= 4


def test_an_endless_listing_of_empty_pages_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_source, "MAX_PAGES", 10)

    def script(server: HostileServer, _request: ReceivedRequest) -> bytes:
        token = f"<NextContinuationToken>{len(server.requests)}</NextContinuationToken>"
        return s3_page(elements=f"<IsTruncated>true</IsTruncated>{token}")

    with hostile_server(script) as server:
        listing = list_files(s3_stores(server), "s3://bucket/m")

    assert not listing.is_root_listed
    assert "more than 10 pages, the limit" in listing.problems[0]
    assert len(server.requests) <= 11


def test_a_sorted_listing_of_single_keys_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_source, "MAX_PAGES", 10)

    def script(server: HostileServer, _request: ReceivedRequest) -> bytes:
        more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>"
        return s3_page(f"m/{len(server.requests):05}", elements=more)

    with hostile_server(script) as server:
        listing = list_files(s3_stores(server), "s3://bucket/m")

    assert "more than 10 pages, the limit" in listing.problems[0]
    assert len(server.requests) == 10


def test_a_page_may_end_with_a_key_that_is_not_valid_text() -> None:
    escaped = "<EncodingType>url</EncodingType>"
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>"
    with hostile_server(respond_with(s3_page("m/x", "m/y%FF", elements=escaped + more), s3_page())) as server:
        listing = list_files(s3_stores(server), "s3://bucket/m")

    assert [file.path for file in listing.files] == ["x"]
    assert "the path is not valid text" in listing.problems[0]


def test_a_page_of_json_may_end_with_half_of_a_surrogate_pair() -> None:
    items = [{"name": name, "size": "1", "generation": "1"} for name in ("m/x", "m/y\ud800")]
    with hostile_server(
        respond_with(json_response({"items": items, "nextPageToken": "1"}), json_response({}))
    ) as server:
        listing = list_files(s3_stores(server, prefix="gs://bucket"), "gs://bucket/m")

    assert [file.path for file in listing.files] == ["x"]
    assert "the path is not valid text" in listing.problems[0]


def test_an_unsorted_store_is_listed_one_folder_at_a_time() -> None:
    with hostile_server(respond_with(s3_page("m/b", "m/a"))) as server:
        listing = list_files(s3_stores(server), "s3://bucket/m")

    assert [file.path for file in listing.files] == ["a", "b"]
    assert "start-after" in server.requests[0].target
    assert "prefix=m%2F" in server.requests[1].target


def test_a_negative_size_is_refused() -> None:
    with hostile_server(respond_with(s3_page("m/x", size="-1"))) as server:
        assert "the size is negative" in list_files(s3_stores(server), "s3://bucket/m").problems[0]


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (403, False), (404, False), (429, True), (500, True), (503, True)]
)
def test_only_retryable_failures_are_retried_at_the_next_sync(status: int, retryable: bool) -> None:
    refusal = "<Error><Code>SomeCode</Code><Message>with the secret in it</Message></Error>"
    with hostile_server(respond_with(make_response(refusal, status))) as server, s3_stores(server) as stores:
        source = stores.open_root("s3://bucket/m")
        assert source is not None
        with pytest.raises(ArtifactReadError, match=f"responded with {status}, SomeCode") as caught:
            source.list_directory("")

    assert source.has_retryable_failure is retryable
    assert "secret" not in str(caught.value)


def test_a_rate_limited_request_to_a_store_is_retried() -> None:
    with hostile_server(
        respond_with(make_response("<Error/>", 503, headers={"Retry-After": "0"}), s3_page("m/x"))
    ) as server:
        listing = list_files(s3_stores(server, Limits(max_attempts=2)), "s3://bucket/m")

    assert [file.path for file in listing.files] == ["x"]


def test_a_store_that_drips_fails_at_the_deadline() -> None:
    def script(server: HostileServer, request: ReceivedRequest) -> Iterator[bytes] | bytes:
        if "list-type" in request.target:
            return s3_page("m/x")
        return server.drip(make_response(b"x" * 10_000))

    with (
        hostile_server(script) as server,
        s3_stores(server, Limits(file_timeout_seconds=0.5, max_attempts=1)) as stores,
    ):
        source = stores.open_root("s3://bucket/m")
        assert source is not None
        with (
            pytest.raises(ArtifactReadError, match=r"0\.5 seconds|no response in time"),
            source.read("x", 99) as chunks,
        ):
            list(chunks)


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with hostile_server(respond_with(make_response(b"only this", length=1_000))) as server, s3_stores(server) as stores:
        source = stores.open_root("s3://bucket/m")
        assert source is not None
        with pytest.raises(ArtifactReadError, match="broke off"), source.read("x", 10_000) as chunks:
            list(chunks)


def test_bytes_are_read_without_decompression() -> None:
    stored = b"\x1f\x8b these bytes claim to be packed"
    packed = make_response(stored, headers={"Content-Encoding": "gzip"})
    with hostile_server(respond_with(packed)) as server, s3_stores(server) as stores:
        source = stores.open_root("s3://bucket/m")
        assert source is not None
        with source.read("x", 100) as chunks:
            assert b"".join(chunks) == stored


def test_a_store_with_tls_is_verified_by_the_bundle_it_names_alone(tmp_path: Path) -> None:
    our_authority, other_authority = make_authority(tmp_path, "ours"), make_authority(tmp_path, "theirs")
    context: ssl.SSLContext = other_authority.server_context()
    with hostile_server(respond_with(EMPTY), context) as server:
        listing = list_files(s3_stores(server, ca_bundle=str(our_authority.certificate)), "s3://bucket/m")

    assert not listing.is_root_listed
