"""Each former verdict has its row and times in the history, even if many verdicts on a version change at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.repositories import verdict_bulk_writer
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import (
    OPEN_VERDICTS,
    VERDICTS_PER_STATEMENT,
    VerdictRow,
    VersionVerdicts,
)
from verifywise_mlflow.persistence.state_contents import STORED_VERDICT_COLUMNS, VERDICT_ARRAYS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.record_inputs_factory import inputs
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

RULES = [f"rule-{number:02}" for number in range(12)]
P, F, N, A = Verdict.PASS, Verdict.FAIL, Verdict.NOT_READ, Verdict.NOT_APPLICABLE

EVALUATIONS: tuple[tuple[str, int, dict[str, Verdict]], ...] = (
    ("the first", 1, dict.fromkeys(RULES, P)),
    ("one differs", 2, {**dict.fromkeys(RULES, P), RULES[3]: F}),
    ("two differ, one stays open", 3, {**dict.fromkeys(RULES, P), RULES[3]: N, RULES[4]: F}),
    ("nothing differs", 4, {**dict.fromkeys(RULES, P), RULES[3]: N, RULES[4]: F}),
    ("most differ", 5, {**dict.fromkeys(RULES, F), RULES[0]: P}),
    ("all differ", 6, {**dict.fromkeys(RULES, N), RULES[11]: P}),
    ("in another order", 7, {**dict.fromkeys(reversed(RULES), N), RULES[11]: F}),
    ("the clock went back", 2, {**dict.fromkeys(reversed(RULES), N), RULES[11]: F, RULES[5]: F}),
    ("other rules", 8, {**dict.fromkeys(RULES[2:], N), RULES[11]: F, RULES[5]: F, "new": F}),
    ("all differ, and one is gone", 9, dict.fromkeys(RULES[2:], A)),
)


@dataclass(frozen=True)
class State:
    """A verdict while it was unchanged."""

    rule_id: str
    verdict: str
    valid_from: datetime
    open_since: datetime | None
    valid_to: datetime | None = None
    ended_by_sync_id: str | None = None


def expected_states() -> set[State]:
    """Return all states that a writer makes if it writes one verdict after the other."""
    current: dict[str, State] = {}
    ended: set[State] = set()

    def end(former: State, now: datetime) -> datetime:
        end = max(former.valid_from, now)
        ended.add(State(former.rule_id, former.verdict, former.valid_from, former.open_since, end, sync_of(now)))
        return end

    for _, number, verdicts in EVALUATIONS:
        now = day(number)
        for gone in current.keys() - verdicts.keys():
            end(current.pop(gone), now)
        for rule_id, verdict in verdicts.items():
            former = current.get(rule_id)
            if former and former.verdict == verdict:
                continue
            start = end(former, now) if former else now
            open_since = former.open_since if former else None
            if verdict in OPEN_VERDICTS:
                open_since = open_since or start
            elif verdict != N:
                open_since = None
            current[rule_id] = State(rule_id, verdict, start, open_since)
    return {*current.values(), *ended}


def sync_of(now: datetime) -> str:
    return f"sync of day {now.day}"


def test_each_number_of_changed_verdicts_makes_the_same_history(store: Store) -> None:
    write_record(store, inputs(), day(1))
    for _, number, verdicts in EVALUATIONS:
        write_verdicts(store, verdicts, day(number))

    columns = "rule_id, verdict, valid_from, open_since, valid_to, ended_by_sync_id"
    with store.begin("acme") as session:
        rows = session.execute(text(f"SELECT {columns} FROM verifywise_mlflow.compliance_result_states")).all()
        narrow = session.execute(text("SELECT * FROM verifywise_mlflow.compliance_verdicts ORDER BY 1, 2, 3, 4")).all()
        wide = session.execute(
            text("""
                SELECT tenant_id, model_name, version_number, rule_id, verdict, evaluated_at, open_since
                FROM verifywise_mlflow.compliance_results ORDER BY 1, 2, 3, 4
            """)
        ).all()
    assert len(rows) == len(expected_states())
    assert {State(*row) for row in rows} == expected_states()
    assert narrow == wide


def test_a_stored_verdict_that_does_not_exist_is_refused(store: Store) -> None:
    for key, former in ((("fraud", 3), False), (("fraud", 4), True)):
        with store.begin("acme") as session:
            if former:
                given = VersionVerdicts()
                given.add(key, [verdict_row("other")])
                verdict_bulk_writer.upsert_verdicts(session, given, day(1), "sync")
            written = VersionVerdicts()
            written.add(key, [verdict_row("other", reason="Otherwise."), VerdictRow.stored("gone")])
            with pytest.raises(IntegrityError, match="the rule has no former verdict"):
                verdict_bulk_writer.upsert_verdicts(session, written, day(2), "sync")
            session.connection.get_transaction().rollback()  # type: ignore[union-attr]  # a session has one


def test_the_only_cell_of_a_column_may_be_empty(store: Store) -> None:
    for number in (1, 2, 3):
        with store.begin("acme") as session:
            written = VersionVerdicts()
            written.add(
                ("fraud", 3), [verdict_row("rule", reason="")._replace(policy_version="", fingerprint=f"{number}")]
            )
            verdict_bulk_writer.upsert_verdicts(session, written, day(number), "sync")

    with store.begin("acme") as session:
        rows = session.execute(
            text("SELECT reason, policy_version, day, rule_version FROM verifywise_mlflow.compliance_result_states")
        ).all()
    assert [tuple(row) for row in rows] == [("", "", None, 1)] * 3


@pytest.mark.parametrize("column", sorted({*STORED_VERDICT_COLUMNS} - VERDICT_ARRAYS))
@pytest.mark.parametrize(
    "change", [r"split_part({column}, E'\x1e', 1)", r"{column} || E'\x1e' || split_part({column}, E'\x1e', 1)"]
)
def test_a_row_with_too_few_or_too_many_cells_is_refused(store: Store, column: str, change: str) -> None:
    with store.begin("acme") as session:
        written = VersionVerdicts()
        written.add(("fraud", 3), [verdict_row("one"), verdict_row("two")])
        verdict_bulk_writer.upsert_verdicts(session, written, day(1), "sync")
        with pytest.raises(IntegrityError, match="one_cell_per_rule"):
            session.connection.exec_driver_sql(
                f"UPDATE verifywise_mlflow.version_verdicts SET {column} = {change.format(column=column)}"
            )
        session.connection.get_transaction().rollback()  # type: ignore[union-attr]  # a session has one


def test_a_statement_has_a_limited_number_of_verdicts() -> None:
    written = VersionVerdicts()
    for number in range(5):
        written.add(("fraud", number), [verdict_row(f"rule-{rule}") for rule in range(VERDICTS_PER_STATEMENT // 2)])

    assert [len(statement["sizes"]) for statement in written.statements()] == [2, 2, 1]  # type: ignore[arg-type]


def verdict_row(rule_id: str, *, reason: str = "Because.") -> VerdictRow:
    return VerdictRow(rule_id, "1", "pass", reason, "{}", "policy", "1", "{}", "{}", "", "", "fingerprint " + reason)
