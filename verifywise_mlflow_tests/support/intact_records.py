"""Verifies that no record differs from its leaf in the log of states, at the end of tests that write histories."""

from __future__ import annotations

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.record_verification.report import RecordDamage, RecordReport
from verifywise_mlflow.services.record_verification.verification import Scope, verify_records


def assert_intact(store: Store, tenant_id: str = "acme", *, judges: bool = True) -> RecordReport:
    """Fail if the verification of the records finds damage, or if it has nothing to compare; return its report."""
    report = verify_records(store, tenant_id, Scope(judges_all=judges))
    assert report.is_intact, "\n".join(f"{described(damage)}: {damage.sentence}" for damage in report.damages[:20])
    assert report.committed > 0
    assert report.checked.states == report.committed + report.not_committed
    return report


def described(damage: RecordDamage) -> str:
    """Return a description of a damage on one line: its kind, the table, the row and the fields."""
    names = [change.name for change in damage.fields]
    number = str(damage.version_number or "")
    return " ".join(filter(None, (damage.kind, damage.table, damage.model_name, number, damage.row, *names)))
