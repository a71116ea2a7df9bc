"""The command line: ``verifywise-mlflow --help``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from verifywise_mlflow.artifacts.model_signing.statement import NotExportableError, export
from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.manifests import manifest_of
from verifywise_mlflow.persistence.overview import Overview, overview
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.check import CheckReport
from verifywise_mlflow.pipeline.check import check as check_tenant
from verifywise_mlflow.pipeline.stage import Stage, StageReport, SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants
from verifywise_mlflow.tenants.secrets import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant

app = typer.Typer(
    help="""Reads tenants' MLflow registries, keeps one canonical record per model version, and judges it.

    Two environment variables say where: VERIFYWISE_TENANTS is the path of tenants.yaml, VERIFYWISE_DATABASE_URL
    the Postgres database. Exit codes: 0 done, 1 the server or the database could not be used, 2 the configuration
    is wrong.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The schema in the database.", no_args_is_help=True)
app.add_typer(db, name="db")

_out = Console()
_err = Console(stderr=True)

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Its name in tenants.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs, and nothing else.")]


@app.command()
def sync(
    tenant: TenantName,
    as_json: AsJson = False,
    reconcile: Annotated[bool, typer.Option(help="Read all linked runs again, not only what is due.")] = False,
    rehash: Annotated[bool, typer.Option(help="List and hash all artifacts again, not only what is due.")] = False,
) -> None:
    """Sync one tenant through all six stages, without Dagster."""
    with _errors_as_sentences(as_json):
        described = _tenant(tenant)
        store = Store(database_url())
        try:
            with _progress(show=not as_json) as bars:
                options = SyncOptions(reconcile=reconcile, rehash=rehash)
                with Sync(described, store, options, show=bars.show) as run:
                    for stage in Stage:
                        bars.begin(stage)
                        bars.end(run.run(stage))
            glance = overview(store.engine, tenant)
        finally:
            store.close()
        if as_json:
            sys.stdout.write(json.dumps(_as_json(run, glance), ensure_ascii=False) + "\n")
        else:
            _print_reports(run.reports)
            _print_overview(tenant, glance)


@app.command()
def check(tenant: TenantName, as_json: AsJson = False) -> None:
    """Try out what a tenant's server lets us read; nothing is kept.

    Exit code 0 if all that was tried can be read, 1 if something cannot, 2 if the configuration is wrong.
    """
    with _errors_as_sentences(as_json):
        report = check_tenant(_tenant(tenant))
    if as_json:
        sys.stdout.write(
            json.dumps({"outcome": "readable" if report.is_readable else "not readable", **asdict(report)})
        )
        sys.stdout.write("\n")
    else:
        _print_check(report)
    if not report.is_readable:
        raise typer.Exit(1)


@app.command()
def manifest(
    tenant: TenantName,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The registered model's name.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.", min=1)],
) -> None:
    """Print a version's files and hashes as the statement that OpenSSF Model Signing signs.

    It is taken from the store: nothing is read anew. Exit code 1 if there is none, or if not every file was hashed.
    """
    with _errors_as_sentences(as_json=False):
        described = _tenant(tenant)
        store = Store(database_url())
        try:
            with store.begin() as connection:
                kept = manifest_of(connection, described.tenant_id, (model, version))
        finally:
            store.close()
    if kept is None:
        _fail(f"there is no manifest of {model!r} version {version}: sync the tenant first", 1, as_json=False)
    try:
        statement = export(kept)
    except NotExportableError as error:
        _fail(str(error), 1, as_json=False)
    sys.stdout.buffer.write(statement + b"\n")


@app.command()
def tenants(as_json: AsJson = False) -> None:
    """Check tenants.yaml, and list who is in it."""
    with _errors_as_sentences(as_json):
        described = load_tenants()
    if as_json:
        rows = {name: {"tracking_uri": one.tracking_uri, "workspace": one.workspace} for name, one in described.items()}
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    table = Table("tenant", "tracking server", "workspace", "credentials", "artifacts")
    for name, one in described.items():
        artifacts = "hashed" if one.artifacts.hash else "listed"
        table.add_row(
            escape(name),
            escape(one.tracking_uri),
            escape(one.workspace or "-"),
            one.auth.kind,
            artifacts if one.artifacts.manifests else "off",
        )
    _out.print(table)


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="End after the summary instead of staying up.")] = False,
    fresh: Annotated[bool, typer.Option(help="Throw an earlier demo away.")] = False,
    home: Annotated[Path, typer.Option(help="Where the demo keeps its databases and files.")] = Path(".demo"),
) -> None:
    """Start a playground: a real MLflow server, Postgres and Dagster, with two tenants."""
    from verifywise_mlflow.demo.run import run_demo  # the demo's servers are not needed elsewhere

    raise typer.Exit(run_demo(home, once=once, fresh=fresh))


