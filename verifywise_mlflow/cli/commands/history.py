"""``verifywise-mlflow history``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.commands.diff import difference_lines, field_changes_as_json
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.changes import HistoryDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_rows import HistoryRow, history_rows
from verifywise_mlflow.services.version_history import (
    ChangedBadge,
    ChangedRecord,
    ChangedVerdict,
    ChangedWaiver,
    HistoryChange,
    SeenEvent,
    version_history,
)
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()

_SETTLED: Final = ("pass", "not applicable", None)
"""Verdicts that require no action. Changes among these verdicts are printed with ``--all`` only. None means that there
is no verdict."""


@app.command()
def history(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
    show_all: Annotated[bool, typer.Option("--all", help="Print the verdicts that pass or do not apply, too.")] = False,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the history of a version: its record, verdicts, badge, waivers and lifecycle events.

    Verdicts that always passed or did not apply are left out, unless --all, --output or --json is given. Reads the
    database only.
    """
    check_output(output, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        key = (model, resolve_version(session, model, version))
        changes = version_history(session, key, datetime.now(UTC))
        if not changes:
            require_recorded(session, key)
    if output is not None:
        write_output(output, HistoryRow, history_rows(changes))
        return
    if as_json:
        listed = [_as_json(change) for change in changes]
        document = {"tenant": tenant, "model_name": model, "version_number": key[1], "history": listed}
        print_document(HistoryDocument.model_validate(document))
        return
    shown = changes if show_all else [change for change in changes if not _is_settled(change)]
    out.print(Text(f"{escape_invisible(model)} version {key[1]}", style="bold"))
    rows = table("seen (UTC)", "what", "how it changed", unbroken=("what",))
    for sync_id, changes_of_sync in groupby(shown, key=lambda change: change.sync_id):
        rows.add_section()
        rows.add_row(
            "",
            "",
            Text(f"by sync {escape_invisible(sync_id)}" if sync_id else "by hand", "dim"),
        )
        for change in changes_of_sync:
            rows.add_row(display(change.at), change.KIND, _text(change))
    out.print(rows)
    if left_out := len(changes) - len(shown):
        out.print(f"{left_out:,} verdicts that pass or do not apply are left out: --all prints them", highlight=False)


def _is_settled(change: HistoryChange) -> bool:
    """Return whether a change leads from one settled verdict to another settled verdict."""
    return isinstance(change, ChangedVerdict) and change.before in _SETTLED and change.after in _SETTLED


def _as_json(change: HistoryChange) -> dict[str, object]:
    common = {"what": change.KIND, "at": change.at, "sync_id": change.sync_id}
    match change:
        case SeenEvent():
            return {**common, **asdict(change.event)}
        case ChangedRecord():
            return {**common, "differences": field_changes_as_json(change.differences)}
        case ChangedWaiver():
            stored = change.stored
            waiver = stored.waiver.model_dump(mode="json")
            return {**common, "waiver_id": stored.waiver_id, "outcome": change.outcome, **waiver}
        case _:
            return {**common, **asdict(change)}


def _text(change: HistoryChange) -> Text:
    match change:
        case SeenEvent():
            return Text(escape_invisible(change.event.sentence))
        case ChangedRecord():
            return difference_lines(change.differences)
        case ChangedBadge():
            return Text(f"{change.before} → {change.after}" if change.before else change.after, style="bold")
        case ChangedWaiver():
            waiver = change.stored.waiver
            rule, model, sentence = map(escape_invisible, (waiver.rule, waiver.model, waiver.sentence))
            return Text(f"{change.outcome}: {rule} on {model}: {sentence}")
        case ChangedVerdict():
            rule = escape_invisible(change.rule_id)
            if change.after is None:
                return Text(f"{rule}: {change.before} → rule no longer evaluated")
            text = Text(f"{rule}: {change.before + ' → ' if change.before else ''}{change.after}\n  ")
            return text.append(display(change.reason))
