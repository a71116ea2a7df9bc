"""Maps VerifyWise's responses to errors, and finds which of our values its database refuses.

VerifyWise validates little. It responds with 500 to a text that is too long and to an unknown status, as it does for
its own failures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from verifywise_mlflow.delivery.verifywise.errors import ConflictError, OutcomeUnknownError, RefusedError
from verifywise_mlflow.delivery.verifywise.texts import MAX_FIELD_CHARACTERS
from verifywise_mlflow.http.errors import (
    GatewayError,
    HttpError,
    InternalServerError,
    LimitExceededError,
    RateLimitedError,
    RequestRejectedError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.status_errors import Remedies, error_of_status

_LIMITED_FIELDS = frozenset(
    (
        *("provider", "model", "version", "reference_link", "biases", "limitations", "hosting_provider"),
        *("provider_model", "external_key", "type"),
        *("risk_name", "likelihood", "threshold"),
        *("evidence_name", "evidence_type"),
    )
)
"""The fields to which ``MAX_FIELD_CHARACTERS`` applies."""
_STATUSES = "Approved, Restricted, Pending or Blocked, in newer releases also Rejected or Retired"
_REMEDIES: Remedies = {
    401: "VerifyWise does not accept our session: check the clocks and auth.",
    403: "The account needs the role Editor, and Admin to define custom fields.",
    407: "Check delivery.verifywise.proxy: it does not accept its credentials.",
    300: "Set delivery.verifywise.url to the final address.",
}


def error_from_response(response: Response) -> HttpError:
    """Return the error for the status of an unsuccessful response."""
    sentence = f"{response.target} responded with {response.status}: {_quote(response)}"
    if response.status == 406:
        return UnauthenticatedError(f"{sentence}. {_REMEDIES[401]}")
    if response.status == 409:
        return ConflictError(sentence)
    error = error_of_status(response.status, response.headers, sentence, _REMEDIES)
    if isinstance(error, RateLimitedError):
        error.retryable = False  # rate_pacing.py waits instead, and bounds the wait
    return error


def error_of_write(error: HttpError, content: Mapping[str, object]) -> HttpError:
    """Return the error of a request that writes. It states whether the request was refused or may have been executed.

    Args:
        error: What the HTTP client raised.
        content: The content that was sent. The error names the values that a database refuses.
    """
    if not error.was_sent:
        return error
    if isinstance(error, RequestRejectedError | InternalServerError):
        return RefusedError(f"{error}. {_explain(content)}")
    if isinstance(error, GatewayError | UnreachableError | LimitExceededError):
        return OutcomeUnknownError(f"{error}. It may have been executed all the same")
    return error


def _explain(content: Mapping[str, object]) -> str:
    """Return a sentence on the values that exceed a limit. If no value does, return a sentence on the limits."""
    too_long = {
        name: len(value)
        for name, value in content.items()
        if name in _LIMITED_FIELDS and isinstance(value, str) and len(value) > MAX_FIELD_CHARACTERS
    }
    if too_long:
        found = ", ".join(f"{name} has {length} characters" for name, length in too_long.items())
        return f"{found}, and VerifyWise stores at most {MAX_FIELD_CHARACTERS}."
    limited = sorted(_LIMITED_FIELDS & content.keys())
    limits = []
    if limited:
        limits.append(f"at most {MAX_FIELD_CHARACTERS} characters in {', '.join(limited)}")
    if "provider" in content or "model" in content:
        limits.append(f"status {_STATUSES}")
    if "approver" in content or "owner" in content:
        limits.append("the id of a user as approver or owner")
    return f"VerifyWise's limits: {'; '.join(limits)}." if limits else "VerifyWise names no reason."


def _quote(response: Response) -> str:
    """Return the server's text without the JSON around it, shortened for a message."""
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
