"""``verifywise-mlflow events``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import Limit, StoredTenantName, moment
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out, refuse_unknown, table
from verifywise_mlflow.common.untrusted_text import display, json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import lifecycle
from verifywise_mlflow.persistence.repositories.lifecycle import EventKind, SeenEvent
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@app.command()
def events(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Of this registered model alone.")] = None,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Of this version alone.", min=1)] = None,
    kind: Annotated[EventKind | None, typer.Option(help="Only events of this kind.")] = None,
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Seen then or later: 2026-03-03, in UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="Seen before then: 2026-03-04T12:00Z.")
    ] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Print what became of a tenant's models and versions, the newest last; taken from the store."""
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        found = lifecycle.events_of(
            session,
            model,
            version,
            kind=kind,
            since=since,
            until=until,
            limit=limit,
        )
        if not found:
            refuse_unknown(session, as_json)
    if as_json:
        told = [{**asdict(one.event), "seen_at": one.seen_at, "sync_id": one.sync_id} for one in found]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "events": told})) + "\n")
    elif found:
        _print_events(found)
    else:
        out.print("There is no such event.")


def _print_events(found: Sequence[SeenEvent]) -> None:
    listed = table("seen (UTC)", "model", "version", "event", "previous", "value", "happened (UTC)")
    for one in found:
        event = one.event
        told = event.kind.value if event.alias is None else f"{event.kind.value} {event.alias}"
        listed.add_row(
            display(one.seen_at),
            display(event.model_name),
            display(event.version_number),
            display(told),
            display(event.previous),
            display(event.value),
            display(event.happened_at),
        )
    out.print(listed)
