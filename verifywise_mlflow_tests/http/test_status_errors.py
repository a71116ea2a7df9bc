"""Each HTTP status leads to the same error for every server."""

from __future__ import annotations

import pytest

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
from verifywise_mlflow.http.status_errors import error_of_status, error_of_token_request

KINDS: dict[type[HttpError], tuple[int, ...]] = {
    InvalidResponseError: (300, 302, 307),
    RequestRejectedError: (201, 400, 405, 410, 422),
    UnauthenticatedError: (401, 407),
    ForbiddenError: (403,),
    NotFoundError: (404,),
    GatewayError: (408, 502, 503, 504),
    RateLimitedError: (429,),
    InternalServerError: (500, 501, 599),
}
CASES = [(status, kind) for kind, statuses in KINDS.items() for status in statuses]


@pytest.mark.parametrize(("status", "kind"), CASES)
def test_a_status_stands_for_one_error(status: int, kind: type[HttpError]) -> None:
    assert type(error_of_status(status, {}, "it responded", {})) is kind


@pytest.mark.parametrize(("status", "kind"), CASES)
def test_the_response_of_a_token_issuer_says_nothing_about_objects(status: int, kind: type[HttpError]) -> None:
    error = error_of_token_request(status, {}, "it responded", {})

    assert type(error) in (UnauthenticatedError, GatewayError, RateLimitedError)
    assert error.retryable is kind.retryable


@pytest.mark.parametrize("status", [429, 503])
def test_a_rate_limit_names_its_end(status: int) -> None:
    error = error_of_status(status, {"Retry-After": "7"}, "it responded", {})

    assert (type(error), error.retry_after) == (RateLimitedError, 7)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "it responded. Check auth."),
        (422, "it responded. Correct it."),
        (429, "it responded"),
        (500, "it responded"),
        (
            307,
            "it responded. This is a redirect. Redirects are not followed, since they would forward the credentials. "
            "Move.",
        ),
    ],
)
def test_the_message_ends_with_what_to_do(status: int, message: str) -> None:
    remedies = {401: "Check auth.", 400: "Correct it.", 300: "Move."}

    assert str(error_of_status(status, {}, "it responded", remedies)) == message
