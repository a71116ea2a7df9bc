"""``verifywise-mlflow history``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.commands.diff import difference_lines, field_changes_as_json
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.changes import HistoryDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries import history as stored_history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, VerdictState
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.repositories import lifecycle_events, waivers
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change in the history of a version."""

    at: datetime
    sync_id: str
    kind: str
    """``event``, ``record``, ``verdict``, ``badge`` or ``waiver``."""
    document: dict[str, object]
    """The change as JSON values."""
    text: Text
    """The change as text for people."""


_SETTLED: Final = ("pass", "not applicable", None)
"""Verdicts that need nobody. A change from one of them to another is printed with ``--all`` only; null: no verdict."""


@app.command()
def history(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
    show_all: Annotated[bool, typer.Option("--all", help="Print the verdicts that pass or do not apply, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the history of a version: its record, verdicts, badge, waivers and lifecycle events.

    Verdicts that always passed or did not apply are left out, unless --all or --json is given. Reads the database only.
    """
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        key = (model, resolve_version(session, model, version))
        entries = [
            *_event_entries(lifecycle_events.lifecycle_events_of(session, *key)),
            *_record_entries(stored_history.record_states_of(session, key)),
            *_verdict_entries(stored_history.verdict_states_of(session, key)),
            *_badge_entries(stored_history.badge_states_of(session, key)),
        ]
        if not entries:
            require_recorded(session, key)
        granted = waivers.all_waivers(session)
    entries += _waiver_entries(
        granted, key, {entry.document["rule_id"] for entry in entries if entry.kind == "verdict"}
    )
    entries.sort(key=lambda entry: entry.at)  # stable: entries of the same time keep the order above
    if as_json:
        changes = [
            {"at": entry.at, "sync_id": entry.sync_id, "what": entry.kind, **entry.document} for entry in entries
        ]
        document = {"tenant": tenant, "model_name": model, "version_number": key[1], "history": changes}
        print_document(HistoryDocument.model_validate(document))
        return
    shown = entries if show_all else [entry for entry in entries if not _is_settled(entry)]
    out.print(Text(f"{escape_invisible(model)} version {key[1]}", style="bold"))
    rows = table("seen (UTC)", "what", "how it changed", unbroken=("what",))
    for sync_id, entries_of_sync in groupby(shown, key=lambda entry: entry.sync_id):
        rows.add_section()
        rows.add_row(
            "",
            "",
            Text(f"by sync {escape_invisible(sync_id)}" if sync_id else "by hand", "dim"),
        )
        for entry in entries_of_sync:
            rows.add_row(display(entry.at), entry.kind, entry.text)
    out.print(rows)
    if left_out := len(entries) - len(shown):
        out.print(f"{left_out:,} verdicts that pass or do not apply are left out: --all prints them", highlight=False)


def _is_settled(entry: HistoryEntry) -> bool:
    """Return whether the entry is a verdict that neither is nor was anything but settled."""
    document = entry.document
    return entry.kind == "verdict" and document["before"] in _SETTLED and document["after"] in _SETTLED


def _event_entries(events: Sequence[RecordedEvent]) -> Iterator[HistoryEntry]:
    for recorded in events:
        text = Text(escape_invisible(recorded.event.sentence))
        yield HistoryEntry(recorded.seen_at, recorded.sync_id, "event", asdict(recorded.event), text)


def _record_entries(states: Sequence[RecordState]) -> Iterator[HistoryEntry]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first state is None
        changes = differences(before, after)
        document: dict[str, object] = {"differences": field_changes_as_json(changes)}
        yield HistoryEntry(after.span.valid_from, after.span.sync_id, "record", document, difference_lines(changes))


def _verdict_entries(states: Sequence[VerdictState]) -> Iterator[HistoryEntry]:
    for rule_id in sorted({state.rule_id for state in states}):
        before: VerdictState | None = None
        for state in (state for state in states if state.rule_id == rule_id):
            if before and before.span.valid_to and before.span.valid_to < state.span.valid_from:
                yield _rule_retired(before)
                before = None
            document: dict[str, object] = {
                "rule_id": rule_id,
                "before": before.verdict if before else None,
                "after": state.verdict,
                "reason": state.reason,
                "policy_version": state.policy_version,
            }
            text = Text(f"{escape_invisible(rule_id)}: {before.verdict + ' → ' if before else ''}{state.verdict}\n  ")
            text.append(display(state.reason))
            yield HistoryEntry(state.span.valid_from, state.span.sync_id, "verdict", document, text)
            before = state
        if before and before.span.valid_to:
            yield _rule_retired(before)


def _rule_retired(last: VerdictState) -> HistoryEntry:
    assert last.span.valid_to is not None  # it has ended
    document: dict[str, object] = {"rule_id": last.rule_id, "before": last.verdict, "after": None}
    text = Text(f"{escape_invisible(last.rule_id)}: {last.verdict} → rule no longer evaluated")
    return HistoryEntry(last.span.valid_to, last.span.ended_by_sync_id or "", "verdict", document, text)


def _badge_entries(states: Sequence[BadgeState]) -> Iterator[HistoryEntry]:
    before: str | None = None
    for state in states:
        document: dict[str, object] = {"before": before, "after": state.badge}
        text = Text(f"{before} → {state.badge}" if before else state.badge, style="bold")
        yield HistoryEntry(state.span.valid_from, state.span.sync_id, "badge", document, text)
        before = state.badge


def _waiver_entries(
    granted: Sequence[StoredWaiver], key: Key, evaluated_rules: Collection[object]
) -> Iterator[HistoryEntry]:
    """Yield the start and end of each waiver. It expires with its last day, even before a sync records that."""
    for entry in granted:
        waiver = entry.waiver
        if waiver.rule not in evaluated_rules or not waiver.covers(waiver.rule, *key):
            continue
        about = (
            f"{escape_invisible(waiver.rule)} on {escape_invisible(waiver.model)}: {escape_invisible(waiver.sentence)}"
        )
        ends = [("granted", entry.granted_at, entry.sync_id)]
        if entry.end_reason not in (None, "expired") and entry.ended_at:
            ends.append((entry.end_reason, entry.ended_at, ""))
        elif waiver.ends_at <= datetime.now(UTC):
            ends.append(("expired", waiver.ends_at, ""))
        for outcome, at, sync_id in ends:
            document = {"waiver_id": entry.waiver_id, "outcome": outcome, **waiver.model_dump(mode="json")}
            yield HistoryEntry(at, sync_id, "waiver", document, Text(f"{outcome}: {about}"))
