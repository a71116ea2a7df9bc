"""``verifywise-mlflow compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import AsOf, ModelName, StoredTenantName
from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.compared_values import brief_data_set, brief_sides
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, out, table
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.exports.json_documents.comparison import compare_document
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.records_begin import describe_records_begin
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.comparison import ComparedValue, Comparison, data_set_text
from verifywise_mlflow.services.comparison import compare as comparison_of
from verifywise_mlflow.services.version_dossier import VersionDossier, dossiers
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()

MAX_ROWS: Final = 30
"""The maximum number of values of a section that are printed; ``--json`` and ``--output`` have all values."""
_MAX_VALUE: Final = 60

Reference = Annotated[str, typer.Argument(help="The version's number, alias (champion, @champion) or stage.")]


@app.command()
def compare(
    tenant: StoredTenantName,
    model: ModelName,
    first: Reference,
    second: Reference,
    show_all: Annotated[bool, typer.Option("--all", help="Print equal values, too.")] = False,
    as_of: AsOf = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions of a model side by side: metrics, parameters, data, packages, files, verdicts.

    Prints the differences. For example: compare acme churn champion challenger. An alias means the version that had it
    at the time of --as-of. Tags have no history: they are as the last sync read them. Reads the database only.
    """
    check_output(output, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        at = as_of or datetime.now(UTC)
        numbers = [resolve_version(session, model, reference, as_of) for reference in (first, second)]
        sides = _dossiers(session, model, numbers, at, as_json)
        comparison = comparison_of(session, *sides)
    if output is not None:
        write_output(output, ComparedValue, comparison.values)
    elif as_json:
        print_document(compare_document(comparison))
    else:
        _print_comparison(comparison, as_of, show_all=show_all)


def _dossiers(
    session: TenantSession, model: str, numbers: Sequence[int], at: datetime, as_json: bool
) -> tuple[VersionDossier, VersionDossier]:
    keys = [(model, number) for number in numbers]
    known = {dossier.key: dossier for dossier in dossiers(session, keys, at)}
    for key in keys:
        if key not in known:
            require_recorded(session, key)
            sentence = f"there is no record of {quote(key[0])} version {key[1]} as of {utc_text(at)}"
            fail(f"{sentence}; {describe_records_begin(session)}", FAILED, as_json)
    return known[keys[0]], known[keys[1]]


def _print_comparison(comparison: Comparison, as_of: datetime | None, *, show_all: bool) -> None:
    first, second = comparison.first, comparison.second
    headings = [f"version {known.key[1]}" for known in (first, second)]
    when = f", as of {utc_text(as_of)}" if as_of else ""
    out.print(Text(f"{escape_invisible(first.key[0])}: {headings[0]} and {headings[1]}{when}", style="bold"))
    if first.key == second.key:
        out.print(f"Both are {headings[0]}: nothing differs.")
        return
    _print_versions(first, second)
    shown = comparison.values if show_all else comparison.differing
    brief_by_text = {data_set_text(item): brief_data_set(item) for known in (first, second) for item in known.data_sets}
    for section, entries in groupby(shown, key=lambda value: value.section):
        listed = list(entries)
        rows = table(section, *headings, *_difference_heading(section))
        for value in listed[:MAX_ROWS]:
            rows.add_row(*_cells(value, brief_by_text))
        out.print()
        out.print(rows)
        if len(listed) > MAX_ROWS:
            out.print(f"... and {len(listed) - MAX_ROWS:,} more: see --json or --output", highlight=False)
    equal = sum(value.differs is False for value in comparison.values)
    unknown = sum(value.differs is None for value in comparison.values)
    out.print()
    out.print(f"{len(comparison.differing):,} values differ, {equal:,} are equal.", highlight=False)
    if unknown:
        out.print(f"{unknown:,} files cannot be compared, since their bytes were not hashed.", style="yellow")


def _print_versions(first: VersionDossier, second: VersionDossier) -> None:
    sides = (first, second)
    rows = table("", *(f"version {known.key[1]}" for known in sides))
    rows.add_row("badge", *(known.badge.badge if known.badge else "not evaluated" for known in sides))
    rows.add_row("open gaps", *(f"{len(known.open_gaps):,}" for known in sides))
    rows.add_row("stage", *(display(known.record.lifecycle_stage) for known in sides))
    rows.add_row("aliases", *(display(_aliases(known)) for known in sides))
    if any(known.state.deleted_at for known in sides):
        rows.add_row("gone since", *(display(known.state.deleted_at) for known in sides))
    out.print(rows)


def _aliases(known: VersionDossier) -> str:
    aliases = known.record.aliases
    return ", ".join(map(str, aliases)) if isinstance(aliases, list | tuple) and aliases else "-"


def _difference_heading(section: str) -> tuple[str, ...]:
    return ("difference",) if section in ("metrics", "parameters") else ()


def _cells(value: ComparedValue, brief_by_text: Mapping[str, str]) -> list[Text]:
    name = display_name(value.name, _MAX_VALUE)
    if value.note:
        name = Text("\n").join((display(value.name), Text(escape_invisible(value.note), "dim")))
    cells = [name, *map(_side, brief_sides(value, brief_by_text))]
    return [*cells, _difference(value)] if _difference_heading(value.section) else cells


def _side(text: str | None) -> Text:
    return Text("-", "dim") if text is None else display(text, _MAX_VALUE)


def _difference(value: ComparedValue) -> Text:
    if value.difference is None:
        return Text()
    percent = "" if value.relative_difference is None else f" ({value.relative_difference:+.1%})"
    return Text(f"{value.difference:+.6g}{percent}", no_wrap=True)
