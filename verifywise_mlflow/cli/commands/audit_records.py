"""``verifywise-mlflow audit verify --records``: whether the tables hold the states that were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.output import err, fail, out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.store import Store

if TYPE_CHECKING:
    from verifywise_mlflow.services.record_verification.report import (
        AcceptedPart,
        AcceptedState,
        FieldChange,
        RecordDamage,
        RecordReport,
    )
    from verifywise_mlflow.services.record_verification.version_check import RebuildRecords

MAX_PRINTED: Final = 200
"""The maximum number of damaged rows that are printed; ``--json`` has more."""
_MAX_CELL: Final = 80


def _number_of_versions(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise typer.BadParameter(f"{quote(text)} is not a number of versions, such as 50")
    return int(text)


Records = Annotated[
    bool,
    typer.Option(
        "--records", help="Also recompute every record, verdict, badge, event and waiver, and name each damaged row."
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample",
        metavar="N",
        parser=_number_of_versions,
        help="With --records: only this many versions, which --seed chooses.",
    ),
]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="TEXT", help="With --sample: any text; another one chooses other versions."),
]
Judges = Annotated[
    bool, typer.Option("--judge", help="With --records: also evaluate the rules again on the records of their time.")
]


def check_options(records: bool, sample: int | None, seed: str | None, judges: bool, as_json: bool) -> None:
    """Exit if an option has no effect without another one."""
    if (sample is not None or seed is not None or judges) and not records:
        fail("--sample, --seed and --judge need --records", MISUSED, as_json)
    if (sample is None) != (seed is None):
        fail("--sample and --seed need each other: the seed is any text that the auditor makes up", MISUSED, as_json)


def verify_records_of(tenant: str, sample: int | None, seed: str | None, judges: bool, as_json: bool) -> RecordReport:
    """Verify the records of a tenant, with a progress bar."""
    # Imported on demand: the rules take a second to load.
    from verifywise_mlflow.services.record_verification.verification import Scope, verify_records

    scope = Scope(sample, seed or "", judges, _rebuild(tenant))
    with Store(database_url()) as store, _progress(is_shown=not as_json) as show:
        return verify_records(store, tenant, scope, show)


def records_as_json(report: RecordReport) -> dict[str, object]:
    """Return the report for programs, with names as MLflow has them."""
    outcome = "damaged" if not report.is_intact else "accepted" if report.accepted else "intact"
    document = {**asdict(report), "outcome": outcome}
    damages = [_with_name(damage) for damage in report.damages]
    accepted = [{**asdict(part), "states": [_with_name(state) for state in part.states]} for part in report.accepted]
    ready = json_ready({**document, "damages": damages, "accepted": accepted})
    assert isinstance(ready, dict)
    return ready


def print_records(report: RecordReport) -> None:
    """Print the report for people."""
    checked = report.checked
    _print(
        f"compared {_counted(checked.states, 'logged state')} of {_counted(checked.versions, 'version')} with "
        f"{_counted(checked.records, 'record')} and {_counted(checked.verdicts, 'verdict')} in the tables"
    )
    if report.last_commitment:
        _print(f"entry {report.last_commitment:,} commits {_counted(report.committed, 'state')}")
    if report.is_intact:
        _print("every row is as it was written", "green")
    else:
        are = "row is not as it was" if report.damage_count == 1 else "rows are not as they were"
        _print(f"DAMAGED: {report.damage_count:,} {are} written", "red")
        rows = table("what", "where", "written (UTC), by", "field: stored, written", "reason")
        for damage in report.damages[:MAX_PRINTED]:
            rows.add_row(*_cells(damage))
        out.print(rows)
        if (more := report.damage_count - MAX_PRINTED) > 0:
            _print(f"and {more:,} more; --json has up to {len(report.damages):,}")
    for part in report.accepted:
        _print_accepted(part)
    for sentence in report.not_proved:
        _print(f"NOT proved: {sentence}", "yellow")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _print_accepted(part: AcceptedPart) -> None:
    when = f" on {utc_text(part.accepted_at)}" if part.accepted_at else ""
    _print(f"ACCEPTED by {part.by or 'an unknown person'}{when}, entry {part.entry:,}: {part.reason}", "yellow")
    rows = table("#", "what", "where", "written (UTC), by", right=("#",))
    for state in part.states[:MAX_PRINTED]:
        version = f"version {state.version_number}" if state.version_number else ""
        rows.add_row(
            str(state.position),
            display(state.kind),
            Text("\n").join(display_name(text, _MAX_CELL) for text in (unescape(state.model_name), version) if text),
            Text("\n").join(display(text) for text in (state.written_at, state.sync_id) if text),
        )
    out.print(rows)
    if (more := len(part.states) - MAX_PRINTED) > 0:
        _print(f"and {more:,} more")


def _with_name(item: RecordDamage | AcceptedState) -> dict[str, object]:
    return {**asdict(item), "model_name": unescape(item.model_name)}


def _cells(damage: RecordDamage) -> tuple[Text, ...]:
    version = f"version {damage.version_number}" if damage.version_number else ""
    place = (damage.table, unescape(damage.model_name), version, damage.row)
    return (
        display(damage.kind),
        Text("\n").join(display_name(part, _MAX_CELL) for part in place if part),
        Text("\n").join(display(part) for part in (damage.written_at, damage.sync_id) if part),
        Text("\n").join(_field(change) for change in damage.fields),
        display(damage.sentence),
    )


def _field(change: FieldChange) -> Text:
    text = Text.assemble(change.name, ": ", display(_shown(change.stored), _MAX_CELL))
    if change.written is not None or change.is_proved:
        text.append_text(Text.assemble(", written: ", display(_shown(change.written), _MAX_CELL)))
    return text if change.is_proved or change.written is None else text.append(" (not proved)")


def _shown(cell: str | None) -> str | None:
    return None if cell is None else unescape(cell)


def _rebuild(tenant: str) -> RebuildRecords | None:
    """Return the function that builds records again, if tenants.yaml has the tenant with its mapping."""
    from verifywise_mlflow.pipeline.stages.canonical_records import rebuilt_contents
    from verifywise_mlflow.tenants.errors import TenantsFileError
    from verifywise_mlflow.tenants.loading import load_tenants

    try:
        described = load_tenants().get(tenant)
    except TenantsFileError:  # a trail outlives its tenant and the file
        return None
    return None if described is None else partial(rebuilt_contents, described)


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Callable[[int, int], None]]:
    if not is_shown:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("states"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"))
    is_drawn = err.is_terminal  # otherwise rich leaves an empty line
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not is_drawn) as progress:
        task = progress.add_task("", total=0)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print(sentence: str, color: str | None = None) -> None:
    out.print(escape_invisible(sentence), style=color, markup=False, highlight=False, soft_wrap=True)
