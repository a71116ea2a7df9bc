"""The errors that VerifyWise's answers stand for, and which of our values its database refuses.

It validates little itself: a text that is too long or an unknown status is a 500, as is a failure of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from verifywise_mlflow.delivery.verifywise.errors import ConflictError, OutcomeUnknownError, RefusedError
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    GatewayError,
    HttpError,
    InternalServerError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RateLimitedError,
    RequestRejectedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.response import Response, retry_after

MAX_VARCHAR = 255
"""The characters of each column below."""
VARCHARS = frozenset(
    (
        *("provider", "model", "version", "reference_link", "biases", "limitations", "hosting_provider"),
        *("provider_model", "external_key", "type"),
        *("risk_name", "likelihood", "threshold"),
        *("evidence_name", "evidence_type"),
    )
)
_STATUSES = "Approved, Restricted, Pending or Blocked, in newer releases also Rejected or Retired"


def error_from_response(response: Response) -> HttpError:
    """Return the error that a status other than a success stands for."""
    error = _error(response, f"{response.target} was answered with {response.status}: {_quote(response)}")
    error.retry_after = retry_after(response.headers)
    if isinstance(error, RateLimitedError):
        error.retryable = False  # rate_pacing.py waits, and knows what must not take too long
    return error


def _error(response: Response, message: str) -> HttpError:
    match response.status:
        case 401 | 406:
            return UnauthenticatedError(
                f"{message}. VerifyWise does not accept our session: check the clocks and auth."
            )
        case 403:
            return ForbiddenError(f"{message}. The account needs the role Editor, and Admin to define custom fields.")
        case 404:
            return NotFoundError(message)
        case 407:
            return UnauthenticatedError(
                f"{message}. Check delivery.verifywise.proxy: it does not accept its credentials."
            )
        case 409:
            return ConflictError(message)
        case 429:
            return RateLimitedError(message)
        case 503 if "Retry-After" in response.headers:
            return RateLimitedError(message)
        case 502 | 503 | 504:
            return GatewayError(message)
        case status if status >= 500:
            return InternalServerError(message)
        case status if 300 <= status < 400:
            return InvalidResponseError(
                f"{response.target} was answered with a redirect. Redirects are not followed, since they would forward "
                "the credentials. Set delivery.verifywise.url to the final address."
            )
        case _:
            return RequestRejectedError(message)


def error_of_write(error: HttpError, content: Mapping[str, object]) -> HttpError:
    """Return the error of a request that writes: whether it was refused, or may have been executed.

    Args:
        error: What the HTTP client raised.
        content: What was sent, to name the values that a database refuses.
    """
    if not error.was_sent:
        return error
    if isinstance(error, RequestRejectedError | InternalServerError):
        return RefusedError(f"{error} {explain_refusal(content)}")
    if isinstance(error, GatewayError | UnreachableError | LimitExceededError):
        return OutcomeUnknownError(f"{error}. It may have been executed all the same")
    return error


def explain_refusal(content: Mapping[str, object]) -> str:
    """Return a sentence on the values that exceed a limit; if none does, on the limits that there are."""
    too_long = {
        name: len(value)
        for name, value in content.items()
        if name in VARCHARS and isinstance(value, str) and len(value) > MAX_VARCHAR
    }
    if too_long:
        found = ", ".join(f"{name} has {length} characters" for name, length in too_long.items())
        return f"{found}, and VerifyWise stores at most {MAX_VARCHAR}."
    limited = sorted(VARCHARS & content.keys())
    limits = []
    if limited:
        limits.append(f"at most {MAX_VARCHAR} characters in {', '.join(limited)}")
    if "provider" in content or "model" in content:
        limits.append(f"status {_STATUSES}")
    if "approver" in content or "owner" in content:
        limits.append("the id of a user as approver or owner")
    return f"VerifyWise's limits: {'; '.join(limits)}." if limits else "VerifyWise names no reason."


def _quote(response: Response) -> str:
    """Return what the server says, without its envelope, fit for a message."""
    if not response.is_json:
        return response.quote(response.body)
    try:
        fields = json.loads(response.body)
    except (ValueError, RecursionError):  # an error's body has at most 64 KiB
        return response.quote(response.body)
    if not isinstance(fields, dict):
        return response.quote(response.body)
    detail = fields.get("error") or fields.get("data") or fields.get("message") or ""
    return response.quote(detail if isinstance(detail, str) else json.dumps(detail))
