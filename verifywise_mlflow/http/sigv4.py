"""AWS Signature Version 4 for each request, as SageMaker's managed MLflow requires.

botocore computes the signature. Its sessions are not used, since they look for credentials in the environment, in files
and at the instance. Like AWS's own plugin for MLflow, sagemaker-mlflow 0.5, this module also sends two headers that
SageMaker requires: the body's hash, and the ARN of the tracking server.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from urllib3.util import parse_url

from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.http.request_auth import Request

if TYPE_CHECKING:
    from botocore.auth import SigV4Auth

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):[0-9]{12}:(mlflow-tracking-server|mlflow-app)/[A-Za-z0-9-]+")
_UNSIGNED_HEADERS = {"accept-encoding", "user-agent"}
"""Headers that are not signed, since a proxy may change them."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """An AWS access key, with the three attributes that botocore's signer reads."""

    access_key: str
    """The ID of the access key, which is not a secret."""
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """Session token of temporary credentials."""


@dataclass(frozen=True, slots=True)
class SageMakerServer:
    """An MLflow tracking server of SageMaker, or its successor, an MLflow app."""

    arn: str
    region: str
    service: str
    """The service name in the signature."""
    header: str
    """The header in which the server expects its ARN."""

    @classmethod
    def from_arn(cls, arn: str) -> SageMakerServer:
        """Parse an ARN.

        Raises:
            ValueError: it is not the ARN of an MLflow tracking server or app.
        """
        match = _ARN.fullmatch(arn)
        if not match:
            raise ValueError(
                "write the ARN of an MLflow tracking server or app: "
                "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
            )
        if match[2] == "mlflow-app":
            return cls(arn, match[1], "sagemaker", "x-sm-mlflow-app-arn")
        return cls(arn, match[1], "sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn")


class SigV4Signer:
    """Credentials that sign each request. Threads may share them."""

    def __init__(self, keys: AwsKeys, region: str, service: str, resource: SageMakerServer | None = None) -> None:
        """Load botocore.

        Raises:
            InvalidSettingsError: botocore is not installed.
        """
        self._signer = _signer(keys, region, service)
        self._resource = {resource.header: resource.arn} if resource else {}

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the headers that sign the request, for the URL as urllib3 will send it."""
        # PoolManager normalizes URLs with this function; the signature must cover the normalized URL.
        url = parse_url(request.url)
        default = {"http": 80, "https": 443}[url.scheme or "https"]
        # The host is set here, not by http.client: through a proxy, urllib3 would add a default port, which AWS omits.
        host = f"{url.host}:{url.port}" if url.port not in (None, default) else url.host or ""
        added = {
            **self._resource,
            "Host": host,
            "X-Amz-Content-SHA256": hashlib.sha256(request.body or b"").hexdigest(),
        }
        stable = {name: value for name, value in request.headers.items() if name.lower() not in _UNSIGNED_HEADERS}
        return added | self._signature(request.method, url.url, stable | added, request.body)

    def renew(self) -> bool:
        """Return False: there are no other keys."""
        return False

    def _signature(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> dict[str, str]:
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        self._signer.add_auth(signed)
        names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
        return {name: str(signed.headers[name]) for name in names if name in signed.headers}


def _signer(keys: AwsKeys, region: str, service: str) -> SigV4Auth:
    # botocore is an extra: only tenants on AWS need it, and it takes 30 MB on disk.
    try:
        from botocore.auth import SigV4Auth
    except ImportError:
        raise InvalidSettingsError(
            "auth of kind sigv4 needs botocore, which is not installed: pip install 'verifywise-mlflow[aws]'"
        ) from None
    silence_signers()
    return SigV4Auth(keys, service, region)


def silence_signers() -> None:
    """Drop the logs of botocore's signers, which contain the texts that they sign, including the session token."""
    logging.getLogger("botocore.auth").addFilter(_drop_record)


def _drop_record(record: logging.LogRecord) -> bool:
    del record
    return False
