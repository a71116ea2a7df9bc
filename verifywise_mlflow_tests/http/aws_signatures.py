"""Verifies requests signed by AWS Signature Version 4. The code follows only AWS's description of the signature.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from verifywise_mlflow_tests.support.hostile_server import ReceivedRequest


def expected_signature(request: ReceivedRequest, secret: str, scope: str, signed_headers: str) -> str:
    """Return the signature that a request must have; ``scope`` is ``date/region/service/aws4_request``."""
    path, _, query = request.target.partition("?")
    pairs = sorted(
        tuple(quote(unquote_to_bytes(part), safe="") for part in (name, value))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    names = signed_headers.split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(_normalize_path(path), safe="/"),  # encoded a second time, as for all services but S3
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            signed_headers,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    text = "\n".join(
        ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signature_problem(
    request: ReceivedRequest, access_key: str, secret: str, scope: str, token: str | None = None
) -> str | None:
    """Return why AWS would reject a request, or None; ``scope`` is ``region/service``."""
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8}/.+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        request.headers.get("authorization", ""),
    )
    if not match:
        return "no signature"
    signed = match[3].split(";")
    to_be_signed = {"host", "content-type", *(name for name in request.headers if name.startswith("x-amz-"))}
    date = request.headers["x-amz-date"]
    age = datetime.now(UTC) - datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    checks = {
        "another key": match[1] == access_key,
        "another scope": match[2] == f"{date[:8]}/{scope}/aws4_request",
        "too old": timedelta(minutes=-5) < age < timedelta(minutes=5),
        "headers in disorder": signed == sorted(signed),
        "a header unsigned": to_be_signed & request.headers.keys() <= set(signed),
        "a signed header missing": set(signed) <= request.headers.keys(),
        "another body": request.headers.get("x-amz-content-sha256") == hashlib.sha256(request.body).hexdigest(),
        "another session": request.headers.get("x-amz-security-token") == token,
    }
    for problem, is_fulfilled in checks.items():
        if not is_fulfilled:
            return problem
    return (
        None if expected_signature(request, secret, match[2], match[3]) == match[4] else "the signature does not match"
    )


def _normalize_path(path: str) -> str:
    segments: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del segments[-1:]
        elif part not in {"", "."}:
            segments.append(part)
    return "/" + "/".join(segments) + ("/" if segments and path.endswith("/") else "")
