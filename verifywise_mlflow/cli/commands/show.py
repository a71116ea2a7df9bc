"""``verifywise-mlflow show``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionNumber, parse_time
from verifywise_mlflow.cli.display import display, display_origin, json_ready, waiver_as_json, with_published_keys
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP
from verifywise_mlflow.normalizer.unread_object import unread_objects_from_json
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, Validity, VerdictState
from verifywise_mlflow.persistence.repositories import waivers
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import StoredWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()

_ORDER = ("fail", "error", "not evidenced", "not read", "pass", "not applicable")
"""The order in which verdicts are printed: gaps first."""
_COLORS = {"pass": "green", "evidence complete": "green", "fail": "red", "error": "red", "failing": "red"}
_COLORS_OF_INCOMPLETE = {"pass": "", "evidence complete": "yellow"}
"""Nothing is green if the record could not be read completely, even if the badge is of an earlier state."""


@app.command()
def show(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionNumber,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Show the state at this time. 2026-03-03 means the start of that day in UTC.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the record of a version, the origin of each value, and its verdicts, now or at any time.

    Reads the database only.
    """
    at = as_of or datetime.now(UTC)
    key = (model, version)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        state = history.record_as_of(session, key, at)
        badge = history.badge_as_of(session, key, at)
        verdicts = history.verdicts_as_of(session, key, at)
        active_waivers = [
            stored_waiver
            for stored_waiver in waivers.waivers_in_force(session, at)
            if _covers_a_gap(stored_waiver, verdicts, key)
        ]
    if state is None:
        when = f" as of {at.astimezone(UTC).isoformat()}" if as_of else ""
        fail(f"there is no record of {model!r} version {version} of the tenant {tenant!r}{when}", 1, as_json)
    if as_json:
        document = {
            "tenant": tenant,
            "as_of": at,
            **with_published_keys(asdict(state)),
            "badge": badge and {**with_published_keys(asdict(badge)), "rule": VERSION_RULE},
            "verdicts": [with_published_keys(asdict(verdict)) for verdict in verdicts],
            "waivers": [waiver_as_json(stored_waiver) for stored_waiver in active_waivers],
        }
        sys.stdout.write(json.dumps(json_ready(document)) + "\n")
    else:
        _print_record(state, at)
        is_complete = not state.incomplete
        _print_verdicts(badge, verdicts, [stored.waiver for stored in active_waivers], is_complete=is_complete)
        out.print(
            Text(
                "For its history: "
                f"verifywise-mlflow history {shlex.quote(escape_invisible(tenant))} "
                f"{shlex.quote(escape_invisible(model))} {version}"
            )
        )


def _print_record(state: RecordState, at: datetime) -> None:
    out.print(Text(f"{escape_invisible(state.record.model_name)} version {state.record.version_number}", style="bold"))
    out.print(Text(f"as of {display(at)} UTC; this record is valid {_span(state.span)}"))
    if state.deleted_at:
        out.print(Text(f"gone from MLflow since {display(state.deleted_at)} UTC", style="red"))
    for title, fields in FIELDS_BY_GROUP.items():
        out.print()
        rows = table("field", "value", "from", title=f"[bold]{title}[/bold]")
        for field in fields:
            rows.add_row(field, display(getattr(state.record, field)), display_origin(state.origins.get(field)))
        out.print(rows)
    out.print()
    for unread in unread_objects_from_json(state.incomplete):
        for sentence in unread.sentences:
            out.print(Text("incomplete: ", style="yellow"), display(sentence), sep="")
    for finding in state.findings:
        out.print(Text("finding: ", style="yellow"), display(finding.get("sentence")), sep="")


def _print_verdicts(
    badge: BadgeState | None,
    verdicts: Sequence[VerdictState],
    active_waivers: Sequence[Waiver],
    *,
    is_complete: bool,
) -> None:
    colors = _COLORS if is_complete else {**_COLORS, **_COLORS_OF_INCOMPLETE}
    if badge is None:
        out.print("It was not evaluated yet.")
        return
    out.print(
        Text(badge.badge, style=colors.get(badge.badge, "yellow")), Text(f"badge valid {_span(badge.span)}"), sep=": "
    )
    out.print(Text(f"A version is {VERSION_RULE}", style="dim"))
    rows = table("rule", "verdict, since", "reason", unbroken=("rule", "verdict, since"))
    for verdict in sorted(
        verdicts, key=lambda verdict: _ORDER.index(verdict.verdict) if verdict.verdict in _ORDER else 0
    ):
        word = Text(verdict.verdict, style=colors.get(verdict.verdict, ""))
        why = display(verdict.reason)
        for waiver in active_waivers:
            if verdict.verdict in OPEN_VERDICTS and waiver.rule == verdict.rule_id:
                why.append("\nwaived: ", style="cyan").append(display(waiver.sentence))
        since = verdict.span.valid_from.astimezone(UTC)
        rows.add_row(display(verdict.rule_id), word.append(f"\n{since:%Y-%m-%d}", "dim"), why)
    out.print(rows)


def _covers_a_gap(stored_waiver: StoredWaiver, verdicts: Sequence[VerdictState], key: Key) -> bool:
    """Return whether a waiver covers a gap of the version."""
    gaps = [verdict.rule_id for verdict in verdicts if verdict.verdict in OPEN_VERDICTS]
    return any(stored_waiver.waiver.covers(rule_id, *key) for rule_id in gaps)


def _span(span: Validity) -> str:
    start = f"from {display(span.valid_from)} ({_sync(span.sync_id)})"
    if span.valid_to is None:
        return f"{start} until now"
    return f"{start} until {display(span.valid_to)} ({_sync(span.ended_by_sync_id)})"


def _sync(sync_id: str | None) -> str:
    return f"sync {escape_invisible(sync_id)}" if sync_id else "not by a sync"
