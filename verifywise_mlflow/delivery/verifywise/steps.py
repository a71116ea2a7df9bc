"""What a delivery may do for a version: a write, a note in the ledger, something that is left alone.

The functions that decide (``entry.py``, ``risks.py``, ``evidence.py``, ``custom_fields.py``, ``metrics.py``) yield
steps. ``deliver plan`` lists them and ``deliver run`` executes them, so both see the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from verifywise_mlflow.delivery.verifywise.remote import FieldValue, VerifyWise
from verifywise_mlflow.persistence.repositories.delivery_ledger import Content, LedgerRow

DEFINE: Final = "define custom field"

Ledger: TypeAlias = Mapping[str, LedgerRow]
"""What we last wrote of a version, by item."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of a request that writes."""

    remote_id: str | None = None
    """Of what it created; None for a change."""
    content: Content | None = None
    """What the server holds afterwards, if that was read back and is not what was intended."""
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes something there. The ledger gets what it contains before it is sent, and after it."""

    action: str
    """``create entry``, ``open risk``…: the kind, for counts."""
    item: str
    content: Content
    send: Callable[[VerifyWise, int], Sent]
    """Takes the id of the version's inventory entry, which an earlier step may have created; 0 before that."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A change of the ledger alone: what was found there is what we meant to write, or our part in it is over."""

    item: str
    content: Content
    remote_id: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class DefineField:
    """The creation of a custom field, which all entries share."""

    field_key: str
    label: str
    field_type: str


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Something that a person changed or deleted there."""

    action: str
    """What it would have been."""
    detail: str


class AmbiguousError(Exception):
    """Two remote objects match: a person has to decide which of them is ours. The message says where."""


Step: TypeAlias = Write | Note | DefineField | LeftAlone


def is_same(left: object, right: object) -> bool:
    """Return whether two values of a field mean the same: VerifyWise returns an empty text as null, or as it was."""
    if left in (None, "") and right in (None, ""):
        return True
    return left == right


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """What may be changed of an object's fields."""

    changed: dict[str, FieldValue]
    """To send."""
    held: dict[str, FieldValue]
    """Values that the server holds already, although we did not know that."""
    left_alone: tuple[str, ...]
    """Fields that hold something else than what we last wrote."""


def field_changes(desired: Mapping[str, FieldValue], row: LedgerRow, present: Mapping[str, object]) -> FieldChanges:
    """Compare what we want with what we last wrote and with what the server holds.

    A field may be changed if it holds what we last wrote, or what we tried to write with an unknown outcome, or nothing
    at all where we never wrote anything.
    """
    changed, held, left_alone = {}, {}, []
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
    return FieldChanges(changed, held, tuple(left_alone))


def is_settled(desired: Mapping[str, FieldValue], row: LedgerRow) -> bool:
    """Return whether what we want is what we last wrote, so that nothing must be read."""
    return row.intended is None and all(
        name in row.written and is_same(row.written[name], value) for name, value in desired.items()
    )
