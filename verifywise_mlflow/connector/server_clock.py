"""Reads the version and the clock of an MLflow server with one request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import fetch_with_client
from verifywise_mlflow.http.settings import ConnectionSettings


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The version and the time that a server reports."""

    version: str
    """The version as the server reports it: untrusted text."""
    date: datetime | None
    """The time in the header Date, with a precision of one second; None if the header is missing."""


def read_server_clock(settings: ConnectionSettings) -> ServerClock:
    """Request the version of a server.

    Raises:
        HttpError: the server cannot be used.
        SecretUnavailableError: a credential cannot be resolved.
    """
    version, date = fetch_with_client(settings, lambda client: client.probe_text_and_date(MlflowEndpoint.VERSION))
    return ServerClock(version.strip()[:40], _parsed(date))


def _parsed(date: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date) if date else None
    except (ValueError, OverflowError):  # a year or an offset that is too large
        return None
    return moment if moment and moment.tzinfo else None
