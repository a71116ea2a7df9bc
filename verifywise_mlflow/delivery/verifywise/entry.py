"""The inventory entry of a version.

The status of the entry is Pending. If the settings require it, the status of a failing version is Restricted. In
releases with the status Retired, the entry gets this status when MLflow no longer has the version. A delivery never
sets the status Approved: approval is a person's decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from verifywise_mlflow.delivery.verifywise.comparison import (
    DELETED_BY_HAND,
    change_steps,
    deletion_steps,
    field_changes,
    is_settled,
    the_only,
)
from verifywise_mlflow.delivery.verifywise.remote import FieldValue, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import Ledger, Note, Sent, Step, Write
from verifywise_mlflow.persistence.repositories.delivery_ledger import LedgerRow

ITEM: Final = "entry"
CREATE: Final = "create entry"
UPDATE: Final = "update entry"

EntryStatus = Literal["Pending", "Restricted", "Retired"]
"""The statuses that a delivery may write."""


def entry_steps(
    key: str, fields: Mapping[str, FieldValue], status: EntryStatus, ledger: Ledger, remote: RemoteState
) -> Iterator[Step]:
    """Yield the steps that make the inventory entry agree with the desired fields.

    Args:
        key: The version's key in VerifyWise.
        fields: The entry's fields without its status.
        status: The status to set, unless a person has set another status.
        ledger: What we last wrote about the version.
        remote: The server's objects.

    Raises:
        AmbiguousError: two entries have the version's key.
    """
    desired: dict[str, FieldValue] = {**fields, "status": status}
    row = ledger.get(ITEM)
    if row is None or row.remote_id is None:
        entry = the_only(remote.entries_with_key(key), f"inventory entries with the key {key}")
        if entry is None:
            yield _creation(key, desired)
            return
        # The entry was created by a request with an unknown outcome, or is in an earlier ledger. So fields that have
        # the desired values are ours.
        agreeing = {name: value for name, value in desired.items() if entry.fields.get(name) == value}
        row = LedgerRow(ITEM, str(entry.id), written=agreeing)
        yield Note(ITEM, agreeing, row.remote_id)
    yield from _changes(desired, row, remote)


def _creation(key: str, desired: Mapping[str, FieldValue]) -> Write:
    def send(client: VerifyWise, _entry_id: int) -> Sent:
        return Sent(str(client.create_inventory_entry(desired, key).id))

    return Write(CREATE, ITEM, dict(desired), send)


def status_steps(status: EntryStatus, row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps that change only the status of an entry whose version MLflow no longer has."""
    yield from _changes({"status": status}, row, remote)


def _changes(desired: Mapping[str, FieldValue], row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    if row.remote_id is None or row.remark == DELETED_BY_HAND or is_settled(desired, row):
        return
    entry_id = int(row.remote_id)
    entry = remote.current_entry(entry_id)
    if entry is None:
        yield from deletion_steps(UPDATE, row)
        return

    def update(client: VerifyWise, _entry_id: int, changed: Mapping[str, FieldValue]) -> None:
        client.update_inventory_entry(entry_id, changed)

    yield from change_steps(UPDATE, row, field_changes(desired, row, entry.fields), update)
