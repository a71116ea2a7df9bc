"""A report is written to a bucket with the report's own access keys, and its start page leads to the newest report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3

from verifywise_mlflow.delivery.report_bucket import upload_report
from verifywise_mlflow.http.errors import ForbiddenError
from verifywise_mlflow.tenants.bucket import WritableBucket
from verifywise_mlflow_tests.artifacts.stores.servers import s3_server

SETTINGS: Mapping[str, object] = {
    "uri": "s3://reports/governance",
    "access_key_id": "env:REPORTS_KEY_ID",
    "secret_access_key": "env:REPORTS_SECRET",
    "allow_private_network": True,
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def writer_keys(endpoint: str) -> tuple[str, str]:
    """The keys of a user who may write objects, and nothing else, on a server that verifies signatures."""
    client(endpoint, "s3").create_bucket(Bucket="reports")
    iam = client(endpoint, "iam")
    iam.create_user(UserName="writer")
    policy = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::reports/governance/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    iam.put_user_policy(UserName="writer", PolicyName="write", PolicyDocument=document)
    keys = iam.create_access_key(UserName="writer")["AccessKey"]
    urllib3.request("POST", f"{endpoint}/moto-api/reset-auth", body=b"0")  # from now on, signatures are verified
    return keys["AccessKeyId"], keys["SecretAccessKey"]


@pytest.fixture
def bucket(endpoint: str, writer_keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> WritableBucket:
    monkeypatch.setenv("REPORTS_KEY_ID", writer_keys[0])
    monkeypatch.setenv("REPORTS_SECRET", writer_keys[1])
    return WritableBucket.model_validate({**SETTINGS, "endpoint": endpoint})


def test_each_report_has_its_own_path_and_the_start_page_leads_to_the_newest(
    bucket: WritableBucket, endpoint: str, tmp_path: Path
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "report.css").write_text("p {}")
    (tmp_path / "index.html").write_text("the first")
    upload_report(tmp_path, bucket, "acme", "20260301T120000Z")
    (tmp_path / "index.html").write_text("the second")

    address = upload_report(tmp_path, bucket, "acme", "20260302T120000Z")

    urllib3.request("POST", f"{endpoint}/moto-api/reset-auth", body=b"1000000")  # the test itself may read
    stored = client(endpoint, "s3")
    listed = [entry["Key"] for entry in stored.list_objects_v2(Bucket="reports")["Contents"]]
    assert address == "s3://reports/governance/acme/index.html"
    assert listed == [
        "governance/acme/20260301T120000Z/assets/report.css",
        "governance/acme/20260301T120000Z/index.html",
        "governance/acme/20260302T120000Z/assets/report.css",
        "governance/acme/20260302T120000Z/index.html",
        "governance/acme/index.html",
    ]
    start = stored.get_object(Bucket="reports", Key="governance/acme/index.html")
    assert "url=20260302T120000Z/index.html" in start["Body"].read().decode()
    assert start["ContentType"] == "text/html; charset=utf-8"
    styles = stored.get_object(Bucket="reports", Key="governance/acme/20260302T120000Z/assets/report.css")
    assert styles["ContentType"] == "text/css; charset=utf-8"
    urllib3.request("POST", f"{endpoint}/moto-api/reset-auth", body=b"0")


def test_keys_that_may_not_write_there_fail_with_a_sentence(bucket: WritableBucket, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a report")
    elsewhere = bucket.model_copy(update={"uri": "s3://reports/elsewhere"})

    with pytest.raises(ForbiddenError, match="may not write objects there"):
        upload_report(tmp_path, elsewhere, "acme", "20260301T120000Z")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"endpoint": "http://minio.example.com", "allow_private_network": False}, "not encrypted"),
        ({"uri": "s3://reports/../other"}, "match pattern"),
        ({"endpoint": "https://key:secret@minio.example.com"}, "contains credentials"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        WritableBucket.model_validate({**SETTINGS, **change})


def client(endpoint: str, service: str) -> Any:  # boto3 has no types
    return boto3.client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        region_name="us-east-1",
    )
