"""Signs each request by AWS's rules (Signature Version 4), as SageMaker's managed MLflow asks for.

botocore computes the signature; nothing else of it is used, since its sessions look for credentials in the
environment, in files and at the instance. What SageMaker needs besides is what AWS's own plugin for MLflow,
sagemaker-mlflow 0.5, does: the body's hash in a header, and the ARN of the tracking server in another.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from urllib3.util import parse_url

from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.errors import UnusableSettingsError

if TYPE_CHECKING:
    from botocore.auth import SigV4Auth

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:([a-z0-9-]+):[0-9]{12}:(mlflow-tracking-server|mlflow-app)/[A-Za-z0-9-]+")
_OFTEN_REWRITTEN = {"accept-encoding", "user-agent"}
"""A proxy on the way may change these, so they are not signed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The three attributes that botocore's signer reads."""

    access_key: str
    """Not a secret."""
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """Of temporary credentials."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A server of SageMaker's: MLflow tracking servers and, later, MLflow apps."""

    arn: str
    region: str
    service: str
    """As the signature names it."""
    header: str
    """In which the server wants to read its ARN, to know that it is meant."""

    @classmethod
    def of(cls, arn: str) -> Resource:
        """Return what an ARN tells.

        Raises:
            ValueError: it is none of an MLflow tracking server or app.
        """
        told = _ARN.fullmatch(arn)
        if not told:
            raise ValueError(
                "write the ARN of an MLflow tracking server or app: "
                "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
            )
        if told[2] == "mlflow-app":
            return cls(arn, told[1], "sagemaker", "x-sm-mlflow-app-arn")
        return cls(arn, told[1], "sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn")


class RequestSigner:
    """Credentials that sign each request anew. Threads may share them."""

    def __init__(self, keys: Keys, region: str, service: str, resource: Resource | None = None) -> None:
        """Load botocore.

        Raises:
            UnusableSettingsError: it is not installed.
        """
        self._signer = _signer(keys, region, service)
        self._resource = {resource.header: resource.arn} if resource else {}

    def headers(self, request: Outgoing) -> Mapping[str, str]:
        """Return the headers that sign the request, for the URL as urllib3 will send it."""
        # PoolManager sends what this function makes of a URL: the same one must be signed.
        url = parse_url(request.url)
        default = {"http": 80, "https": 443}[url.scheme or "https"]
        # Said by us, not by http.client: through a proxy, urllib3 would write a default port that AWS leaves out.
        host = f"{url.host}:{url.port}" if url.port not in (None, default) else url.host or ""
        added = {
            **self._resource,
            "Host": host,
            "X-Amz-Content-SHA256": hashlib.sha256(request.body or b"").hexdigest(),
        }
        stable = {name: value for name, value in request.headers.items() if name.lower() not in _OFTEN_REWRITTEN}
        return added | self._signature(request.method, url.url, stable | added, request.body)

    def renew(self) -> bool:
        """There are no other keys."""
        return False

    def _signature(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> dict[str, str]:
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        self._signer.add_auth(signed)
        names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
        return {name: str(signed.headers[name]) for name in names if name in signed.headers}


def _signer(keys: Keys, region: str, service: str) -> SigV4Auth:
    # Only tenants on AWS need it, and it takes 30 MB on disk.
    try:
        from botocore.auth import SigV4Auth
    except ImportError:
        raise UnusableSettingsError(
            "auth of kind sigv4 needs botocore, which is not installed: pip install 'verifywise-mlflow[aws]'"
        ) from None
    # It logs what it signs, session token and all.
    logging.getLogger("botocore.auth").addFilter(_say_nothing)
    return SigV4Auth(keys, service, region)


def _say_nothing(record: logging.LogRecord) -> bool:
    del record
    return False
