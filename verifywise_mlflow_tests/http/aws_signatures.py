"""Verifies requests signed by AWS's Signature Version 4, written from AWS's description of it and nothing else.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from verifywise_mlflow_tests.http.hostile_server import ReceivedRequest


def expected_signature(asked: ReceivedRequest, secret: str, scope: str, signed_headers: str) -> str:
    """Return the signature that a request must bear; ``scope`` is ``date/region/service/aws4_request``."""
    path, _, query = asked.target.partition("?")
    pairs = sorted(
        tuple(quote(unquote_to_bytes(part), safe="") for part in (name, value))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    names = signed_headers.split(";")
    canonical = "\n".join(
        [
            asked.method,
            quote(_normal(path), safe="/"),  # encoded a second time, as for all services but S3
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(asked.headers[name].split())}" for name in names),
            "",
            signed_headers,
            hashlib.sha256(asked.body).hexdigest(),
        ]
    )
    text = "\n".join(
        ["AWS4-HMAC-SHA256", asked.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signature_problem(
    asked: ReceivedRequest, access_key: str, secret: str, scope: str, token: str | None = None
) -> str | None:
    """Return why a server of AWS's would refuse a request; ``scope`` is ``region/service``."""
    told = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8}/.+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        asked.headers.get("authorization", ""),
    )
    if not told:
        return "no signature"
    signed = told[3].split(";")
    to_be_signed = {"host", "content-type", *(name for name in asked.headers if name.startswith("x-amz-"))}
    date = asked.headers["x-amz-date"]
    age = datetime.now(UTC) - datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    checks = {
        "another key": told[1] == access_key,
        "another scope": told[2] == f"{date[:8]}/{scope}/aws4_request",
        "too old": timedelta(minutes=-5) < age < timedelta(minutes=5),
        "headers in disorder": signed == sorted(signed),
        "a header unsigned": to_be_signed & asked.headers.keys() <= set(signed),
        "a signed header missing": set(signed) <= asked.headers.keys(),
        "another body": asked.headers.get("x-amz-content-sha256") == hashlib.sha256(asked.body).hexdigest(),
        "another session": asked.headers.get("x-amz-security-token") == token,
    }
    for complaint, holds in checks.items():
        if not holds:
            return complaint
    return None if expected_signature(asked, secret, told[2], told[3]) == told[4] else "the signature does not match"


def _normal(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
