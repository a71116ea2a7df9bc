"""``verifywise-mlflow events``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from verifywise_mlflow.cli.arguments import OptionalVersion, StoredTenantName, time_option
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.exports.json_documents.changes import EventRow, EventsDocument
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import lifecycle_events
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_known, resolve_version

app = typer.Typer()

_LIMIT: Final = 100


@app.command()
def events(
    tenant: StoredTenantName,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Only events of this registered model.")
    ] = None,
    version: OptionalVersion = None,
    kind: Annotated[EventKind | None, typer.Option(help="Only events of this kind.")] = None,
    since: Annotated[datetime | None, time_option("--since", "Recorded at or after this time:")] = None,
    until: Annotated[datetime | None, time_option("--until", "Recorded before this time:")] = None,
    limit: Annotated[
        int | None,
        typer.Option(help=f"Maximum number of entries, newest first; {_LIMIT} unless FILE.", min=1, max=1_000_000),
    ] = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the lifecycle events of a tenant's models and versions, newest last.

    Reads the database only.
    """
    check_output(output, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        number = resolve_version(session, model, version) if model is not None and version is not None else None
        entries = lifecycle_events.lifecycle_events_of(
            session,
            model,
            number,
            kind=kind,
            since=since,
            until=until,
            limit=limit or (_LIMIT if output is None else None),
        )
        if not entries:
            require_known(session, model)
    rows = (EventRow(**asdict(entry.event), seen_at=entry.seen_at, sync_id=entry.sync_id) for entry in entries)
    if output is not None:
        write_output(output, EventRow, rows)
        return
    if as_json:
        end = until or datetime.now(UTC)
        print_document(EventsDocument(tenant=tenant, since=since, until=end, events=tuple(rows)))
        return
    if since or until:
        limits = (("from", since), ("until", until))
        out.print("Recorded " + " ".join(f"{word} {utc_text(at)}" for word, at in limits if at), highlight=False)
    if entries:
        _print_events(entries)
    else:
        out.print("No such event is recorded.")


def _print_events(entries: Sequence[RecordedEvent]) -> None:
    times = ("happened (UTC)",) if any(entry.event.happened_at for entry in entries) else ()
    rows = table("seen (UTC)", "version", "event", *times)
    for entry in entries:
        event = entry.event
        version = display_name(" ".join(filter(None, (event.model_name, str(event.version_number or "")))))
        change = display(replace(event, happened_at=None).sentence)  # another column has the time
        rows.add_row(display(entry.seen_at), version, change, *(display(event.happened_at) for _ in times))
    out.print(rows)
