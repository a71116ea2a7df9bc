"""``verifywise-mlflow events``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.arguments import TenantName, moment
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out
from verifywise_mlflow.persistence import lifecycle
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.lifecycle import EventKind, SeenEvent
from verifywise_mlflow.persistence.store import Store


@app.command()
def events(
    tenant: TenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Of this registered model alone.")] = None,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Of this version alone.", min=1)] = None,
    kind: Annotated[EventKind | None, typer.Option(help="Only events of this kind.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Seen then or later: 2026-03-03, in UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Seen before then: 2026-03-04T12:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Print what became of a tenant's models and versions, the newest last; taken from the store."""
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as connection:
        found = lifecycle.events_of(
            connection,
            tenant,
            model,
            version,
            kind=kind,
            since=since,
            until=until,
            limit=limit,
        )
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "events": [_as_json(one) for one in found]}) + "\n")
    elif found:
        _print_events(found)
    else:
        out.print("There is no such event.")


def _print_events(found: Sequence[SeenEvent]) -> None:
    table = Table("seen (UTC)", "model", "version", "event", "previous", "value", "happened (UTC)")
    for one in found:
        event = one.event
        table.add_row(
            _time(one.seen_at),
            escape(event.model_name),
            "" if event.version_number is None else str(event.version_number),
            escape(event.kind.value if event.alias is None else f"{event.kind} {event.alias}"),
            escape(event.previous or ""),
            escape(event.value or ""),
            _time(event.happened_at),
        )
    out.print(table)


def _time(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if time else ""


def _as_json(one: SeenEvent) -> dict[str, object]:
    told = {**asdict(one.event), "seen_at": one.seen_at, "sync_id": one.sync_id}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}
