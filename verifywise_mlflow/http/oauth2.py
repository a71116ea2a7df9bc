"""Tokens from an issuer by OAuth2's client credentials (RFC 6749, 4.4): fetched, kept in memory, renewed.

The question to the issuer is no call to MLflow and goes nowhere near the transport. It keeps the same rules: no
redirect, bounds, refused addresses, the tenant's proxy, verified TLS. Of the issuer's words only ``error`` and
``error_description`` are repeated, short and escaped: whatever else it says may be a token.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus, urlencode, urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.connector.responses import excerpt, retry_after
from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.connection_failures import reason
from verifywise_mlflow.http.deadlines import allow
from verifywise_mlflow.http.errors import (
    ConnectorError,
    GatewayError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.settings import ConnectionSettings

_CHUNK_BYTES = 16 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LONGEST_SECONDS = 366 * 24 * 3600.0
_MARGIN_SECONDS = 60.0
"""A token is renewed so long before its end, or at nine tenths of a short life, so that it outlives a request."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks for tokens, and what for."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None
    """Not of the RFC; some issuers ask for it."""
    authentication: Literal["basic", "post"] = "basic"
    """Where the secret stands: in a header, as the RFC prefers, or among the fields."""


@dataclass(frozen=True, slots=True)
class _Issued:
    value: str = field(repr=False)
    renew_at: float
    """On the monotonic clock."""


class IssuedToken:
    """Credentials that an issuer hands out for a while. Threads may share them; one of them asks for all.

    Every failure is either passing or an ``UnauthenticatedError``: an issuer that answers nonsense must not make
    the objects of the MLflow server look unreadable or gone.
    """

    def __init__(self, issuer: ConnectionSettings, client: Client) -> None:
        """Take the issuer's token endpoint as ``issuer.base_uri``; nothing is asked yet."""
        self._issuer = issuer
        self._host = urlsplit(issuer.base_uri).hostname or ""
        self._client = client
        self._lock = threading.Lock()
        self._issued: _Issued | None = None
        self._failure: ConnectorError | None = None
        self._ended = 0  # how many questions have come to an end
        self._handed_out = threading.local()

    def headers(self, request: Outgoing) -> Mapping[str, str]:
        """Return the header with the token, a new one where there is none that lasts.

        Raises:
            ConnectorError: the issuer gives none.
        """
        del request
        self._handed_out.token = None
        issued = self._current()
        self._handed_out.token = issued.value
        return {"Authorization": f"Bearer {issued.value}"}

    def renew(self) -> bool:
        """Throw away the token that this thread was given last, unless another thread has already got a new one."""
        refused = getattr(self._handed_out, "token", None)
        with self._lock:
            if refused is None:
                return False
            if self._issued and self._issued.value == refused:
                self._issued = None
        self._handed_out.token = None
        return True

    def _current(self) -> _Issued:
        ended = self._ended
        with self._lock:
            if self._issued and time.monotonic() < self._issued.renew_at:
                return self._issued
            if self._failure and self._ended != ended:
                raise type(self._failure)(*self._failure.args)  # what another thread met while this one waited
            self._issued, self._failure = None, None
            try:
                self._issued = self._fetch()
            except ConnectorError as error:
                self._failure = error
                raise
            finally:
                self._ended += 1
            return self._issued

    def _fetch(self) -> _Issued:
        client, bounds = self._client, self._issuer.bounds
        fields = {"grant_type": "client_credentials", "scope": client.scope, "audience": client.audience}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "verifywise-mlflow",
        }
        if client.authentication == "post":
            fields |= {"client_id": client.client_id, "client_secret": client.client_secret}
        else:
            # RFC 6749, 2.3.1: both are written as in a form before they become a user name and a password.
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        asked_at = time.monotonic()
        pool = open_pool(self._issuer)
        try:
            response = pool.urlopen(
                "POST",
                self._issuer.base_uri,
                body=urlencode({name: value for name, value in fields.items() if value is not None}),
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=bounds.connect_seconds, read=bounds.token_seconds),
            )
            body = self._body(response)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"the token's issuer {self._host} gave no answer: {reason(error)}") from None
        finally:
            pool.clear()
        if response.status != 200:
            raise self._error_of(response, body)
        return self._issued_by(body, asked_at)

    def _body(self, response: BaseHTTPResponse) -> bytes:
        bounds = self._issuer.bounds
        deadline = allow(response, bounds.token_seconds)
        body = b""
        try:
            for chunk in response.stream(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > bounds.token_bytes:
                    raise UnauthenticatedError(
                        f"the token's issuer {self._host} sent more than the {bounds.token_bytes:,} bytes allowed "
                        "here (token_bytes)"
                    )
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() < deadline:
                raise
            raise UnreachableError(
                f"the token's issuer {self._host} took longer than the {bounds.token_seconds:g} seconds allowed here "
                f"(token_seconds): {reason(error)}"
            ) from None
        finally:
            response.close()
        return body

    def _error_of(self, response: BaseHTTPResponse, body: bytes) -> ConnectorError:
        found = _json_object(body) or {}
        told = [str(found[name]) for name in ("error", "error_description") if found.get(name)]
        # An issuer that quotes the request back must not put the secret into an error.
        words = [
            "words with the secret in them"
            if self._client.client_secret in word
            else excerpt(word.encode("utf-8", "replace"))
            for word in told
        ]
        said = (
            f"the token's issuer {self._host} answered {response.status}: {', '.join(words) or 'no error in its form'}"
        )
        error: ConnectorError
        match response.status:
            case 429:
                error = ThrottledError(said)
            case status if status >= 500:
                error = GatewayError(said)
            case status if 300 <= status < 400:
                error = UnauthenticatedError(
                    f"{said}. A redirect is not followed, since it would take the secret along: write the "
                    "final address as token_uri."
                )
            case _:
                error = UnauthenticatedError(f"{said}. Check client_id, client_secret, scope and audience under auth.")
        error.retry_after = retry_after(response.headers)
        return error

    def _issued_by(self, body: bytes, asked_at: float) -> _Issued:
        found = _json_object(body)
        if found is None:
            raise self._no_token("no JSON object")
        kind, token = found.get("token_type"), found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self._no_token("no access_token that a header can carry")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._no_token("a token_type other than Bearer")
        lasts = _seconds(found.get("expires_in"))
        # Without a word on its end, a token is good until the server refuses it.
        margin = 0.0 if lasts is None else min(_MARGIN_SECONDS, lasts / 10)
        return _Issued(token, asked_at + (_LONGEST_SECONDS if lasts is None else lasts - margin))

    def _no_token(self, what: str) -> UnauthenticatedError:
        return UnauthenticatedError(
            f"the token's issuer {self._host} answered with {what}. Check that token_uri is its token endpoint."
        )


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _seconds(told: object) -> float | None:
    """Return the seconds that a token lasts; some issuers write them as text, and what is no time is not told."""
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        seconds = float(told)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST_SECONDS) if seconds > 0 else None
