"""The risks of a version: one risk for each rule that fails, or, with ``risks: open``, for each rule with a gap.

If the rule passes later, its risk is resolved. If the rule fails again, another risk is opened. A person's decision
stays: a risk that a person resolved, accepted or deleted is not changed, and no other risk is opened while the rule
still fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from verifywise_mlflow.delivery.verifywise.comparison import change_steps, field_changes, is_settled, the_only
from verifywise_mlflow.delivery.verifywise.remote import FieldValue, ModelRisk, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import Ledger, LeftAlone, Note, Sent, Step, Write
from verifywise_mlflow.persistence.repositories.delivery_ledger import Content, LedgerRow

PREFIX: Final = "risk/"
OPEN: Final = "open risk"
UPDATE: Final = "update risk"
RESOLVE: Final = "resolve risk"
_UNDECIDED: Final = ("Open", "In Progress")
_RESOLVED: Final = "Resolved"
_CLOSED: Final = "closed"
_OCCURRENCE: Final = "occurrence"


@dataclass(frozen=True, slots=True)
class DesiredRisk:
    """The risk of a rule that fails."""

    fields: Mapping[str, FieldValue]
    """risk_name, risk_level, description and mitigation_plan. They follow from the verdict."""
    target_date: date
    """Set when the risk is opened. Only people change it later."""


def risk_steps(
    key: str,
    failing: Mapping[str, DesiredRisk],
    undecided: frozenset[str],
    ledger: Ledger,
    remote: RemoteState,
) -> Iterator[Step]:
    """Yield the steps that make the risks agree with the verdicts.

    Args:
        key: The version's key in VerifyWise.
        failing: The risk of each rule that fails.
        undecided: The rules whose verdict is neither a failure nor a pass. The risks of these rules stay as they are.
        ledger: What we last wrote about the version.
        remote: The server's objects.

    Raises:
        AmbiguousError: two risks have the same reference.
    """
    for rule_id, risk in failing.items():
        row = ledger.get(PREFIX + rule_id) or LedgerRow(PREFIX + rule_id)
        yield from _failing_steps(f"{key}/{rule_id}", risk, row, remote)
    for item, row in ledger.items():
        rule_id = item.removeprefix(PREFIX)
        if item.startswith(PREFIX) and rule_id not in failing and rule_id not in undecided:
            yield from _passing_steps(row, remote)


def _failing_steps(key: str, risk: DesiredRisk, row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    if row.intended is not None and row.intended.get(_CLOSED):
        present = _present(row, remote)
        if present is not None and present.fields.get("status") == _RESOLVED:  # our request resolved it
            row = LedgerRow(row.item, row.remote_id, row.intended)
    # An intention without written content is about the first risk of the rule. With closed content, it is about the
    # next risk.
    if not row.written or row.written.get(_CLOSED):
        occurrence = _occurrence(row) + 1
        reference = _reference(key, occurrence)
        if row.intended is not None:
            found = the_only(remote.risks_with_reference(reference), f"risks that end with {reference!r}")
            if found is not None:
                yield Note(row.item, {**row.intended, _CLOSED: False}, str(found.id))
                return
        yield _opening(risk, row, reference, occurrence)
        return
    fields = _with_reference(risk.fields, _reference(key, _occurrence(row)))
    if not is_settled(fields, row):
        yield from _changes(fields, row, remote)


def _changes(fields: Mapping[str, FieldValue], row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    rule_id = row.item.removeprefix(PREFIX)
    present = _present(row, remote)
    if present is None or present.is_deleted:
        yield LeftAlone(UPDATE, f"{rule_id}: it was deleted there")
        return
    if not _is_undecided(present):
        yield LeftAlone(UPDATE, f"{rule_id}: a person set it to {present.fields.get('status')}")
        return
    risk_id = present.id

    def update(client: VerifyWise, _entry_id: int, changed: Mapping[str, FieldValue]) -> None:
        client.update_risk(risk_id, changed)

    def describe(names: Sequence[str]) -> str:
        return f"{rule_id}: {', '.join(names)}"

    yield from change_steps(UPDATE, row, field_changes(fields, row, present.fields), update, describe)


def _passing_steps(row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    is_open = bool(row.written) and not row.written.get(_CLOSED)
    if not is_open and row.intended is None:
        return
    if row.intended is not None and not is_open:
        yield from _settle_unknown_opening(row, remote)
        return
    present = _present(row, remote)
    closed: Content = {**row.written, _CLOSED: True}
    if present is None or not _is_undecided(present):
        yield Note(row.item, closed, row.remote_id)  # a person has already decided
        return
    yield _resolution(row, present.id, closed)


def _settle_unknown_opening(row: LedgerRow, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps that end a risk whose rule passes now. The outcome of the request that opened it is unknown."""
    assert row.intended is not None  # the caller has checked it
    reference = str(row.intended.get("description") or "").rpartition("\n")[2]
    found = remote.risks_with_reference(reference) if reference else []
    content: Content = {**row.intended, _CLOSED: True}
    present = remote.current_risk(found[0].id) if len(found) == 1 else None
    if present is not None and _is_undecided(present):
        yield _resolution(row, present.id, content)
    else:
        yield Note(row.item, content)


def _opening(risk: DesiredRisk, row: LedgerRow, reference: str, occurrence: int) -> Write:
    fields = _with_reference(risk.fields, reference)
    sent: dict[str, FieldValue] = {
        **fields,
        "risk_category": "Compliance",
        "status": "Open",
        "owner": None,
        "target_date": risk.target_date.isoformat(),
    }

    def send(client: VerifyWise, entry_id: int) -> Sent:
        return Sent(str(client.create_risk(entry_id, sent).id))

    content: Content = {**sent, _OCCURRENCE: occurrence, _CLOSED: False}
    return Write(OPEN, row.item, content, send, row.item.removeprefix(PREFIX))


def _resolution(row: LedgerRow, risk_id: int, closed: Content) -> Write:
    def send(client: VerifyWise, _entry_id: int) -> Sent:
        client.update_risk(risk_id, {"status": _RESOLVED})
        return Sent(str(risk_id))

    return Write(RESOLVE, row.item, {**closed, "status": _RESOLVED}, send, row.item.removeprefix(PREFIX))


def _with_reference(fields: Mapping[str, FieldValue], reference: str) -> dict[str, FieldValue]:
    return {**fields, "description": f"{fields.get('description') or ''}\n{reference}"}


def _reference(key: str, occurrence: int) -> str:
    """Return the last line of a risk's description. The risk is found again by this line."""
    return f"Reference: {key}/{occurrence}"


def _present(row: LedgerRow, remote: RemoteState) -> ModelRisk | None:
    return remote.current_risk(int(row.remote_id)) if row.remote_id is not None else None


def _is_undecided(risk: ModelRisk) -> bool:
    """Return whether nobody has decided about a risk or deleted it."""
    return not risk.is_deleted and risk.fields.get("status") in _UNDECIDED


def _occurrence(row: LedgerRow) -> int:
    occurrence = row.written.get(_OCCURRENCE)
    return occurrence if isinstance(occurrence, int) else 0
