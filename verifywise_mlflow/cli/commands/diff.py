"""``verifywise-mlflow diff``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Final, cast

import typer
from pydantic import JsonValue
from rich.text import Text

from verifywise_mlflow.cli.arguments import OptionalVersion, StoredTenantName, time_option
from verifywise_mlflow.cli.display import display, display_origin
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, out
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.changes import (
    BadgeChange,
    DiffDocument,
    FieldChange,
    RuleChange,
    VersionDifference,
)
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.compliance_diff import (
    ComplianceChange,
    changes_within,
    net_compliance_changes,
)
from verifywise_mlflow.persistence.queries.history import Period, net_record_transitions
from verifywise_mlflow.persistence.queries.record_diff import Difference, differences
from verifywise_mlflow.persistence.queries.records_begin import records_begin
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_rows import ChangeRow, net_changes
from verifywise_mlflow.services.version_references import require_known, resolve_version

app = typer.Typer()

_LISTED_VERSIONS: Final = 10
"""The maximum number of versions for which the command ``history`` is suggested if changes were reversed."""

Change = tuple[Sequence[Difference], ComplianceChange | None]
"""The changes of a version's record, and of its verdicts."""


@app.command()
def diff(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this registered model.")] = None,
    version: OptionalVersion = None,
    since: Annotated[datetime, time_option("--from", "Start time:")] = ...,  # type: ignore[assignment]  # typer: required
    until: Annotated[datetime | None, time_option("--to", "End time, by default now:")] = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Print how a tenant's records, verdicts and badges changed between two times.

    Reads the database only. The exit code is 0 with or without differences.
    """
    check_output(output, as_json)
    end = until or datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        number = resolve_version(session, model, version) if model is not None and version is not None else None
        period = _period(since, end, model, number)
        if output is not None:
            require_known(session, model)
            write_output(output, ChangeRow, net_changes(session, period))
            return
        changes = _changes(session, period)
        begin = records_begin(session)
        reversed_changes: Mapping[Key, int] = {}
        if not changes:
            require_known(session, model)
            reversed_changes = changes_within(session, period)
    if as_json:
        versions = tuple(_version_difference(key, change) for key, change in changes.items())
        print_document(
            DiffDocument(tenant=tenant, since=period.since, until=period.until, records_begin=begin, versions=versions)
        )
        return
    out.print(Text(f"from {utc_text(period.since)} to {utc_text(period.until)}"))
    if begin and period.since < begin:
        out.print(Text(f"nothing was recorded before {utc_text(begin)}", style="yellow"))
    for (name, version_number), change in changes.items():
        out.print(Text(f"{escape_invisible(name)} version {version_number}", style="bold"))
        out.print(Text("\n").join(_lines(change)))
    if reversed_changes:
        _print_reversed(tenant, reversed_changes)
    elif not changes:
        out.print("No record, no verdict and no badge changed.")


def _print_reversed(tenant: str, changes: Mapping[Key, int]) -> None:
    """Print how many changes lie between two equal states, and the commands that list these changes."""
    total = sum(changes.values())
    lie = "changes lie" if total > 1 else "change lies"
    commands = [
        f"verifywise-mlflow history {escape_invisible(shlex.join((tenant, name, str(number))))}"
        for name, number in islice(changes, _LISTED_VERSIONS)
    ]
    out.print("No record, no verdict and no badge differs between the two times.")
    if len(changes) == 1:
        out.print(Text(f"{total:,} {lie} in between: {commands[0]}"), soft_wrap=True)
        return
    out.print(Text(f"{total:,} {lie} in between:"))
    for command in commands:
        out.print(Text(f"  {command}"), soft_wrap=True)
    if len(changes) > _LISTED_VERSIONS:
        out.print(Text(f"  and those of {len(changes) - _LISTED_VERSIONS:,} more versions"))


def _period(since: datetime, until: datetime, model: str | None, version: int | None) -> Period:
    try:
        return Period(since, until, model, version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from None


def _changes(session: TenantSession, period: Period) -> dict[Key, Change]:
    compared = ((after.key, differences(before, after)) for before, after in net_record_transitions(session, period))
    of_records = {key: field_changes for key, field_changes in compared if field_changes}
    of_verdicts = {change.key: change for change in net_compliance_changes(session, period)}
    return {key: (of_records.get(key, ()), of_verdicts.get(key)) for key in sorted({*of_records, *of_verdicts})}


def _version_difference(key: Key, change: Change) -> VersionDifference:
    field_changes, compliance = change
    badge = None
    if compliance and compliance.badge_before != compliance.badge_after:
        badge = BadgeChange(compliance.badge_before, compliance.badge_after)
    verdicts = compliance.verdicts if compliance else ()
    return VersionDifference(
        *key,
        field_changes_as_json(field_changes),
        badge,
        tuple(RuleChange(entry.rule_id, entry.before, entry.after, entry.reason) for entry in verdicts),
    )


def _lines(change: Change) -> Iterator[Text]:
    field_changes, compliance = change
    if compliance and compliance.badge_before != compliance.badge_after:
        before, after = compliance.badge_before or "not evaluated", compliance.badge_after or "not evaluated"
        yield Text.assemble("  ", ("badge", "cyan"), ": ", (f"{before} → {after}", "bold"))
    if field_changes:
        yield difference_lines(field_changes, indent="  ")
    if compliance is None:
        return
    if compliance.badge_before is None:  # every rule is new, so a summary suffices
        counts = Counter(entry.after for entry in compliance.verdicts)
        summary = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=str))
        yield Text.assemble("  ", ("first evaluated", "cyan"), f": {summary}")
        return
    for entry in compliance.verdicts:
        before, after = entry.before or "not evaluated", entry.after or "no longer evaluated"
        yield Text.assemble("  ", (f"rule {escape_invisible(entry.rule_id)}", "cyan"), f": {before} → {after}")
        if entry.reason:
            yield Text("    ").append_text(display(entry.reason))


def field_changes_as_json(field_changes: Sequence[Difference]) -> tuple[FieldChange, ...]:
    """Return differences with values in JSON's types."""
    return tuple(FieldChange(change.path, _json(change.before), _json(change.after)) for change in field_changes)


def _json(value: object) -> JsonValue:
    return cast("JsonValue", json_ready(value))


def difference_lines(field_changes: Sequence[Difference], indent: str = "") -> Text:
    """Return differences as text, one per line."""
    return Text("\n").join(_line(change, indent) for change in field_changes)


def _line(change: Difference, indent: str) -> Text:
    if change.path == ("record",):
        return Text(f"{indent}{'first seen' if change.before is None else 'not recorded'}")
    before, after = (_display_value(change.path, value) for value in (change.before, change.after))
    if before.plain == after.plain:  # both values are times within one second
        before, after = display(json_ready(change.before), 120), display(json_ready(change.after), 120)
    return Text.assemble(indent, (escape_invisible(change.field), "cyan"), ": ", before, " → ", after)


def _display_value(path: Sequence[str], value: object) -> Text:
    if path[0] == "origins" and isinstance(value, Mapping):
        return display_origin(value)
    return display(value, 120)
