"""All steps of a version in their order: first the entry, to which everything else belongs, and last the evidence.

Evidence comes last because VerifyWise has the lowest limit for requests about files. So an entry with its risks does
not wait for a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from verifywise_mlflow.delivery.verifywise import entry
from verifywise_mlflow.delivery.verifywise.comparison import DELETED_BY_HAND, deletion_steps
from verifywise_mlflow.delivery.verifywise.custom_fields import custom_field_steps
from verifywise_mlflow.delivery.verifywise.desired_state import DesiredState
from verifywise_mlflow.delivery.verifywise.evidence import evidence_steps
from verifywise_mlflow.delivery.verifywise.metrics import metric_steps
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.risks import risk_steps
from verifywise_mlflow.delivery.verifywise.steps import DefineField, Ledger, Note, Step, Write


def record_steps(desired: DesiredState, ledger: Ledger, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps of the entry, its risks, its custom fields and its metrics.

    Raises:
        AmbiguousError: two remote objects match.
    """
    row = ledger.get(entry.ITEM)
    if desired.is_gone:
        if row is not None and remote.release.has_external_key:
            yield from entry.status_steps("Retired", row, remote)
        return
    for step in entry.entry_steps(desired.key, desired.entry, desired.status, ledger, remote):
        yield step
        if isinstance(step, Note) and step.remark == DELETED_BY_HAND:
            return
    entry_id = int(row.remote_id) if row and row.remote_id else None
    steps = chain(
        risk_steps(desired.key, desired.failing, desired.undecided, ledger, remote),
        custom_field_steps(desired.custom_fields, entry_id, ledger, remote),
        metric_steps(desired.key, desired.metrics, ledger, remote),
    )
    yield from _unless_deleted(steps, ledger, remote)


def file_steps(desired: DesiredState, ledger: Ledger, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps of the evidence.

    Raises:
        AmbiguousError: two remote objects match.
    """
    if desired.document is not None and not desired.is_gone:
        steps = evidence_steps(desired.key, desired.evidence_name, desired.document, ledger, remote)
        yield from _unless_deleted(steps, ledger, remote)


def retirement_steps(ledger: Ledger, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps that retire the entry of a deleted version. Another version has its name and number now."""
    row = ledger.get(entry.ITEM)
    if row is not None and row.written.get("status") != "Retired" and remote.release.has_external_key:
        yield from entry.status_steps("Retired", row, remote)


def _unless_deleted(steps: Iterator[Step], ledger: Ledger, remote: RemoteState) -> Iterator[Step]:
    """Yield the steps, unless a person has deleted the version's entry in VerifyWise.

    If the ledger already states the deletion, yield nothing. If not, yield the steps before the first write, then the
    steps that record the deletion.
    """
    row = ledger.get(entry.ITEM)
    if row is not None and row.remark == DELETED_BY_HAND:
        return
    for step in steps:
        is_write = isinstance(step, Write | DefineField)
        if is_write and row is not None and row.remote_id is not None and int(row.remote_id) not in remote.entries:
            yield from deletion_steps(entry.UPDATE, row)
            return
        yield step
