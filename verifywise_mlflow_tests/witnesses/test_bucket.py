"""A bucket keeps each checkpoint as an object under a retention lock. The server is moto's.

moto refuses to delete a locked version, and refuses a lock in a bucket without Object Lock, as S3 does. moto does not
check that the signature covers the lock's headers, so a test checks this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from verifywise_mlflow.artifacts.stores.s3 import S3Signer
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.request_auth import WriteRequest
from verifywise_mlflow.http.sigv4 import AwsKeys
from verifywise_mlflow.witnesses.bucket import BucketWitness
from verifywise_mlflow.witnesses.reading import checkpoints_in
from verifywise_mlflow.witnesses.witness import WitnessError
from verifywise_mlflow_tests.artifacts.stores.servers import s3_server
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response
from verifywise_mlflow_tests.witnesses.checkpoints import chain, stamped

SETTINGS: Mapping[str, object] = {
    "name": "locked",
    "access_key_id": "env:WITNESS_KEY_ID",
    "secret_access_key": "env:WITNESS_SECRET",
    "allow_private_network": True,
    "retention_days": 3_650,
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        stored = client(endpoint)
        stored.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        stored.create_bucket(Bucket="plain")
        yield endpoint


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> BucketWitness:
    monkeypatch.setenv("WITNESS_KEY_ID", "x")
    monkeypatch.setenv("WITNESS_SECRET", "x")
    return BucketWitness.model_validate({**SETTINGS, "uri": "s3://locked/checkpoints", "endpoint": endpoint})


def test_nobody_deletes_or_replaces_a_stored_checkpoint(bucket: BucketWitness, endpoint: str) -> None:
    checkpoint = stamped(chain()[2])

    receipt = bucket.store("acme", checkpoint)

    stored, version = client(endpoint), {"Bucket": "locked", "VersionId": receipt["version_id"]}
    key = receipt["object"].removeprefix("s3://locked/")
    assert key.startswith("checkpoints/acme/000000000003-")
    with pytest.raises(ClientError, match="AccessDenied"):
        stored.delete_object(Key=key, **version, BypassGovernanceRetention=True)
    stored.put_object(Bucket="locked", Key=key, Body=b"another text")  # another version: the locked version stays
    found = stored.get_object(Key=key, **version)
    assert checkpoints_in(found["Body"].read().decode()) == [checkpoint.checkpoint]
    assert found["ObjectLockMode"] == "COMPLIANCE"
    in_ten_years = datetime.now(UTC) + timedelta(days=3_650)
    assert abs(found["ObjectLockRetainUntilDate"] - in_ten_years) < timedelta(minutes=5)


def test_a_bucket_without_object_lock_is_no_witness(bucket: BucketWitness) -> None:
    plain = bucket.model_copy(update={"uri": "s3://plain"})

    with pytest.raises((HttpError, WitnessError), match="Object Lock"):
        plain.store("acme", stamped(chain()[0]))


def test_a_store_that_ignores_the_lock_is_no_witness(bucket: BucketWitness) -> None:
    with hostile_server(lambda _server, _request: make_response("")) as store:
        ignoring = bucket.model_copy(update={"endpoint": store.uri})

        with pytest.raises(WitnessError, match="named no version of the object, so it has no Object Lock"):
            ignoring.store("acme", stamped(chain()[0]))


def test_the_signature_covers_the_headers_of_the_lock() -> None:
    request = WriteRequest("PUT", "https://s3.example/locked/x", {"x-amz-object-lock-mode": "COMPLIANCE"}, b"x")

    signed = S3Signer(AwsKeys("id", "secret", None), "eu-central-1").headers(request)

    assert "x-amz-object-lock-mode" in signed["Authorization"]


def client(endpoint: str) -> Any:  # boto3 has no types
    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
