"""``verifywise-mlflow show``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionNumber, moment
from verifywise_mlflow.cli.commands.waivers import waiver_as_json
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, fail, out, table
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.normalizer.record import FIELDS_BY_GROUP
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, Span, VerdictState
from verifywise_mlflow.persistence.repositories import waivers
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN
from verifywise_mlflow.persistence.repositories.waivers import KeptWaiver
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()

_ORDER = ("fail", "error", "not evidenced", "pass", "not applicable")
"""Of the verdicts: the gaps first."""
_COLOURS = {"pass": "green", "compliant": "green", "fail": "red", "error": "red", "non-compliant": "red"}


@app.command()
def show(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionNumber,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="As it was then: 2026-03-03 is that day's beginning, in UTC."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a version's record, where each value came from, and its verdicts; as of now or of any time.

    It is taken from the store: nothing is read anew.
    """
    at = as_of or datetime.now(UTC)
    key = (model, version)
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        state = history.record_as_of(session, key, at)
        badge = history.badge_as_of(session, key, at)
        verdicts = history.verdicts_as_of(session, key, at)
        waived = [one for one in waivers.holding(session, at) if _is_about(one, verdicts, key)]
    if state is None:
        when = f" as of {at.astimezone(UTC).isoformat()}" if as_of else ""
        fail(f"there is no record of {model!r} version {version} of the tenant {tenant!r}{when}", 1, as_json)
    if as_json:
        told = {
            "tenant": tenant,
            "as_of": at,
            **asdict(state),
            "badge": badge and asdict(badge),
            "verdicts": [asdict(verdict) for verdict in verdicts],
            "waivers": [waiver_as_json(one) for one in waived],
        }
        sys.stdout.write(json.dumps(json_ready(told)) + "\n")
    else:
        _print_record(state, at)
        _print_verdicts(badge, verdicts, [one.waiver for one in waived])
        out.print(
            Text(
                "What it was before, and when it changed: "
                f"verifywise-mlflow history {shlex.quote(escape_invisible(tenant))} {shlex.quote(escape_invisible(model))} {version}"
            )
        )


def _print_record(state: RecordState, at: datetime) -> None:
    out.print(Text(f"{escape_invisible(state.record.model_name)} version {state.record.version_number}", style="bold"))
    out.print(Text(f"as of {display(at)} UTC; this record held {_span(state.span)}"))
    if state.gone_at:
        out.print(Text(f"gone from MLflow since {display(state.gone_at)} UTC", style="red"))
    for title, fields in FIELDS_BY_GROUP.items():
        out.print()
        listed = table("field", "value", "from", title=f"[bold]{title}[/bold]")
        for field in fields:
            listed.add_row(field, display(getattr(state.record, field)), origin(state.origins.get(field)))
        out.print(listed)
    out.print()
    for sentence in state.incomplete:
        out.print(Text("incomplete: ", style="yellow"), display(sentence), sep="")
    for finding in state.findings:
        out.print(Text("finding: ", style="yellow"), display(finding.get("sentence")), sep="")


def _print_verdicts(badge: BadgeState | None, verdicts: Sequence[VerdictState], waived: Sequence[Waiver]) -> None:
    if badge is None:
        out.print("It had not been judged.")
        return
    out.print(
        Text(badge.badge, style=_COLOURS.get(badge.badge, "yellow")), Text(f"badge held {_span(badge.span)}"), sep=": "
    )
    listed = table("rule", "verdict, since", "reason", unbroken=("rule", "verdict, since"))
    for verdict in sorted(verdicts, key=lambda one: _ORDER.index(one.verdict) if one.verdict in _ORDER else 0):
        word = Text(verdict.verdict, style=_COLOURS.get(verdict.verdict, ""))
        why = display(verdict.reason)
        for waiver in waived:
            if verdict.verdict in OPEN and waiver.rule == verdict.rule_id:
                why.append("\nwaived: ", style="cyan").append(display(waiver.sentence))
        since = verdict.span.held_from.astimezone(UTC)
        listed.add_row(display(verdict.rule_id), word.append(f"\n{since:%Y-%m-%d}", "dim"), why)
    out.print(listed)


def _is_about(one: KeptWaiver, verdicts: Sequence[VerdictState], key: Key) -> bool:
    """Whether a waiver covers a gap of the version."""
    gaps = [verdict.rule_id for verdict in verdicts if verdict.verdict in OPEN]
    return any(one.waiver.covers(rule_id, *key) for rule_id in gaps)


def _span(span: Span) -> str:
    made = f"from {display(span.held_from)} ({_sync(span.sync_id)})"
    if span.held_until is None:
        return f"{made} until now"
    return f"{made} until {display(span.held_until)} ({_sync(span.ended_by_sync_id)})"


def _sync(sync_id: str | None) -> str:
    return f"sync {escape_invisible(sync_id)}" if sync_id else "by no sync"


def origin(told: Mapping[str, object] | None) -> Text:
    """Return where a value came from, and why from there: ``run tag owner: 'Risk Team'``."""
    if told is None:
        return Text("")
    text = f"{told.get('source')} {told.get('key')}"
    if told.get("raw") is not None:
        text += f": {told['raw']!r}"
    if told.get("rule") is not None:
        text += f" ({told['rule']})"
    return display(text)
