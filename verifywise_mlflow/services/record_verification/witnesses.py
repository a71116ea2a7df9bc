"""The values that a changed row may have had, according to other rows: candidates for ``field_search``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.pg_text_codec import dumps, escape, loads
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.repositories.audit_log import DamagedEntryError
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import RECORD_COLUMNS
from verifywise_mlflow.services.record_verification.field_search import Cells
from verifywise_mlflow.services.record_verification.forged_cells import json_or_none

MAX_WAIVER_ENTRIES = 1_000
"""The maximum number of the trail's entries about granted waivers that are read."""


def values_read_by_rules(stored: Cells, verdict_values: Iterable[str]) -> Cells:
    """Return the fields of a record as the verdicts on it read them: each verdict stores these values.

    Values that were too long are left out, since only a hash of them is stored.

    Args:
        stored: The record's content.
        verdict_values: The stored values of the verdicts, as JSON.
    """
    fields: dict[str, str | None] = {}
    for text in verdict_values:
        values = json_or_none(text)
        for path, value in values.items() if isinstance(values, dict) else ():
            name, _, member = path.partition(".")
            if name not in RECORD_COLUMNS or (isinstance(value, dict) and "$sha256" in value):
                continue
            if not member:
                fields[name] = _cell(name, value)
            elif RECORD_COLUMNS[name] is dumps and "." not in member:
                column = loads(fields.get(name) or stored[name] or "{}")
                if isinstance(column, dict):
                    others = {key: item for key, item in column.items() if key != member}
                    fields[name] = dumps(others if value is None else {**others, member: value})
    return fields


def granted_terms(session: TenantSession) -> Iterator[Cells]:
    """Yield the terms of the newest granted waivers, as the trail has them; no terms if an entry is damaged."""
    try:
        granted = audit_log.entries(session, kind="waiver granted", limit=MAX_WAIVER_ENTRIES)
    except (DamagedEntryError, ValueError):  # the verification of the trail reports it
        return
    for _, entry in granted:
        terms = entry.counts
        version = terms.get("version")
        yield {
            "rule_id": _text(terms.get("rule")),
            "model": _text(terms.get("model")),
            "version_number": None if version is None else str(version),
            "approver": _text(terms.get("approver")),
            "reason": _text(terms.get("reason")),
            "expires_on": _text(terms.get("expires")),
        }


def possible_event_cells(others: Sequence[Cells]) -> Iterator[Cells]:
    """Yield fields that an event may have had: fields of its version's events, each kind, and low incarnations."""
    for name in dict.fromkeys(name for other in others for name in other):
        for cell in dict.fromkeys(other.get(name) for other in others):
            yield {name: cell}
    versions = dict.fromkeys(other[name] for other in others for name in ("previous", "value") if other.get(name))
    for name in ("previous", "value"):
        yield from ({name: cell} for cell in versions)
    yield from ({"kind": kind.value} for kind in EventKind)
    yield from ({"kind": kind} for kind in ("changed", "added", "removed"))
    yield from ({"incarnation": str(number)} for number in range(1, 4))


def _cell(name: str, value: object) -> str | None:
    if value is None:
        return None
    return dumps(value) if RECORD_COLUMNS[name] is dumps else _text(value)


def _text(value: object) -> str | None:
    return None if value is None else escape(value) if isinstance(value, str) else json.dumps(value)
