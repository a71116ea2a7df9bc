"""The errors of requests to VerifyWise, in addition to those of every HTTP connection (``http/errors.py``)."""

from __future__ import annotations

from verifywise_mlflow.http.errors import HttpError


class OutcomeUnknownError(HttpError):
    """A request that writes was sent, and no response says whether it was executed.

    The cause is a time-out, a lost connection, or a gateway's 502, 503 or 504. List and match before sending the
    request again.
    """


class ConflictError(HttpError):
    """409: there is such an object already, by a unique key of the release."""


class RefusedError(HttpError):
    """400, 415 or 500 for a request that writes: the server did not accept its content.

    VerifyWise answers 500 to values that its database refuses, such as a text of more than 255 characters.
    """
