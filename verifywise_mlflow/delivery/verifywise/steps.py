"""What a delivery may do for a version: a write, a note in the ledger, something that is left alone.

The functions that decide (``entry.py``, ``risks.py``, ``evidence.py``, ``custom_fields.py``, ``metrics.py``) yield
steps. ``deliver plan`` lists them and ``deliver run`` executes them, so both see the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from verifywise_mlflow.delivery.verifywise.remote import VerifyWise
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
