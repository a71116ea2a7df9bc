"""The trail in the database is one chain under concurrent writers, and any damage to it is reported."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.tampering import Damage
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.queries.version_trail import last_recorded_at
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.trail_entries import NOW, append, entry

ANY_TEXT = st.text(st.characters(), max_size=20)  # includes lone surrogates and NUL: MLflow returns both


def verified(store: Store) -> TrailReport:
    with store.begin("acme") as session:
        stored = audit_log.checkpoints(session)
        return verify_chain("acme", audit_log.links(session), stored, keys=[KEY.public], is_expected=True)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds_and_reasons=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=5))
def test_entries_with_any_text_are_read_back_and_the_chain_stays_valid(
    store: Store, kinds_and_reasons: list[tuple[str, str]]
) -> None:
    entries = [entry(number, reason, name) for number, (reason, name) in enumerate(kinds_and_reasons)]

    append(store, *entries)

    with store.begin("acme") as session:
        assert [stored_entry for _, stored_entry in audit_log.entries(session, limit=len(entries))] == entries[::-1]
        stored_kinds = session.scalars(text("SELECT kind FROM verifywise_mlflow.audit_entries ORDER BY sequence")).all()
    report = verified(store)
    assert (report.damage, report.entries) == (None, len(stored_kinds))


WRITER = """
import sys
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.trail_entries import append, entry
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(0, 120, 3):
    append(store, *(entry(number + one, reason=sys.argv[2]) for one in range(3)))
store.close()
"""


def test_two_processes_that_append_concurrently_leave_one_valid_chain(store: Store, database_url: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "other")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=120) and writer.returncode for writer in writers] == [0, 0]

    report = verified(store)

    assert (report.damage, report.entries) == (None, 240)
    with store.begin("acme") as session:
        names = [entry.reason for _, entry in audit_log.entries(session, limit=240)]
    assert names.count("one") == names.count("other") == 120
    assert len({tuple(names[start : start + 3]) for start in range(0, 240, 3)}) == 2, "each three stand together"


@pytest.mark.parametrize(
    ("statement", "kind", "sequence"),
    [
        ("UPDATE verifywise_mlflow.audit_trail SET entry = replace(entry, 'why', 'who') WHERE sequence = 4", "edit", 4),
        ("UPDATE verifywise_mlflow.audit_trail SET entry_hash = 'x' WHERE sequence = 4", "edit", 4),
        ("UPDATE verifywise_mlflow.audit_trail SET entry = '[]', entry_hash = encode(sha256('[]'), 'hex') "
         "WHERE sequence = 4", "edit", 4),
        ("DELETE FROM verifywise_mlflow.audit_trail WHERE sequence BETWEEN 4 AND 5", "gap", 4),
        ("UPDATE verifywise_mlflow.audit_trail AS t SET entry = o.entry, entry_hash = o.entry_hash "
         "FROM verifywise_mlflow.audit_trail AS o WHERE (t.sequence, o.sequence) IN ((4, 6), (6, 4))", "reorder", 4),
        ("DELETE FROM verifywise_mlflow.audit_trail WHERE sequence > 7", "truncation", 8),
        ("DELETE FROM verifywise_mlflow.audit_trail", "truncation", 1),
        ("UPDATE verifywise_mlflow.audit_checkpoints SET signature = repeat('00', 64)", "forged checkpoint", 9),
    ],
)  # fmt: skip
def test_tampering_with_disabled_triggers_is_detected(store: Store, statement: str, kind: str, sequence: int) -> None:
    append(store, *(entry(number, "why") for number in range(9)))
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)
    assert (verified(store).damage, verified(store).vouched) == (None, 9)

    with store.begin("acme") as session:
        for table in ("audit_trail", "audit_checkpoints"):
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER append_only"))
        session.execute(text(statement))

    damage = verified(store).damage
    assert isinstance(damage, Damage)
    assert (damage.kind, damage.sequence) == (kind, sequence)


def test_a_last_entry_without_a_readable_time_is_reported_as_damaged(store: Store) -> None:
    append(store, entry(1))
    with store.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER append_only"))
        session.execute(text("""UPDATE verifywise_mlflow.audit_trail SET entry = '{"occurred_at":"never"}'"""))

    with pytest.raises(DatabaseError, match="not as it was written"), store.begin("acme") as session:
        last_recorded_at(session)


def test_a_checkpoint_is_append_only_like_an_entry(store: Store) -> None:
    append(store, entry(1))
    with store.begin("acme") as session:
        checkpoint = sign_chain_head(session, KEY, NOW)
    with store.begin("nobody") as session:
        assert sign_chain_head(session, KEY, NOW) is None

    assert checkpoint
    for statement in (
        "DELETE FROM verifywise_mlflow.audit_checkpoints",
        "TRUNCATE verifywise_mlflow.audit_checkpoints",
    ):
        with pytest.raises(Exception, match="append-only"), store.begin("acme") as session:
            session.execute(text(statement))
    with store.begin("acme") as session:
        links, stored = audit_log.links(session), audit_log.checkpoints(session)
        assert list(export_lines(links, stored))[-1] == checkpoint.to_json_line()
