"""The errors of requests to VerifyWise, in addition to the errors of all HTTP connections (``http/errors.py``)."""

from __future__ import annotations

from verifywise_mlflow.http.errors import HttpError


class OutcomeUnknownError(HttpError):
    """A request that writes was sent, but no response states whether it was executed.

    The cause is a time-out, a lost connection, or a gateway's 502, 503 or 504. Before the request is sent again,
    objects must be listed and matched.
    """


class ConflictError(HttpError):
    """409: an object with the same unique key exists already."""


class RefusedError(HttpError):
    """400, 415 or 500 for a request that writes: the server did not accept its content.

    VerifyWise answers 500 to values that its database refuses, such as a text of more than 255 characters.
    """
