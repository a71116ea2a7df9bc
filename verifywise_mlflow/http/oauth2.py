"""OAuth2 client credentials (RFC 6749, section 4.4): fetch a token from its issuer, cache it in memory, renew it.

The token request follows the same rules as all other requests: no redirects, limits, the SSRF guard, the tenant's
proxy, verified TLS. Messages contain only the status and a standard error code of the issuer's response: any other text
may repeat our request, or a token.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote_plus, urlencode, urlsplit

from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import (
    HttpError,
    LimitExceededError,
    ResponseTimeoutError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.request_auth import ReadRequest, Request, StaticHeaders
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.status_errors import Remedies, error_of_token_request

STANDARD_ERRORS = frozenset(
    (
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable"),
    )
)
"""The error codes of RFC 6749, sections 4.1.2.1 and 5.2."""
_NO_STANDARD_ERROR = "no standard error code of OAuth2"
_REMEDIES: Remedies = {
    300: "Set token_uri to the final address.",
    400: "Check client_id, client_secret, scope and audience under auth.",
}

_TOKEN = re.compile(r"[\x21-\x7e]+")
_MAX_LIFETIME_SECONDS = 366 * 24 * 3600.0
_RENEWAL_MARGIN_SECONDS = 60.0
"""The seconds before its expiry at which a token is renewed, so that it outlives a request. A token with a short
lifetime is renewed at nine tenths of the lifetime."""


@dataclass(frozen=True, slots=True)
class OAuth2Client:
    """A client as registered with the issuer, and the scope and audience of its tokens."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None
    """A parameter outside the RFC that some issuers require."""
    authentication: Literal["basic", "post"] = "basic"
    """The place of the secret: in the Authorization header, as the RFC prefers, or among the form fields."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    renew_at: float
    """The time of the renewal, on the monotonic clock."""


class OAuth2TokenSource:
    """Credentials with a limited lifetime. Threads may share them: one thread fetches a token for all threads.

    Each response of the issuer without a token becomes a retryable error or an ``UnauthenticatedError``: an issuer with
    invalid responses must not make objects of the MLflow server look unreadable or deleted.
    """

    def __init__(self, issuer: ConnectionSettings, client: OAuth2Client) -> None:
        """Prepare the credentials; no request is sent yet. ``issuer.base_uri`` is the token endpoint."""
        limits = issuer.limits
        # One attempt per token: a retry of the request that needs the token also requests the token again.
        self._issuer = replace(
            issuer,
            credentials=StaticHeaders,
            limits=replace(limits, max_attempts=1, request_timeout_seconds=limits.token_timeout_seconds),
        )
        self._response_limit = ResponseLimit(
            limits.token_timeout_seconds,
            "token_timeout_seconds",
            limits.max_token_response_bytes,
            "max_token_response_bytes",
        )
        self._name = f"the token issuer {urlsplit(issuer.base_uri).hostname or ''}"
        self._client = client
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._failure: HttpError | None = None
        self._fetches_completed = 0
        self._handed_out = threading.local()

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the header with the token; fetch a new token if the present token is not valid for long enough.

        Raises:
            HttpError: the issuer grants no token.
        """
        del request
        self._handed_out.token = None
        token = self._current()
        self._handed_out.token = token.value
        return {"Authorization": f"Bearer {token.value}"}

    def renew(self) -> bool:
        """Discard the token that this thread used last, unless another thread has already replaced it.

        Returns:
            Whether this thread used a token, so that a second attempt may succeed.
        """
        refused = getattr(self._handed_out, "token", None)
        with self._lock:
            if refused is None:
                return False
            if self._token and self._token.value == refused:
                self._token = None
        self._handed_out.token = None
        return True

    def _current(self) -> _Token:
        completed_before = self._fetches_completed
        with self._lock:
            if self._token and time.monotonic() < self._token.renew_at:
                return self._token
            if self._failure and self._fetches_completed != completed_before:
                # Another thread failed while this thread waited for the lock: both threads raise the same failure.
                raise _copy(self._failure)
            self._token, self._failure = None, None
            try:
                self._token = self._fetch()
            except HttpError as error:
                self._failure = error
                raise
            finally:
                self._fetches_completed += 1
            return self._token

    def _fetch(self) -> _Token:
        requested_at = time.monotonic()
        http = HttpClient(
            self._issuer,
            self._error_from,
            headers={"Accept": "application/json"},
            decompress=True,
            server=self._name,
        )
        try:
            response = http.fetch(self._token_request(), self._response_limit)
        except ResponseTimeoutError as error:
            raise UnreachableError(str(error)) from None
        except LimitExceededError as error:
            raise UnauthenticatedError(str(error)) from None
        finally:
            http.close()
        return self._parse_token(response.body, requested_at)

    def _token_request(self) -> ReadRequest:
        client = self._client
        fields = {"grant_type": "client_credentials", "scope": client.scope, "audience": client.audience}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if client.authentication == "post":
            fields |= {"client_id": client.client_id, "client_secret": client.client_secret}
        else:
            # RFC 6749, 2.3.1: the ID and the secret are form-encoded before they become a user name and a password.
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        body = urlencode({name: value for name, value in fields.items() if value is not None})
        return ReadRequest("POST", self._issuer.base_uri, headers, body.encode("ascii"), "token")

    def _error_from(self, response: Response) -> HttpError:
        code = (_parse_json_object(response.body) or {}).get("error")
        is_standard = isinstance(code, str) and code in STANDARD_ERRORS
        message = f"{self._name} responded with {response.status}: {code if is_standard else _NO_STANDARD_ERROR}"
        return error_of_token_request(response.status, response.headers, message, _REMEDIES)

    def _parse_token(self, body: bytes, requested_at: float) -> _Token:
        fields = _parse_json_object(body)
        if fields is None:
            raise self._no_token("no JSON object")
        kind, token = fields.get("token_type"), fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self._no_token("no access_token that a header can carry")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._no_token("a token_type other than Bearer")
        lifetime = _lifetime_seconds(fields.get("expires_in"))
        if lifetime is None:  # the token is valid until the server refuses it
            return _Token(token, requested_at + _MAX_LIFETIME_SECONDS)
        return _Token(token, requested_at + lifetime - min(_RENEWAL_MARGIN_SECONDS, lifetime / 10))

    def _no_token(self, description: str) -> UnauthenticatedError:
        return UnauthenticatedError(
            f"{self._name} responded with {description}. Check that token_uri is its token endpoint."
        )


def _copy(error: HttpError) -> HttpError:
    """Return an equal error without the traceback, with all attributes, such as the seconds of ``Retry-After``."""
    copied = type(error).__new__(type(error), *error.args)  # without __init__, whose parameters vary by class
    copied.__dict__.update(error.__dict__)
    return copied


def _parse_json_object(body: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _lifetime_seconds(expires_in: object) -> float | None:
    """Return the seconds in ``expires_in``, which some issuers write as text; None if it is not a positive number."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return None
    try:
        seconds = float(expires_in)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME_SECONDS) if seconds > 0 else None
