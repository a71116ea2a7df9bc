"""Tells what an answer means: the JSON object in it, or the error that its status stands for.

Whatever of the server's words gets into an error is short and escaped.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

import orjson

from verifywise_mlflow.connector.endpoints import ARTIFACT_PATH
from verifywise_mlflow.http.credential_echo import INSTEAD, repeats_a_secret
from verifywise_mlflow.http.errors import (
    ArtifactStoreError,
    BoundExceededError,
    ConnectorError,
    ForbiddenError,
    GatewayError,
    NoSuchRouteError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    UnauthenticatedError,
)

_NESTING = frozenset((dict, list))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one level in, one level out


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, read to its end or to a bound."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    let_in_by: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The headers of the request that let us in. What quotes them is not passed on."""

    def words(self, said: bytes | str) -> str:
        """Return the first of some words of this answer, for an error."""
        text = said if isinstance(said, str) else said.decode("utf-8", "replace")
        return INSTEAD if repeats_a_secret(text, self.let_in_by) else excerpt(text.encode("utf-8", "replace"))

    @property
    def is_json(self) -> bool:
        """Whether it says of itself that it is JSON."""
        return "json" in self.headers.get("Content-Type", "").lower()


def json_object(answer: Answer, depth: int) -> dict[str, object]:
    """Return the JSON object of a successful answer.

    A login page with status 200 is HTML, and an empty body would read as an empty registry: neither is an answer.
    """
    if not answer.is_json:
        kind = answer.words(answer.headers["Content-Type"]) if "Content-Type" in answer.headers else "no content type"
        raise ProtocolError(f"{answer.path} answered with {kind}, not JSON: {answer.words(answer.body)}")
    too_deep = BoundExceededError(f"{answer.path} answered with JSON nested deeper than the depth={depth} allowed here")
    try:
        found = _parsed(answer.body)
    except RecursionError:
        raise too_deep from None
    except ValueError:
        raise ProtocolError(f"{answer.path} answered with what is no JSON: {answer.words(answer.body)}") from None
    if not isinstance(found, dict):
        raise ProtocolError(f"{answer.path} answered with JSON that is no object: {answer.words(answer.body)}")
    if _brackets_deep(answer.body) > depth and _is_deeper(found, depth):
        raise too_deep
    return found


def _parsed(body: bytes) -> object:
    try:
        # Faster than the standard library's by half or more, where parsing is most of what a run costs us; ...
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # ... but it takes neither a lone surrogate nor a bare NaN, either of which one client may put into a page.
        return json.loads(body)


def _brackets_deep(body: bytes) -> int:
    """Return how deep the brackets stand, those within texts too: in C alone, ten times as fast as looking at objects.

    Closing brackets in texts may hide levels from it. They get as far as the parser's own limit, about a thousand.
    """
    return max(accumulate(array("b", body.translate(_STEPS, _NO_BRACKETS))), default=0)


def _is_deeper(value: object, depth: int) -> bool:
    """Whether objects and lists stand more than so many levels within each other. Level by level, not by recursion."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if type(inner) in _NESTING
        ]
        if not level:
            return False
    return True


_NO_SUCH_CALL = frozenset(("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "METASTORE_DOES_NOT_EXIST"))
"""Databricks' words for a call that it does not know. Taken for a missing object, they could entomb a registry."""


def error_of(answer: Answer, host: str) -> ConnectorError:
    """Return the error that an answer other than 200 stands for."""
    code, message = _mlflows_words(answer)
    if code and repeats_a_secret(code, answer.let_in_by):
        code = None
    words = f"{code}, {answer.words(message)}" if code else answer.words(answer.body)
    error = _error(answer, host, code, f"{answer.path} answered {answer.status}: {words}")
    error.code = code
    error.retry_after = retry_after(answer.headers)
    return error


def _error(answer: Answer, host: str, code: str | None, said: str) -> ConnectorError:
    match answer.status:
        case 401:
            return UnauthenticatedError(f"{said}. Check the tenant's auth: the server does not accept it.")
        case 403 if b"Host header" in answer.body:
            return ForbiddenError(f"{said}. The server must be started with --allowed-hosts naming {host}.")
        case 403:
            return ForbiddenError(f"{said}. Grant the account READ, or the object does not exist.")
        case 404 if code and code not in _NO_SUCH_CALL:
            return NotFoundError(said)
        case 404 if code:
            return NoSuchRouteError(f"{said}. Check the tenant's server and registry: this one does not have the call.")
        case 404:
            return NoSuchRouteError(f"{said}. Check the tracking URI, above all its prefix.")
        case 407:
            return UnauthenticatedError(f"{said}. Check the tenant's proxy: it does not accept its credentials.")
        case 429:
            return ThrottledError(said)
        case 503 if "Retry-After" in answer.headers:
            return ThrottledError(said)
        case 502 | 503 | 504:
            return GatewayError(said)
        case 500 if ARTIFACT_PATH.fullmatch(answer.path):
            return ArtifactStoreError(f"{said}. The server could not read its artifact store.")
        case status if status >= 500:
            return ServerFaultError(said)
        case status if 300 <= status < 400:
            return ProtocolError(
                f"{answer.path} answered with a redirect, which is not followed, since it would take the credentials "
                "along. Write the final address as the tracking URI."
            )
        case _:
            return RejectedError(said)


def _mlflows_words(answer: Answer) -> tuple[str | None, str]:
    """Return MLflow's error code and message, where the answer has that form."""
    if not answer.is_json:
        return None, ""
    try:
        fields = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(fields, dict) or not isinstance(fields.get("error_code"), str):
        return None, ""
    return fields["error_code"][:100], str(fields.get("message", ""))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; its other form, a date, is left to the jitter."""
    written = headers.get("Retry-After", "")
    return float(written) if written.isdecimal() and len(written) < 10 else None


def excerpt(body: bytes) -> str:
    """Return the first words of a body, escaped: it is the server's text, not ours."""
    text = body[:400].decode("utf-8", "replace")
    return ascii(" ".join(text.split())[:160]) if text.strip() else "an empty body"
