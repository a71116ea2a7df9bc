"""Errors that only MLflow's REST API has; ``http/errors.py`` has all other errors."""

from __future__ import annotations

from verifywise_mlflow.http.errors import HttpError


class EndpointNotAllowedError(HttpError):
    """The endpoint is not on the allow-list of read-only endpoints. The request was not sent."""

    was_sent = False


class EndpointNotFoundError(HttpError):
    """404 or 405 without the error code of a missing object: the server, or a gateway before it, lacks the endpoint."""


class ArtifactStoreError(HttpError):
    """500 on an artifact endpoint: the server could not read its artifact store.

    MLflow sends this status if it lacks a library or a credential for the store; MLflow up to 3.1 also sends it for a
    missing file. A retry a second later gets the same response.
    """
