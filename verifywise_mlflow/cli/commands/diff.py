"""``verifywise-mlflow diff``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, parse_time
from verifywise_mlflow.cli.display import display, display_origin, json_ready
from verifywise_mlflow.cli.failures import exit_on_errors, require_known_tenant
from verifywise_mlflow.cli.output import AsJson, out
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.history import Period, net_record_transitions
from verifywise_mlflow.persistence.queries.record_diff import Difference, differences
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@app.command()
def diff(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this registered model.")] = None,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Only this version.", min=1)] = None,
    since: Annotated[
        datetime,
        typer.Option(
            "--from",
            parser=parse_time,
            metavar="TIME",
            help="Start time. 2026-03-03 means the start of that day in UTC.",
        ),
    ] = ...,  # type: ignore[assignment]  # how typer marks a required option
    until: Annotated[
        datetime | None, typer.Option("--to", parser=parse_time, metavar="TIME", help="End time. The default is now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print how a tenant's records changed between two times, field by field.

    Reads the database only. The exit code is 0 with or without differences.
    """
    try:
        period = Period(since, until or datetime.now(UTC), model, version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from None
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        compared = (
            (after.key, differences(before, after)) for before, after in net_record_transitions(session, period)
        )
        changed = [(key, field_changes) for key, field_changes in compared if field_changes]
        if not changed:
            require_known_tenant(session, as_json)
    if as_json:
        versions = [
            {"model_name": name, "version_number": number, "differences": differences_as_json(field_changes)}
            for (name, number), field_changes in changed
        ]
        document = {"tenant": tenant, "from": period.since, "to": period.until, "versions": versions}
        sys.stdout.write(json.dumps(json_ready(document)) + "\n")
        return
    out.print(Text(f"from {display(period.since)} to {display(period.until)} UTC"))
    for (name, number), field_changes in changed:
        out.print(Text(f"{escape_invisible(name)} version {number}", style="bold"))
        out.print(difference_lines(field_changes, indent="  "))
    if not changed:
        out.print("No record changed.")


def differences_as_json(field_changes: Sequence[Difference]) -> list[dict[str, object]]:
    """Return differences as JSON values."""
    return [{"path": change.path, "before": change.before, "after": change.after} for change in field_changes]


def difference_lines(field_changes: Sequence[Difference], indent: str = "") -> Text:
    """Return differences as text, one per line."""
    return Text("\n").join(_line(change, indent) for change in field_changes)


def _line(change: Difference, indent: str) -> Text:
    if change.path == ("record",):
        return Text(f"{indent}{'first seen' if change.before is None else 'not recorded'}")
    before, after = (_display_value(change.path, value) for value in (change.before, change.after))
    return Text.assemble(indent, (escape_invisible(change.field), "cyan"), ": ", before, " → ", after)


def _display_value(path: Sequence[str], value: object) -> Text:
    if path[0] == "origins" and isinstance(value, Mapping):
        return display_origin(value)
    return display(value, 120)
