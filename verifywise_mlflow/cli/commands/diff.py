"""``verifywise-mlflow diff``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, moment
from verifywise_mlflow.cli.commands.show import origin
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out, refuse_unknown
from verifywise_mlflow.common.untrusted_text import display, escape_invisible, json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.history import Period, outcomes
from verifywise_mlflow.persistence.queries.record_diff import Difference, differences
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


@app.command()
def diff(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Of this registered model alone.")] = None,
    version: Annotated[int | None, typer.Argument(metavar="[VERSION]", help="Of this version alone.", min=1)] = None,
    since: Annotated[
        datetime,
        typer.Option("--from", parser=moment, metavar="TIME", help="2026-03-03 is that day's beginning, in UTC."),
    ] = ...,  # type: ignore[assignment]  # typer's word for an option that has to be given
    until: Annotated[
        datetime | None, typer.Option("--to", parser=moment, metavar="TIME", help="Now, if it is not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what differs between a tenant's records as they were at two times, field by field.

    It is taken from the store: nothing is read anew. Exit code 0, whether anything differs or not.
    """
    try:
        period = Period(since, until or datetime.now(UTC), model, version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from None
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        steps = ((after.key, differences(before, after)) for before, after in outcomes(session, period))
        changed = [(key, found) for key, found in steps if found]
        if not changed:
            refuse_unknown(session, as_json)
    if as_json:
        versions = [
            {"model_name": name, "version_number": number, "differences": differences_as_json(found)}
            for (name, number), found in changed
        ]
        told = {"tenant": tenant, "from": period.since, "to": period.until, "versions": versions}
        sys.stdout.write(json.dumps(json_ready(told)) + "\n")
        return
    out.print(Text(f"from {display(period.since)} to {display(period.until)} UTC"))
    for (name, number), found in changed:
        out.print(Text(f"{escape_invisible(name)} version {number}", style="bold"))
        out.print(lines(found, indent="  "))
    if not changed:
        out.print("No record differs.")


def differences_as_json(found: Sequence[Difference]) -> list[dict[str, object]]:
    """Return differences for programs."""
    return [{"path": one.path, "before": one.before, "after": one.after} for one in found]


def lines(found: Sequence[Difference], indent: str = "") -> Text:
    """Return differences for people: a line each."""
    return Text("\n").join(_line(one, indent) for one in found)


def _line(one: Difference, indent: str) -> Text:
    if one.path == ("record",):
        return Text(f"{indent}{'first seen' if one.before is None else 'not known'}")
    before, after = (_shown(one.path, value) for value in (one.before, one.after))
    return Text.assemble(indent, (escape_invisible(one.field), "cyan"), ": ", before, " → ", after)


def _shown(path: Sequence[str], value: object) -> Text:
    if path[0] == "origins" and isinstance(value, Mapping):
        return origin(value)
    return display(value, 120)
