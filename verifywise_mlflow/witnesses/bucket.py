"""A bucket as a witness: an object per checkpoint, under a retention lock that nobody can remove before its end."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from verifywise_mlflow.audit.checkpoint import parse_claim
from verifywise_mlflow.delivery.bucket_writer import open_bucket
from verifywise_mlflow.http.status_errors import Remedies
from verifywise_mlflow.tenants.bucket import WritableBucket
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow.witnesses.witness import Receipt, WitnessError, WitnessSettings

_VERSION_HEADER: Final = "x-amz-version-id"
_REMEDIES: Remedies = {
    400: "Enable Object Lock on the bucket; without it, a retention lock is refused.",
    403: "The credentials need s3:PutObject and s3:PutObjectRetention there.",
    404: "There is no such bucket.",
    300: "Check the endpoint and the region.",
}


class BucketWitness(WitnessSettings, WritableBucket):
    """A bucket with Object Lock in S3, or in a store with the interface of S3."""

    kind: Literal["bucket"] = "bucket"
    retention_days: Annotated[int, Field(ge=1, le=36_500)]
    """The number of days for which nobody can change or delete an object. The period cannot be shortened afterwards."""

    def store(self, tenant_id: str, stamped: StampedCheckpoint) -> Receipt:
        """Write an object with a retention lock in the mode COMPLIANCE."""
        content = f"{stamped.to_json_line()}\n".encode("ascii")
        digest = hashlib.sha256(content).hexdigest()
        key = f"{self.path}{tenant_id}/{parse_claim(stamped.checkpoint).sequence:012d}-{digest[:16]}.json"
        retained_until = datetime.now(UTC) + timedelta(days=self.retention_days)
        headers = {
            "Content-Type": "application/json",
            # S3 requires a checksum of objects with a retention lock. All such stores support this kind of checksum.
            "Content-MD5": b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode("ascii"),
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": f"{retained_until:%Y-%m-%dT%H:%M:%SZ}",
        }
        with open_bucket(self, f"the bucket of the witness {self.name}", _REMEDIES) as bucket:
            response = bucket.put(key, content, headers)
        version = response.headers.get(_VERSION_HEADER)
        # Only buckets with versioning have locks, and a store that supports neither ignores the headers.
        if not version or version == "null":
            raise WitnessError(
                f"the bucket of the witness {self.name} named no version of the object, so it has no Object Lock: "
                "enable it, or name another bucket"
            )
        return {
            "object": f"s3://{self.bucket}/{key}",
            "version_id": version,
            "retained_until": headers["x-amz-object-lock-retain-until-date"],
        }
