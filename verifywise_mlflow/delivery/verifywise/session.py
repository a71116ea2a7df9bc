"""Our session with VerifyWise: an API token, or one login per delivery. If the token expires, there is another login.

A server allows five logins per minute and address, including the logins of people. So a login is one request that is
never retried. If a token is refused within a minute, this is an error: a new token would also be refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from verifywise_mlflow.delivery.verifywise.claims import account_of
from verifywise_mlflow.delivery.verifywise.remote import Account
from verifywise_mlflow.http.client import MAX_TEXT_BYTES, HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import (
    HttpError,
    InvalidResponseError,
    InvalidSettingsError,
    LimitExceededError,
    UnauthenticatedError,
)
from verifywise_mlflow.http.request_auth import ReadRequest, Request, StaticHeaders
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.status_errors import Remedies, error_of_token_request
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseLogin, VerifyWiseToken

_MIN_TOKEN_AGE_SECONDS: Final = 60.0
_REMEDIES: Remedies = {
    429: "It allows five logins a minute from one address.",
    300: "Set delivery.verifywise.url to the final address.",
    403: "Check email and password under delivery.verifywise.auth.",
    400: "Check delivery.verifywise.url, and email and password under auth.",
}


class Session:
    """Credentials that log in at their first use. Several threads may use them."""

    def __init__(
        self, server: ConnectionSettings, auth: VerifyWiseLogin | VerifyWiseToken, clock: Callable[[], float]
    ) -> None:
        """Prepare the session; no request is sent and no secret is resolved yet.

        Args:
            server: The server to log in to. The credentials in these settings are not used.
            auth: The login or the API token.
            clock: Returns the seconds of a monotonic clock.
        """
        limits = replace(server.limits, max_attempts=1, request_timeout_seconds=server.limits.token_timeout_seconds)
        self._server = replace(server, credentials=StaticHeaders, limits=limits)
        self._auth = auth
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self.logins = 0
        """The number of requests for a token so far."""

    def account(self) -> Account:
        """Return the account that the token names.

        Raises:
            HttpError: there is no token, or it is not a token of VerifyWise.
            SecretUnavailableError: the reference of the credential cannot be resolved.
        """
        account = account_of(self._current().value)
        if account is None:
            raise InvalidSettingsError("the token of delivery.verifywise.auth is not one that VerifyWise issues")
        return account

    def headers(self, request: Request) -> Mapping[str, str]:
        """Return the header with the token; log in if there is no token yet."""
        del request
        return {"Authorization": f"Bearer {self._current().value}"}

    def renew(self) -> bool:
        """Discard a token that has expired; return whether a new token may be accepted."""
        with self._lock:
            if isinstance(self._auth, VerifyWiseToken) or self._token is None:
                return False
            if self._clock() - self._token.issued_at < _MIN_TOKEN_AGE_SECONDS:
                return False
            self._token = None
            return True

    def _current(self) -> _Token:
        with self._lock:
            if self._token is None:
                self._token = self._new_token()
            return self._token

    def _new_token(self) -> _Token:
        if isinstance(self._auth, VerifyWiseToken):
            return _Token(self._auth.token.resolve(), self._clock())
        body = json.dumps({"email": self._auth.email, "password": self._auth.password.resolve()}).encode()
        try:
            return _Token(self._log_in(body), self._clock())
        except HttpError as error:
            error.was_sent = False  # the request that needs the token was not sent
            raise

    def _log_in(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        request = ReadRequest("POST", f"{self._server.base_uri}/users/login", headers, body, "/api/users/login")
        limit = ResponseLimit(self._server.limits.token_timeout_seconds, max_bytes=MAX_TEXT_BYTES)
        http = HttpClient(
            self._server,
            _error_from,
            headers={"Accept": "application/json"},
            decompress=True,
            success_statuses=(200, 201, 202),
        )
        self.logins += 1
        try:
            return _parse_token(http.fetch(request, limit).body)
        except LimitExceededError as error:
            raise UnauthenticatedError(f"VerifyWise did not answer the login as expected: {error}") from None
        finally:
            http.close()


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    issued_at: float
    """The time of issue, on the session's clock."""


def _parse_token(body: bytes) -> str:
    try:
        token = json.loads(body)["data"]["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        token = None
    if not isinstance(token, str) or account_of(token) is None:
        raise InvalidResponseError(
            "the login was answered without a token of VerifyWise. Check that delivery.verifywise.url is its address"
        )
    return token


def _error_from(response: Response) -> HttpError:
    """Return the error of a login. The response is not quoted, since it may repeat the password."""
    sentence = f"VerifyWise responded to the login with {response.status}"
    error = error_of_token_request(response.status, response.headers, sentence, _REMEDIES)
    error.retryable = False
    return error
