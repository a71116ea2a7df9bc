"""Maps the status of a response to an error, in the same way for every server.

The remedy for an error depends on the settings of the server, so callers supply the remedies. Callers also handle a
status to which a server gives a meaning of its own, such as MLflow's 403 for a wrong host name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from verifywise_mlflow.http.errors import (
    ForbiddenError,
    GatewayError,
    HttpError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    RateLimitedError,
    RequestRejectedError,
    UnauthenticatedError,
)
from verifywise_mlflow.http.response import retry_after

Remedies: TypeAlias = Mapping[int, str]
"""Status to its remedy, in sentences that name settings. The remedy of 300 is for all redirects, the remedy of 400 for
all other errors of the client."""
_NOT_FOLLOWED = "This is a redirect. Redirects are not followed, since they would forward the credentials."


def error_of_status(status: int, headers: Mapping[str, str], sentence: str, remedies: Remedies) -> HttpError:
    """Return the error for a status that is not a success.

    Args:
        status: The status.
        headers: The headers of the response.
        sentence: The server and its response, without a full stop.
        remedies: The remedies. The remedy of the status is appended to the sentence.
    """
    return _error(_kind(status, headers), status, headers, sentence, remedies)


def error_of_token_request(status: int, headers: Mapping[str, str], sentence: str, remedies: Remedies) -> HttpError:
    """Return the error of a token request: an error of the issuer or its load, else an ``UnauthenticatedError``.

    The issuer's response shows nothing about the objects that the token gives access to. They must not look missing,
    forbidden or unreadable because of this response.
    """
    kind = _kind(status, headers)
    if kind is InternalServerError:
        kind = GatewayError
    elif kind not in (RateLimitedError, GatewayError):
        kind = UnauthenticatedError
    return _error(kind, status, headers, sentence, remedies)


def _kind(status: int, headers: Mapping[str, str]) -> type[HttpError]:
    match status:
        case 401 | 407:
            return UnauthenticatedError
        case 403:
            return ForbiddenError
        case 404:
            return NotFoundError
        case 429:
            return RateLimitedError
        case 503 if "Retry-After" in headers:
            return RateLimitedError
        case 408 | 502 | 503 | 504:
            return GatewayError
        case _ if status >= 500:
            return InternalServerError
        case _ if 300 <= status < 400:
            return InvalidResponseError
        case _:
            return RequestRejectedError


def _error(
    kind: type[HttpError], status: int, headers: Mapping[str, str], sentence: str, remedies: Remedies
) -> HttpError:
    remedy = remedies.get(status, "" if status in (408, 429) else remedies.get(status // 100 * 100, ""))
    if 300 <= status < 400:
        remedy = f"{_NOT_FOLLOWED} {remedy}".strip()
    error = kind(f"{sentence}. {remedy}" if remedy else sentence)
    error.retry_after = retry_after(headers)
    return error
