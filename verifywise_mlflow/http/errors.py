"""What can go wrong between us and a customer's server: a small family, each saying what to do.

No message holds a credential or more than a short, escaped excerpt of what the server sent.
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Something about the server or its answer. `retryable` says whether a later attempt may succeed."""

    retryable = False
    code: str | None = None
    """MLflow's own word for what is wrong, ``RESOURCE_DOES_NOT_EXIST`` and its like, where the answer has one."""
    retry_after: float | None = None
    """Seconds for which the server asked not to be asked again."""


class UnreachableError(ConnectorError):
    """No connection, or no complete answer in time."""

    retryable = True


class CircuitOpenError(UnreachableError):
    """The server was not asked, since it had left several requests in a row without an answer."""


class ServerBusyError(ConnectorError):
    """The server was not asked, since as many requests of ours as it is to have at once did not end in time."""

    retryable = True


class UnusableSettingsError(ConnectorError):
    """A connection cannot be opened as described: a TLS file that is none, a secret that no header can carry."""


class RefusedAddressError(ConnectorError):
    """The server's address is one that this tenant may not be read from."""


class ProxyRefusedError(ConnectorError):
    """The tenant's proxy does not let us through. Whatever it says, it says nothing about the server's objects."""


class UnauthenticatedError(ConnectorError):
    """401: the credentials are missing or wrong."""


class ForbiddenError(ConnectorError):
    """403: not permitted. MLflow 3.17 answers so, too, for what does not exist."""


class NotFoundError(ConnectorError):
    """404 in MLflow's own words (``RESOURCE_DOES_NOT_EXIST``): the object is not there."""


class NoSuchRouteError(ConnectorError):
    """404 without MLflow's words: this server, or the proxy before it, does not know the call."""


class ThrottledError(ConnectorError):
    """429, or 503 with ``Retry-After``, and still so after the retries."""

    retryable = True


class GatewayError(ConnectorError):
    """502, 503 or 504, and still so after the retries: what stands before the server has no answer from it."""

    retryable = True


class ServerFaultError(ConnectorError):
    """500 and its like, and still so after the retries: the server tripped over this very question."""

    retryable = True


class ArtifactStoreError(ConnectorError):
    """500 on a call for artifacts: the server could not read its artifact store.

    That is MLflow's ordinary answer where a library or a credential for the store is missing, and up to 3.1 for a
    missing file, too. The same question a second later has the same answer.
    """


class RejectedError(ConnectorError):
    """400 and its like: the server did not accept the question."""


class ProtocolError(ConnectorError):
    """The answer is not what MLflow's API promises."""


class BoundExceededError(ConnectorError):
    """The answer is larger or longer than the settings allow. The message names the setting."""


class TooSlowError(BoundExceededError):
    """The answer was not complete in the time that the settings allow."""


class NotAReadCallError(ConnectorError):
    """A call that is not on the list of read calls. It was not sent."""
