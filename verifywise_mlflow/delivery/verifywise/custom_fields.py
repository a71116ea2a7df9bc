"""The custom fields of an inventory entry, in releases with custom fields. They show the badge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.delivery.verifywise.comparison import change_steps, field_changes, is_settled
from verifywise_mlflow.delivery.verifywise.remote import FieldValue, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import DEFINE, DefineField, Ledger, LeftAlone, Step
from verifywise_mlflow.persistence.repositories.delivery_ledger import LedgerRow

PREFIX: Final = "custom_field/"
SET: Final = "set custom field"
_VALUE: Final = "value"
_DEFINER: Final = "Admin"
"""The role that may define custom fields. VerifyWise refuses other roles."""


@dataclass(frozen=True, slots=True)
class OwnField:
    """A custom field of ours."""

    key: str
    label: str
    field_type: str


BADGE: Final = OwnField("mlflow_badge", "MLflow badge", "text")
FAILED_RULES: Final = OwnField("mlflow_failed_rules", "MLflow failed rules", "text")
POLICY: Final = OwnField("mlflow_policy", "MLflow policy", "text")
JUDGED_AT: Final = OwnField("mlflow_judged_at", "MLflow judged at", "date")
DEPLOYMENT: Final = OwnField("mlflow_deployment", "MLflow deployment", "text")
OWN_FIELDS: Final = (BADGE, FAILED_RULES, POLICY, JUDGED_AT, DEPLOYMENT)


def custom_field_steps(
    values: Mapping[OwnField, FieldValue], entry_id: int | None, ledger: Ledger, remote: RemoteState
) -> Iterator[Step]:
    """Yield the steps that make the custom fields of an entry agree with the desired values.

    Args:
        values: The value of each field.
        entry_id: The id of the entry, if it exists already. Its values are read only if something must be written.
        ledger: What we last wrote about the version.
        remote: The server's objects.
    """
    rows = {field: ledger.get(PREFIX + field.key) or LedgerRow(PREFIX + field.key) for field in values}
    pending = [field for field, value in values.items() if not is_settled({_VALUE: value}, rows[field])]
    if not pending or not remote.release.has_custom_fields:
        return
    if entry_id is not None and entry_id not in remote.entries:
        return  # a person deleted the entry
    present = remote.client.custom_field_values(entry_id) if entry_id is not None else {}
    yield from _undefinable(remote)
    for field in pending:
        if field.key in remote.refused_fields:
            continue
        definition = remote.definitions.get(field.key)
        if definition is None:
            yield DefineField(field.key, field.label, field.field_type)
            if field.key in remote.refused_fields:
                continue
        elif definition.field_type != field.field_type:
            yield LeftAlone(SET, f"{field.key} has the type {definition.field_type}, not {field.field_type}")
            continue
        yield from _steps(field, values[field], rows[field], _text(field, present.get(field.key)), remote)


def _undefinable(remote: RemoteState) -> Iterator[Step]:
    """Yield, once per delivery, the missing fields that our account may not define."""
    missing = [field.key for field in OWN_FIELDS if field.key not in remote.definitions]
    if missing and remote.account.role != _DEFINER and not remote.refused_fields:
        remote.refused_fields |= dict.fromkeys(missing, "only an Admin may define it")
        yield LeftAlone(DEFINE, f"only an Admin may define {', '.join(missing)}")


def _steps(
    field: OwnField, value: FieldValue, row: LedgerRow, present: FieldValue, remote: RemoteState
) -> Iterator[Step]:
    def update(client: VerifyWise, entry_id: int, _changed: Mapping[str, FieldValue]) -> None:
        client.set_custom_field(remote.definitions[field.key].id, entry_id, value)

    changes = field_changes({_VALUE: value}, row, {_VALUE: present})
    yield from change_steps(SET, row, changes, update, lambda _names: field.key)


def _text(field: OwnField, value: FieldValue) -> FieldValue:
    """Return a value in the form in which we write it: VerifyWise may return a date with a time."""
    return value[:10] if field.field_type == "date" and isinstance(value, str) else value
