"""``verifywise-mlflow events``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import Limit, StoredTenantName, parse_time
from verifywise_mlflow.cli.display import display, json_ready
from verifywise_mlflow.cli.failures import exit_on_errors, require_known_tenant
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import lifecycle_events
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@app.command()
def events(
    tenant: StoredTenantName,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Only events of this registered model.")
    ] = None,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Only events of this version.", min=1)
    ] = None,
    kind: Annotated[EventKind | None, typer.Option(help="Only events of this kind.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Recorded at or after this time: 2026-03-03, in UTC."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Recorded before this time: 2026-03-04T12:00Z."),
    ] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Print the lifecycle events of a tenant's models and versions, newest last.

    Reads the database only.
    """
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        entries = lifecycle_events.lifecycle_events_of(
            session,
            model,
            version,
            kind=kind,
            since=since,
            until=until,
            limit=limit,
        )
        if not entries:
            require_known_tenant(session, as_json)
    if as_json:
        documents = [{**asdict(entry.event), "seen_at": entry.seen_at, "sync_id": entry.sync_id} for entry in entries]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "events": documents})) + "\n")
    elif entries:
        _print_events(entries)
    else:
        out.print("No such event is recorded.")


def _print_events(entries: Sequence[RecordedEvent]) -> None:
    rows = table("seen (UTC)", "model", "version", "event", "previous", "value", "happened (UTC)")
    for entry in entries:
        event = entry.event
        label = event.kind.value if event.alias is None else f"{event.kind.value} {event.alias}"
        rows.add_row(
            display(entry.seen_at),
            display(event.model_name),
            display(event.version_number),
            display(label),
            display(event.previous),
            display(event.value),
            display(event.happened_at),
        )
    out.print(rows)