@db.command()
def upgrade() -> None:
    """Bring the schema to this release's revision; create it where there is none."""
    with _errors_as_sentences(as_json=False):
        revision = database.upgrade(database_url())
    _out.print(f"The schema verifywise is at revision {revision}.")


def _tenant(name: str) -> Tenant:
    described = load_tenants()
    if name not in described:
        known = ", ".join(described) or "none at all"
        raise TenantsFileError(f"there is no tenant {name!r} in tenants.yaml; there are: {known}")
    return described[name]


@contextmanager
def _errors_as_sentences(as_json: bool) -> Iterator[None]:
    try:
        yield
    except (TenantsFileError, SecretUnavailableError) as error:
        _fail(str(error), 2, as_json)
    except (ConnectorError, DatabaseError) as error:
        _fail(str(error), 1, as_json)


def _fail(sentence: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps({"outcome": "failed", "error": sentence}) + "\n")
    else:
        _err.print(escape(sentence), style="red", highlight=False)
    raise typer.Exit(code)


class _Bars:
    """A progress bar a stage; none where a program reads the output."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None) if progress else None

    def begin(self, stage: Stage) -> None:
        if self._progress and self._task is not None:
            self._progress.reset(self._task, description=stage.value.replace("_", " "), total=None)

    def show(self, _stage: Stage, done: int, total: int) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def end(self, report: StageReport) -> None:
        if self._progress and self._task is not None:
            read = max(report.progress.read, 1)
            self._progress.update(self._task, completed=read, total=read)


@contextmanager
def _progress(*, show: bool) -> Iterator[_Bars]:
    if not show:
        yield _Bars(None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:20}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=_err, transient=True) as progress:
        yield _Bars(progress)


def _print_check(report: CheckReport) -> None:
    server = report.server
    features = [
        name
        for name, offered in (("workspaces", server.workspaces), ("logged models", server.logged_models))
        if offered
    ]
    _out.print(
        f"MLflow {escape(server.version or 'of unknown version')}"
        f"{', with ' + ' and '.join(features) if features else ''}; we are {escape(report.identity)}; "
        f"{report.requests} requests",
        highlight=False,
    )
    table = Table("what", "outcome", "found")
    colours = {"readable": "green", "nothing there": "yellow"}
    for tried in report.tried:
        mend = f"\n[yellow]{escape(tried.mend)}[/yellow]" if tried.mend else ""
        colour = colours.get(tried.outcome, "red")
        table.add_row(tried.what, f"[{colour}]{tried.outcome}[/{colour}]", escape(tried.found) + mend)
    _out.print(table)


def _print_reports(reports: list[StageReport]) -> None:
    table = Table("stage", "read", "changed", "removed", "incomplete", "requests", "seconds")
    for column in table.columns[1:]:
        column.justify = "right"
    for report in reports:
        found = report.progress
        figures = (found.read, found.changed, found.removed, found.incomplete, report.requests)
        table.add_row(
            report.stage.value.replace("_", " "), *(f"{figure:,}" for figure in figures), f"{report.seconds:.2f}"
        )
    _out.print(table)
    for report in reports:
        for note in report.progress.notes:
            _out.print(f"{report.stage.value}: {escape(note)}", style="yellow", highlight=False)
        for item in report.progress.unreadable[:10]:
            _out.print(
                f"could not be read: {item.kind} {escape(item.name)}: {escape(item.reason)}",
                style="yellow",
                highlight=False,
            )
        if len(report.progress.unreadable) > 10:
            _out.print(f"… and {len(report.progress.unreadable) - 10} more, all in the audit trail", style="yellow")


def _print_overview(tenant: str, glance: Overview) -> None:
    badges = ", ".join(f"{count} {badge}" for badge, count in sorted(glance.badges.items())) or "none judged"
    _out.print(f"{escape(tenant)}: {glance.models} models, {glance.versions} versions: {badges}")
    for verdict in glance.worst:
        _out.print(
            f"  {escape(verdict.model_name)} {verdict.version_number}: {verdict.verdict}: {escape(verdict.reason)}",
            highlight=False,
        )


def _as_json(run: Sync, glance: Overview) -> dict[str, object]:
    incomplete = any(report.progress.incomplete for report in run.reports)
    return {
        "tenant": run.tenant.tenant_id,
        "sync_id": run.sync_id,
        "outcome": "incomplete" if incomplete else "complete",
        "requests": sum(report.requests for report in run.reports),
        "stages": {report.stage.value: report.counts() for report in run.reports},
        "models": glance.models,
        "versions": glance.versions,
        "badges": glance.badges,
    }


if __name__ == "__main__":
    app()
