"""Reads named objects with one request each, several at a time, and sorts them into read, missing and failed ones."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from verifywise_mlflow.connector.read_ahead import read_each
from verifywise_mlflow.http.errors import (
    DeadlineExceededError,
    ForbiddenError,
    HttpError,
    InternalServerError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure

K = TypeVar("K", str, tuple[str, int])
T = TypeVar("T")

MAX_POINT_READS: Final = 400
"""The maximum number of versions that a targeted sync reads. Reading more takes longer than a listing."""

_OF_ONE_OBJECT: Final = (InternalServerError, InvalidResponseError, LimitExceededError, RequestRejectedError)
"""Errors that concern one object: the server failed on it, or its response cannot be used."""


@dataclass(slots=True)
class PointReads(Generic[K, T]):
    """The results of reading named objects."""

    found: dict[K, T] = field(default_factory=dict)
    missing: list[K] = field(default_factory=list)
    """Objects that the server does not show: they do not exist, or the account may not read them."""
    failed: dict[K, str] = field(default_factory=dict)
    """Objects on which the server failed, each with the reason."""
    error: HttpError | None = None
    """Why the remaining objects were not read."""

    def add(self, other: PointReads[K, T]) -> None:
        """Add the results of further reads."""
        self.found |= other.found
        self.missing += other.missing
        self.failed |= other.failed
        self.error = self.error or other.error

    def report(self, progress: Progress, object_kind: str, name: Callable[[K], str]) -> None:
        """Add the objects that were not read to the progress of a stage.

        Raises:
            HttpError: the server did not respond, so the sync has failed.
        """
        if self.missing:
            progress.notes.append(
                Note(
                    f"{len(self.missing):,} named {object_kind}s were not found and are left to the next listing: "
                    f"{name(self.missing[0])}{' and others' if len(self.missing) > 1 else ''}",
                    NoteKind.INFO,
                )
            )
        progress.read_failures += [ReadFailure(object_kind, name(key), reason) for key, reason in self.failed.items()]
        progress.incomplete += len(self.failed)
        if isinstance(self.error, DeadlineExceededError):
            progress.notes.append(Note(f"not every named {object_kind} was read: {self.error}"))
            progress.is_cut_short = True
        elif self.error:
            raise self.error


def read_named(keys: Collection[K], read: Callable[[K], T], identify: Callable[[T], K], ahead: int) -> PointReads[K, T]:
    """Read each object, and check that the server returned the requested object.

    Args:
        keys: the objects, in the order in which they are requested.
        read: reads one object.
        identify: returns the key of an object that was read.
        ahead: the maximum number of objects that are requested at the same time.

    Raises:
        UnauthenticatedError: the server refuses the credentials.
    """
    reads: PointReads[K, T] = PointReads()
    for key, result in read_each(keys, read, ahead):
        if not isinstance(result, HttpError):
            if identify(result) == key:
                reads.found[key] = result
            else:  # a database that ignores case finds an object by another spelling of its name
                reads.failed[key] = "the server returned another object"
        elif isinstance(result, NotFoundError | ForbiddenError):
            reads.missing.append(key)
        elif isinstance(result, _OF_ONE_OBJECT):
            reads.failed[key] = str(result)
        else:
            reads.error = result
            break
    return reads
