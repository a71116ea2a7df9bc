"""The steps of a delivery for a version: a write, a note in the ledger, or a change that is left out.

The functions that decide (``entry.py``, ``risks.py``, ``evidence.py``, ``custom_fields.py``, ``metrics.py``) yield
steps. ``deliver plan`` lists the steps and ``deliver run`` executes them, so both commands make the same decisions.
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
    """The id of the object, for the ledger. None if the ledger has the id already, or if the object has no id."""
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes. Its content is stored in the ledger before the request is sent and after it succeeded."""

    action: str
    """The kind of write, for the counts: ``create entry``, ``open risk``…"""
    item: str
    content: Content
    send: Callable[[VerifyWise, int], Sent]
    """Sends the request. It takes the id of the version's inventory entry, which an earlier step may have created; the
    id is 0 until then."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A change of the ledger alone. The server has the intended content already, or we no longer write the object."""

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
    """A change that is left out: a person changed or deleted the object, or our account may not make the change."""

    action: str
    """The change that would have been made."""
    detail: str


class AmbiguousError(Exception):
    """Two remote objects match: a person has to decide which of them is ours. The message states where they are."""


Step: TypeAlias = Write | Note | DefineField | LeftAlone
