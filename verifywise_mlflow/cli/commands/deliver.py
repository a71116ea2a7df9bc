"""``verifywise-mlflow deliver``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from verifywise_mlflow.cli.arguments import TenantName, configured_tenant
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.display import display, display_name, escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, print_json, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.delivery.configured_targets import configured_targets
from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.delivery.target import Plan, Target
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import delivery_outbox
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.delivery_status import DeliveryStatus, delivery_statuses
from verifywise_mlflow.tenants.tenant import Tenant

app = typer.Typer(help="Deliver verdicts to VerifyWise and other systems, and show what is pending.")

TargetOption = Annotated[
    str | None, typer.Option("--target", help="Only this target: verifywise, openlineage, or webhook and its name.")
]
MAX_LISTED = 50
"""The maximum number of changes of a plan, and of versions with a problem, that are listed for people. ``--json`` has
all."""


@app.command()
def check(tenant: TenantName, target: TargetOption = None, as_json: AsJson = False) -> None:
    """Check what works at a tenant's targets: release, rights, features. Nothing is written there."""
    with exit_on_errors(as_json), _targets(tenant, target, as_json) as (_, _store, targets):
        found = {one.name: list(one.check()) for one in targets}
    works = all(finding.works for findings in found.values() for finding in findings)
    if as_json:
        documents = {name: [asdict(finding) for finding in findings] for name, findings in found.items()}
        print_json({"tenant": tenant, "works": works, "targets": documents})
    else:
        rows = table("target", "subject", "works", "finding", unbroken=("subject", "works"))
        for name, findings in found.items():
            for finding in findings:
                works_word = "yes" if finding.works else "no"
                rows.add_row(display(name), finding.subject, works_word, display(finding.sentence))
        out.print(rows)
    if not works:
        raise typer.Exit(FAILED)


@app.command()
def plan(tenant: TenantName, target: TargetOption = None, as_json: AsJson = False) -> None:
    """Print what a delivery would write now. VerifyWise may send mail for each of these changes."""
    with exit_on_errors(as_json), _targets(tenant, target, as_json) as (_, store, targets):
        plans = {one.name: Drain(store, tenant, one).plan() for one in targets}
    if as_json:
        print_json({"tenant": tenant, "targets": json_ready({name: _plan_json(one) for name, one in plans.items()})})
        return
    for name, one in plans.items():
        _print_plan(name, one)


