"""Redacts the messages of errors, which may quote a server's response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor


@contextmanager
def redacted_errors(redactor: EntityRedactor) -> Iterator[None]:
    """Redact the message of an ``HttpError`` that the block raises, since it gets into the audit trail and the logs."""
    try:
        yield
    except HttpError as error:
        error.args = tuple(redactor.message(str(part)) for part in error.args)
        raise
