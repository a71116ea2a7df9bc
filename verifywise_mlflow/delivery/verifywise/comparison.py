"""Compares the desired fields with the last written fields and with the fields in VerifyWise, and yields the steps.

``change_steps`` changes entries, risks, evidence and custom fields. If the value of a field differs from the value that
we last wrote, the field belongs to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from verifywise_mlflow.delivery.verifywise.remote import FieldValue, VerifyWise
from verifywise_mlflow.delivery.verifywise.steps import AmbiguousError, LeftAlone, Note, Sent, Step, Write
from verifywise_mlflow.persistence.repositories.delivery_ledger import Content, LedgerRow

DELETED_BY_HAND: Final = "a person deleted it in VerifyWise"
"""The remark of a ledger row that no step touches any more."""

Update: TypeAlias = Callable[[VerifyWise, int, Mapping[str, FieldValue]], None]
"""Sends changed fields. The number is the id of the version's inventory entry."""


class _RemoteObject(Protocol):
    @property
    def id(self) -> int:
        """The object's id in VerifyWise."""


T = TypeVar("T", bound=_RemoteObject)


def is_same(left: object, right: object) -> bool:
    """Return whether two values of a field mean the same. VerifyWise may return an empty text as null."""
    if left in (None, "") and right in (None, ""):
        return True
    return left == right


def is_settled(desired: Mapping[str, FieldValue], row: LedgerRow) -> bool:
    """Return whether the desired fields are the fields that we last wrote. If they are, nothing must be read."""
    return row.intended is None and all(
        name in row.written and is_same(row.written[name], value) for name, value in desired.items()
    )


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """The fields of an object that may be changed, and the fields that are left alone."""

    changed: dict[str, FieldValue]
    """The fields to send."""
    left_alone: tuple[str, ...]
    """Fields whose value differs from the value that we last wrote."""
    content: Content
    """The content that the ledger gets once the changes are sent."""
    is_news: bool
    """Whether the ledger needs this content even if nothing is sent. This is so if the server already has a value that
    the ledger lacks, or if the outcome of an earlier request is unknown."""


def field_changes(desired: Mapping[str, FieldValue], row: LedgerRow, present: Mapping[str, object]) -> FieldChanges:
    """Compare the desired fields with the fields that we last wrote and with the fields on the server.

    A field may be changed in three cases: it has the value that we last wrote; it has a value that we tried to write
    with an unknown outcome; or it is empty and we never wrote it.
    """
    changed: dict[str, FieldValue] = {}
    held: dict[str, FieldValue] = {}
    left_alone = []
    intended = row.intended or {}
    for name, value in desired.items():
        is_known = name in row.written and is_same(row.written[name], value)
        if is_known and name not in intended:
            continue
        there = present.get(name)
        if is_same(there, value):
            held[name] = value
        elif is_same(there, row.written.get(name)) or (name in intended and is_same(there, intended[name])):
            changed[name] = value
        else:
            left_alone.append(name)
    content = {**row.written, **held, **changed}
    return FieldChanges(changed, tuple(left_alone), content, bool(held) or row.intended is not None)


def change_steps(
    action: str,
    row: LedgerRow,
    changes: FieldChanges,
    update: Update,
    describe: Callable[[Sequence[str]], str] = ", ".join,
) -> Iterator[Step]:
    """Yield the steps that change an object.

    Args:
        action: The kind of change, for the counts.
        row: The ledger's row about the object.
        changes: The changes of the object.
        update: Sends the changes.
        describe: Returns a text about some fields, for plans and remarks.
    """
    if changes.left_alone:
        yield LeftAlone(action, f"changed by hand: {describe(changes.left_alone)}")
    if changes.changed:

        def send(client: VerifyWise, entry_id: int) -> Sent:
            update(client, entry_id, changes.changed)
            return Sent()

        yield Write(action, row.item, changes.content, send, describe(tuple(changes.changed)))
    elif changes.is_news:
        yield Note(row.item, changes.content, row.remote_id)


def deletion_steps(action: str, row: LedgerRow) -> Iterator[Step]:
    """Yield the steps that end the deliveries of an object that a person deleted. ``action`` is the intended change."""
    yield LeftAlone(action, "it was deleted there")
    yield Note(row.item, row.written, row.remote_id, DELETED_BY_HAND)


def the_only(found: Sequence[T], description: str) -> T | None:
    """Return the only object that has one of our marks; None if there is no such object.

    Args:
        found: The objects that have the mark.
        description: A description of these objects for the error message, such as ``risks that end with 'Reference:
            …'``.

    Raises:
        AmbiguousError: there are several such objects.
    """
    if len(found) > 1:
        ids = ", ".join(str(each.id) for each in found)
        raise AmbiguousError(f"there are {len(found)} {description} ({ids}): delete all but one of them")
    return found[0] if found else None