@app.command()
def run(
    tenant: TenantName,
    target: TargetOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Allow a large first delivery: see confirm_above.")] = False,
    retry_parked: Annotated[
        bool, typer.Option("--retry-parked", help="Try versions again that are parked or postponed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver what is pending now."""
    with exit_on_errors(as_json), _targets(tenant, target, as_json) as (_, store, targets):
        reports = {one.name: Drain(store, tenant, one).run(confirmed=yes, retry_parked=retry_parked) for one in targets}
    if as_json:
        print_json({"tenant": tenant, "targets": {name: _report_json(one) for name, one in reports.items()}})
    else:
        for name, report in reports.items():
            _print_report(name, report)
    if any(report.outcome not in ("delivered", "nothing due") for report in reports.values()):
        raise typer.Exit(FAILED)


@app.command()
def status(tenant: TenantName, target: TargetOption = None, as_json: AsJson = False) -> None:
    """Print what is pending and parked, the oldest, and the last error. Reads the database only."""
    now = datetime.now(UTC)
    with exit_on_errors(as_json), _targets(tenant, target, as_json) as (settings, store, targets):
        names = {one.name for one in targets}
        with store.begin_snapshot(tenant) as session:
            statuses = [one for one in delivery_statuses(session, settings) if one.target in names]
            held = {one.target: delivery_outbox.held_versions(session, one.target, 10_000) for one in statuses}
    if as_json:
        documents = {
            one.target: {
                **asdict(one),
                "problem": one.problem(now),
                "held": [asdict(version) for version in held[one.target]],
            }
            for one in statuses
        }
        print_json({"tenant": tenant, "targets": json_ready(documents)})
        return
    out.print(_status_table(statuses, now))
    for one in statuses:
        for version in held[one.target][:MAX_LISTED]:
            word = "parked" if version.parked_at else "pending"
            name = f"{escape_rich_markup(version.model_name)} version {version.version_number}"
            reason = escape_rich_markup(version.reason)
            out.print(
                f"{escape_rich_markup(one.target)}: {name} is {word} after {version.tries} tries: {reason}",
                highlight=False,
            )


@contextmanager
def _targets(tenant_id: str, target: str | None, as_json: bool) -> Iterator[tuple[Tenant, Store, Sequence[Target]]]:
    tenant = configured_tenant(tenant_id)
    with Store(database_url()) as store:
        targets = configured_targets(tenant, store)
        names = [one.name for one in targets]
        selected = [one for one in targets if target in (None, one.name)]
        if not names:
            fail(f"tenants.yaml configures no target of {tenant_id} under delivery", MISUSED, as_json)
        if not selected and target is not None:
            sentence = (
                f"tenants.yaml configures no target {quote(target)} of {tenant_id} under delivery; its targets are: "
                f"{', '.join(names)}"
            )
            raise unknown_name(sentence, target, names)
        yield tenant, store, selected


def _plan_json(planned: Plan) -> dict[str, object]:
    return {"counts": planned.counts(), **asdict(planned)}


def _report_json(report: DrainReport) -> dict[str, object]:
    # asdict cannot copy a Counter.
    return {
        "outcome": report.outcome,
        "reason": report.reason,
        "versions": dict(report.versions),
        "counts": dict(report.counts),
        "remarks": report.remarks,
    }


def _print_plan(name: str, planned: Plan) -> None:
    counts = planned.counts()
    out.print(f"[bold]{escape_rich_markup(name)}[/bold]: {len(planned.changes):,} changes")
    for action, count in counts.items():
        out.print(f"  {escape_rich_markup(action)}: {count:,}", highlight=False)
    rows = table("change", "model", "version", "detail", right=("version",))
    for change in planned.changes[:MAX_LISTED]:
        rows.add_row(change.action, display_name(change.model_name), str(change.version_number), display(change.detail))
    for change in planned.left_alone[:MAX_LISTED]:
        action, number = f"left alone: {change.action}", str(change.version_number)
        rows.add_row(action, display_name(change.model_name), number, display(change.detail))
    if planned.changes or planned.left_alone:
        out.print(rows)
    if (more := len(planned.changes) - MAX_LISTED) > 0:
        out.print(f"and {more:,} more changes: --json prints all", style="dim")


def _print_report(name: str, report: DrainReport) -> None:
    reason = f": {escape_rich_markup(report.reason)}" if report.reason else ""
    out.print(f"[bold]{escape_rich_markup(name)}[/bold]: {report.outcome}{reason}", highlight=False)
    for word, count in sorted(report.versions.items()):
        out.print(f"  versions {word}: {count:,}", highlight=False)
    for action, count in report.counts.items():
        out.print(f"  {escape_rich_markup(action)}: {count:,}", highlight=False)
    for remark in report.remarks[:MAX_LISTED]:
        out.print(f"  {escape_rich_markup(remark)}", style="yellow", highlight=False)


def _status_table(statuses: Sequence[DeliveryStatus], now: datetime) -> Table:
    rows = table("target", "pending", "parked", "oldest", "last delivery", "to look at", right=("pending", "parked"))
    for one in statuses:
        state = one.state
        rows.add_row(
            display(one.target),
            f"{one.outbox.pending:,}",
            f"{one.outbox.parked:,}",
            display(one.outbox.oldest),
            display(state.last_delivered_at if state else None),
            display(one.problem(now) or (state.last_error if state else None) or "-"),
        )
    return rows
