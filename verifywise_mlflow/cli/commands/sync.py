"""``verifywise-mlflow sync``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.cli.arguments import TenantName, configured_tenant
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, err
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.row_mapping import key_problem
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageReport, SyncOptions
from verifywise_mlflow.pipeline.hinted_sync import HintedSync, plan_hinted_sync, targeted_options
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer()

_VERSION_NUMBER = re.compile(r"[0-9]{1,9}")


def _named_object(text: str) -> HintedObject:
    """Parse ``MODEL`` or ``MODEL/VERSION``. MLflow up to 3.1 allows slashes in names."""
    name, slash, number = text.rpartition("/")
    if slash and _VERSION_NUMBER.fullmatch(number):
        named = HintedObject(ObjectKind.MODEL, name, int(number))
    else:
        named = HintedObject(ObjectKind.MODEL, text)
    if problem := key_problem(named.name):
        raise typer.BadParameter(f"the model's name {problem}")
    return named


@app.command()
def sync(
    tenant: TenantName,
    as_json: AsJson = False,
    reconcile: Annotated[bool, typer.Option(help="Read all linked runs again, not only those that are due.")] = False,
    rehash: Annotated[
        bool, typer.Option(help="List and hash all artifacts again, not only those that are due.")
    ] = False,
    accept_removals: Annotated[
        str | None,
        typer.Option(
            metavar="WHO_AND_WHY",
            help="Accept removals that the removal guard holds back, and emptied model folders that an earlier sync "
            "held back. State who checked the server, and why: the text goes into the audit trail. Each object is "
            "still confirmed with the server.",
        ),
    ] = None,
    only: Annotated[
        list[HintedObject] | None,
        typer.Option(
            metavar="MODEL[/VERSION]",
            parser=_named_object,
            help="Read this model or version only; may be repeated. All others, and what was deleted, are left to the "
            "next listing. MODEL/0 is the model itself, also where its name ends like a version.",
        ),
    ] = None,
    hints: Annotated[
        bool, typer.Option("--hints", help="Read only what MLflow's webhooks have reported and no sync has read yet.")
    ] = False,
) -> None:
    """Sync one tenant through all six stages, without Dagster.

    The server is only read; the database is written. The command may be interrupted or killed at any moment: the next
    sync continues from there.
    """
    full = SyncOptions(reconcile=reconcile, rehash=rehash, accept_removals=accept_removals)
    if (only or hints) and full != SyncOptions():
        raise typer.BadParameter(
            "--only and --hints leave everything else to later syncs: use no other option of scope"
        )
    if only and hints:
        raise typer.BadParameter("use either --only or --hints")
    with exit_on_errors(as_json):
        configured = configured_tenant(tenant)
        with Store(database_url()) as store:
            with _progress(show=not as_json) as bars:
                plan = _plan(store, configured, full, only, hints=hints)
                with Sync(
                    configured,
                    store,
                    plan.options,
                    report_progress=bars.show,
                    stages=tuple(Stage),
                    hints=plan.hints,
                ) as run:
                    for stage in Stage:
                        bars.begin(stage)
                        bars.end(run.run(stage))
            from verifywise_mlflow.cli import sync_outcome  # needs modules that the sync has loaded by now

            glance = sync_outcome.overview_of(store, configured)
        if as_json:
            sync_outcome.print_json(run, glance)
        else:
            sync_outcome.print_reports(run.reports)
            sync_outcome.print_overview(tenant, glance)


def _plan(
    store: Store, tenant: Tenant, full: SyncOptions, only: Sequence[HintedObject] | None, *, hints: bool
) -> HintedSync:
    if hints:
        plan = plan_hinted_sync(store, tenant)
    elif only:
        with store.begin(tenant.tenant_id) as session:
            plan = HintedSync(targeted_options(session, tenant, only), ())
    else:
        return HintedSync(full, ())
    if not plan.options.is_targeted:
        err.print("The whole registry is read: point reads do not suffice here.", style="yellow")
    return plan


class _Bars:
    """One progress bar per stage; none if a program reads the output."""

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
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description:20}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
    is_drawn = err.is_terminal  # otherwise rich leaves an empty line
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not is_drawn) as progress:
        yield _Bars(progress)
