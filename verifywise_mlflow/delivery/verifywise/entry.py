"""The inventory entry of a version.

Its status is Pending at first. It is never set to Approved: that is a person's decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from verifywise_mlflow.delivery.verifywise.remote import FieldValue, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import (
    AmbiguousError,
    Ledger,
    LeftAlone,
    Note,
    Sent,
    Step,
    Write,
    field_changes,
    is_settled,
)
from verifywise_mlflow.persistence.repositories.delivery_ledger import LedgerRow

ITEM: Final = "entry"
CREATE: Final = "create entry"
UPDATE: Final = "update entry"
DELETED_REMARK: Final = "a person deleted the entry in VerifyWise"

EntryStatus = Literal["Pending", "Restricted", "Retired"]
"""The statuses that a delivery may write."""


def entry_steps(
    key: str, fields: Mapping[str, FieldValue], status: EntryStatus, ledger: Ledger, remote: RemoteState
) -> Iterator[Step]:
    """Yield what makes the inventory entry agree with what we want.

    Args:
        key: The version's key there.
        fields: The entry's fields without its status.
        status: The status that we want, if nobody has set another one.
        ledger: What we last wrote of the version.
        remote: What the server holds.

    Raises:
        AmbiguousError: two entries bear the version's key.
    """
    desired: dict[str, FieldValue] = {**fields, "status": status}
    row = ledger.get(ITEM)
    if row is None or row.remote_id is None:
        found = remote.entries_with_key(key)
        if len(found) > 1:
            ids = ", ".join(str(entry.id) for entry in found)
            raise AmbiguousError(f"the inventory entries {ids} bear the key {key}: delete all but one of them")
        if not found:
            yield _creation(key, desired)
            return
        # Created by a request with an unknown outcome, or known to an earlier ledger: what agrees is ours.
        (entry,) = found
        agreeing = {name: value for name, value in desired.items() if entry.fields.get(name) == value}
        row = LedgerRow(ITEM, str(entry.id), written=agreeing)
        yield Note(ITEM, agreeing, row.remote_id)
    if row.remark == DELETED_REMARK or is_settled(desired, row):
        return
    yield from _changes(desired, row, remote)


def _creation(key: str, desired: Mapping[str, FieldValue]) -> Write:
    def send(client: VerifyWise, _entry_id: int) -> Sent:
        return Sent(str(client.create_inventory_entry(desired, key).id))

    return Write(CREATE, ITEM, dict(desired), send)


def status_steps(status: EntryStatus, row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    """Yield what changes the status of an entry alone: its version is gone from MLflow."""
    if row.remote_id is not None and row.remark != DELETED_REMARK and not is_settled({"status": status}, row):
        yield from _changes({"status": status}, row, remote)


def _changes(desired: Mapping[str, FieldValue], row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    assert row.remote_id is not None  # the callers have checked it
    entry_id = int(row.remote_id)
    entry = remote.entries.get(entry_id)
    if entry is None:
        yield LeftAlone(UPDATE, "it was deleted there")
        yield Note(ITEM, row.written, row.remote_id, DELETED_REMARK)
        return
    changes = field_changes(desired, row, entry.fields)
    content = {**row.written, **changes.held, **changes.changed}
    if changes.left_alone:
        yield LeftAlone(UPDATE, f"changed by hand: {', '.join(changes.left_alone)}")
    if changes.changed:
        changed = changes.changed

        def send(client: VerifyWise, _entry_id: int) -> Sent:
            client.update_inventory_entry(entry_id, changed)
            return Sent()

        yield Write(UPDATE, ITEM, content, send, ", ".join(changed))
    elif changes.held or row.intended is not None:
        yield Note(ITEM, content, row.remote_id)
