"""``verifywise-mlflow history``."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionNumber
from verifywise_mlflow.cli.commands.diff import differences_as_json, lines
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, fail, out, table
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries import history as kept
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, VerdictState
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.repositories import lifecycle, waivers
from verifywise_mlflow.persistence.repositories.lifecycle import SeenEvent
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a sync saw or concluded of a version."""

    at: datetime
    sync_id: str
    what: str
    """``event``, ``record``, ``verdict``, ``badge`` or ``waiver``."""
    told: dict[str, object]
    """For programs."""
    text: Text
    """For people."""


@app.command()
def history(tenant: StoredTenantName, model: ModelName, version: VersionNumber, as_json: AsJson = False) -> None:
    """Print all that became of a version: its record, verdicts, badge and waivers, and its lifecycle events.

    It is taken from the store: nothing is read anew.
    """
    key = (model, version)
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        happenings = [
            *_of_events(lifecycle.events_of(session, model, version)),
            *_of_records(kept.states_of(session, key)),
            *_of_verdicts(kept.verdict_states_of(session, key)),
            *_of_badges(kept.badge_states_of(session, key)),
        ]
        granted = waivers.kept(session) if happenings else []
    happenings += _of_waivers(granted, key, {one.told["rule_id"] for one in happenings if one.what == "verdict"})
    if not happenings:
        fail(f"there is no record of {model!r} version {version} of the tenant {tenant!r}", 1, as_json)
    happenings.sort(key=lambda one: one.at)  # it keeps the order above among those of one sync
    if as_json:
        told = [{"at": one.at, "sync_id": one.sync_id, "what": one.what, **one.told} for one in happenings]
        answer = {"tenant": tenant, "model_name": model, "version_number": version, "history": told}
        sys.stdout.write(json.dumps(json_ready(answer)) + "\n")
        return
    out.print(Text(f"{escape_invisible(model)} version {version}", style="bold"))
    listed = table("seen (UTC)", "what", "how it changed", unbroken=("what",))
    for sync_id, at_once in groupby(happenings, key=lambda one: one.sync_id):
        listed.add_section()
        listed.add_row(
            "",
            "",
            Text(f"by sync {escape_invisible(sync_id)}" if sync_id else "by hand, or by an older release", "dim"),
        )
        for one in at_once:
            listed.add_row(display(one.at), one.what, one.text)
    out.print(listed)


def _of_events(events: Sequence[SeenEvent]) -> Iterator[Happening]:
    for seen in events:
        text = Text(escape_invisible(seen.event.sentence))
        yield Happening(seen.seen_at, seen.sync_id, "event", asdict(seen.event), text)


def _of_records(states: Sequence[RecordState]) -> Iterator[Happening]:
    for before, after in pairwise([None, *states]):
        assert after is not None  # only the first is none
        found = differences(before, after)
        told: dict[str, object] = {"differences": differences_as_json(found)}
        yield Happening(after.span.held_from, after.span.sync_id, "record", told, lines(found))


def _of_verdicts(states: Sequence[VerdictState]) -> Iterator[Happening]:
    for rule_id in sorted({state.rule_id for state in states}):
        before: VerdictState | None = None
        for state in (state for state in states if state.rule_id == rule_id):
            if before and before.span.held_until and before.span.held_until < state.span.held_from:
                yield _no_longer_asked(before)
                before = None
            told: dict[str, object] = {
                "rule_id": rule_id,
                "before": before.verdict if before else None,
                "after": state.verdict,
                "reason": state.reason,
                "policy_version": state.policy_version,
            }
            text = Text(f"{escape_invisible(rule_id)}: {before.verdict + ' → ' if before else ''}{state.verdict}\n  ")
            text.append(display(state.reason))
            yield Happening(state.span.held_from, state.span.sync_id, "verdict", told, text)
            before = state
        if before and before.span.held_until:
            yield _no_longer_asked(before)


def _no_longer_asked(last: VerdictState) -> Happening:
    assert last.span.held_until is not None  # it has ended
    told: dict[str, object] = {"rule_id": last.rule_id, "before": last.verdict, "after": None}
    text = Text(f"{escape_invisible(last.rule_id)}: {last.verdict} → no longer asked")
    return Happening(last.span.held_until, last.span.ended_by_sync_id or "", "verdict", told, text)


def _of_badges(states: Sequence[BadgeState]) -> Iterator[Happening]:
    before: str | None = None
    for state in states:
        told: dict[str, object] = {"before": before, "after": state.badge}
        text = Text(f"{before} → {state.badge}" if before else state.badge, style="bold")
        yield Happening(state.span.held_from, state.span.sync_id, "badge", told, text)
        before = state.badge


def _of_waivers(granted: Sequence[KeptWaiver], key: Key, judged: Collection[object]) -> Iterator[Happening]:
    """A waiver ends with its last day, whether or not a sync has noted that."""
    for one in granted:
        waiver = one.waiver
        if waiver.rule not in judged or not waiver.covers(waiver.rule, *key):
            continue
        about = (
            f"{escape_invisible(waiver.rule)} on {escape_invisible(waiver.model)}: {escape_invisible(waiver.sentence)}"
        )
        ends = [("granted", one.granted_at, one.sync_id)]
        if one.ended == "withdrawn" and one.ended_at:
            ends.append(("withdrawn", one.ended_at, ""))
        elif waiver.ends_at <= datetime.now(UTC):
            ends.append(("expired", waiver.ends_at, ""))
        for outcome, at, sync_id in ends:
            told = {"waiver_id": one.waiver_id, "outcome": outcome, **waiver.model_dump(mode="json")}
            yield Happening(at, sync_id, "waiver", told, Text(f"{outcome}: {about}"))
