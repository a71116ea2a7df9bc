"""Names the rows that may be the cause of a differing root: rows that were changed with their leaves and hashes.

The log cannot show which of its states was changed. But other rows may contradict the changed row: the rows that a
record was made from, and the verdicts that read the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from verifywise_mlflow.audit.log_verification import LogDamage
from verifywise_mlflow.persistence.queries import state_rows
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import record_content
from verifywise_mlflow.services.record_verification.report import FieldChange, RecordDamage
from verifywise_mlflow.services.record_verification.version_check import RebuildRecords, VersionChecker

MAX_STATES: Final = 500
"""The maximum number of states in a part of the log that are examined."""
MAX_PARTS: Final = 5


def suspicious_rows(
    session: TenantSession, checker: VersionChecker, damages: Sequence[LogDamage]
) -> Iterator[RecordDamage]:
    """Yield the rows in the first differing parts of the log that contradict other rows.

    Args:
        session: The transaction.
        checker: A checker that evaluates each verdict again.
        damages: The damages that the verification of the log found.
    """
    keys: dict[Key, None] = {}
    for damage in [damage for damage in damages if damage.kind == "root"][:MAX_PARTS]:
        states = state_log.states(session, damage.first, damage.last + 1)
        keys |= {(state.model_name, state.version_number): None for _, state, _ in islice(states, MAX_STATES)}
    if not keys:
        return
    yield from (damage for damage in checker.check([*map(VersionRange.of, keys)]) if damage.kind == "does not follow")
    if checker.rebuild:
        yield from _contradicted_records(session, [*keys], checker.rebuild)


def _contradicted_records(
    session: TenantSession, keys: Sequence[Key], rebuild: RebuildRecords
) -> Iterator[RecordDamage]:
    built = rebuild(session, keys)
    for key, table, row in state_rows.record_rows(session, keys):
        if table != "canonical_records" or key not in built:
            continue
        stored = record_content(row)
        changes = [FieldChange(name, stored[name], cell) for name, cell in built[key].items() if cell != stored[name]]
        if changes:
            sentence = "built from the stored rows of MLflow now, the record is another one"
            at, sync_id = row["changed_at"], row["sync_id"]
            yield RecordDamage("does not follow", table, sentence, *key, "", at, sync_id, tuple(changes))
