"""The errors of a request to a customer's server: a small family, whose messages name the remedy if there is one.

No message contains a credential, or more than a short, escaped excerpt of the server's response.
"""

from __future__ import annotations

from verifywise_mlflow.common.problems import shorten


class HttpError(Exception):
    """A request failed, or was not sent. ``retryable`` is true if a later attempt may succeed.

    Its message is at most ``MAX_SENTENCE_LENGTH`` characters long.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shorten(message))

    retryable = False
    code: str | None = None
    """The server's own error code where the response has one, such as MLflow's ``RESOURCE_DOES_NOT_EXIST``."""
    retry_after: float | None = None
    """Seconds to wait before the next request, if the server named them in ``Retry-After``."""
    was_sent = True
    """Whether a part of the request may have reached the server. If not, the server cannot have executed anything."""


class UnreachableError(HttpError):
    """No connection, or no complete response in time."""

    retryable = True


class CircuitOpenError(UnreachableError):
    """The request was not sent: several requests in a row had failed, so the circuit breaker is open."""

    was_sent = False


class DeadlineExceededError(CircuitOpenError):
    """The request was not sent, or its response was not read: the sync has reached its deadline."""

    was_sent = True


class ConcurrencyLimitError(HttpError):
    """The request was not sent: our other requests to this server held all request slots for too long."""

    retryable = True
    was_sent = False


class InvalidSettingsError(HttpError):
    """The connection cannot be opened as configured, such as with an unusable TLS file or a secret that no header can
    contain."""

    was_sent = False


class AddressNotAllowedError(HttpError):
    """The SSRF guard refused the server's address for this tenant."""

    was_sent = False

    def __init__(self, finding: str, remedy: str) -> None:
        """Compose the message of two sentences, each without its full stop: what was found, and what to do about it."""
        super().__init__(f"{finding}. {remedy}")
        self.finding = finding


class ProxyRefusedError(HttpError):
    """The tenant's proxy refused the request. The proxy's response shows nothing about objects on the server."""


class UnauthenticatedError(HttpError):
    """401: the credentials are missing or wrong."""


class ForbiddenError(HttpError):
    """403: not permitted. MLflow 3.17 also sends this for objects that do not exist."""


class NotFoundError(HttpError):
    """404: the object does not exist. For MLflow, only a 404 with MLflow's own error code counts."""


class RateLimitedError(HttpError):
    """The server's rate limit: 429, or 503 with ``Retry-After``, after all retries."""

    retryable = True


class GatewayError(HttpError):
    """408, 502, 503 or 504, after all retries: a gateway, or the server itself, no longer waits."""

    retryable = True


class InternalServerError(HttpError):
    """500 and other 5xx, after all retries: the server failed on this particular request."""

    retryable = True


class RequestRejectedError(HttpError):
    """400 and other 4xx: the server did not accept the request."""


class InvalidResponseError(HttpError):
    """The response does not have the form that the server's API promises."""


class LimitExceededError(HttpError):
    """The response is larger or takes longer than allowed. If a setting is the reason, the message names it."""


class ResponseTimeoutError(LimitExceededError):
    """The response was not complete within the time that the settings allow."""
