"""``verifywise-mlflow db``: the database schema and the roles that may use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.display import display, display_name, escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, out, print_json, table
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.append_only import REMEDY as APPEND_ONLY_REMEDY
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.role_exposures import RoleExposure, reader_exposures
from verifywise_mlflow.persistence.role_grants import RoleAccess
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA

app = typer.Typer(help="Manage the database schema and the roles that may use it.", no_args_is_help=True)
grant = typer.Typer(help="Grant a database role access. Needs the owner's URL.", no_args_is_help=True)
app.add_typer(grant, name="grant")

Role = Annotated[str, typer.Argument(metavar="ROLE", help="An existing database role.")]


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Upgrade the schema to this release's revision, or create it."""
    with exit_on_errors(as_json):
        revision = database.upgrade(database_url())
    if as_json:
        print_json({"revision": revision})
    else:
        out.print(f"The schema {SCHEMA} is at revision {revision}.")


@app.command()
def check(
    as_json: AsJson = False,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0, help="Wait that long for a migration if the schema is older or missing."
        ),
    ] = 0,
) -> None:
    """Check that the schema exists, is ours and is at this release's revision; warn of readers with excess rights.

    Exit code 1, too, if a trigger that keeps evidence append-only, or a policy of row-level security, is missing,
    disabled or changed.
    """
    with exit_on_errors(as_json):
        checked = database.check(database_url(), wait_seconds=wait)
    problems = checked.protection_problems
    if as_json:
        exposures = [asdict(exposure) for exposure in checked.exposures]
        document = {"schema": SCHEMA, "revision": checked.revision, "exposures": exposures}
        print_json({**document, "protection_problems": problems})
    else:
        out.print(f"The schema {SCHEMA} is at revision {checked.revision}, which this release needs.")
        _print_exposures(checked.exposures)
        for problem in problems:
            out.print(f"{escape_rich_markup(problem)}.", style="red", highlight=False, soft_wrap=True)
        if problems:
            out.print(f"{APPEND_ONLY_REMEDY}.", highlight=False)
    if problems:
        raise typer.Exit(FAILED)


@grant.command()
def pipeline(role: Role, as_json: AsJson = False) -> None:
    """Let a role sync. In each session, it writes for the one tenant that the session has set."""
    _grant(role, "pipeline", None, as_json)
    if as_json:
        print_json({"role": role, "kind": "pipeline"})
    else:
        out.print(f"{escape_rich_markup(role)} may sync.", highlight=False)


@grant.command()
def reader(
    role: Role,
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="The tenant that the role may read.")],
    as_json: AsJson = False,
) -> None:
    """Let a role read one tenant and nothing else."""
    granted = _grant(role, "reader", tenant, as_json)
    if as_json:
        exposures = [asdict(exposure) for exposure in granted.exposures]
        row = {"role": role, "kind": "reader", "tenant": tenant, "is_known": granted.is_known, "exposures": exposures}
        print_json(row)
        return
    if not granted.is_known:
        out.print(
            f"{escape_rich_markup(tenant)} was never synced here: check the spelling.", style="yellow", highlight=False
        )
    out.print(f"{escape_rich_markup(role)} may read {escape_rich_markup(tenant)}.", highlight=False)
    _print_exposures(granted.exposures)


@grant.command()
def listener(role: Role, as_json: AsJson = False) -> None:
    """Let a role receive MLflow's webhooks. It names objects to read again, and reads no record of any tenant."""
    _grant(role, "listener", None, as_json)
    if as_json:
        print_json({"role": role, "kind": "listener"})
    else:
        out.print(f"{escape_rich_markup(role)} may receive webhooks.", highlight=False)


@app.command()
def revoke(role: Role, as_json: AsJson = False) -> None:
    """Revoke the access of a database role. Needs the owner's URL."""
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        role_grants.revoke(connection, role, datetime.now(UTC))
    if as_json:
        print_json({"role": role, "kind": "none"})
    else:
        out.print(f"{escape_rich_markup(role)} no longer has access.", highlight=False)


@app.command()
def roles(as_json: AsJson = False) -> None:
    """List the roles that have access; warn if row-level security does not apply to the role in use.

    Only the owner sees all roles. Others see pipelines, listeners and themselves.
    """
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        granted_roles = role_grants.roles(connection)
        bypass = role_grants.rls_bypass_reason(connection)
        used = role_grants.current_role(connection)
        is_complete = role_grants.sees_all_grants(connection)
    if as_json:
        rows = [
            {**asdict(role), "granted_at": role.granted_at and role.granted_at.isoformat()} for role in granted_roles
        ]
        print_json({"role_in_use": used, "held_by_row_security": not bypass, "is_complete": is_complete, "roles": rows})
        return
    _print_roles(granted_roles)
    if not is_complete:
        out.print(
            f"Not listed: other readers, and roles with privileges that db grant did not give. This URL's role "
            f"{escape_rich_markup(used)} does not see them: set VERIFYWISE_DATABASE_URL to the owner's URL.",
            style="yellow",
            highlight=False,
        )
    if bypass:
        out.print(
            f"This URL's role {escape_rich_markup(used)} {bypass}: row-level security does not apply to it. "
            "A sync needs only what verifywise-mlflow db grant pipeline grants.",
            style="yellow",
            highlight=False,
        )


@dataclass(frozen=True, slots=True)
class _Grant:
    is_known: bool
    """Whether the database has the tenant; True if no tenant is given."""
    exposures: Sequence[RoleExposure]


def _grant(role: str, kind: role_grants.RoleKind, tenant_id: str | None, as_json: bool) -> _Grant:
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        role_grants.grant(connection, role, kind, tenant_id, datetime.now(UTC))
        is_known = tenant_id is None or role_grants.is_known_tenant(connection, tenant_id)
        return _Grant(is_known, reader_exposures(connection, role))


def _print_exposures(exposures: Sequence[RoleExposure]) -> None:
    """Print readers' excess rights, each with the statement that revokes it and the role that may run the statement."""
    by_remedy: dict[tuple[str, str, str], list[str]] = {}
    for exposure in exposures:
        by_remedy.setdefault((exposure.ability, exposure.remedy, exposure.needs), []).append(exposure.role)
    for (ability, remedy, needs), names in by_remedy.items():
        out.print(f"{escape_rich_markup(', '.join(names))} {ability}.", style="yellow", highlight=False)
        out.print(f"  To be run by {needs}: {escape_rich_markup(remedy)}", highlight=False, soft_wrap=True)


def _print_roles(granted_roles: Sequence[RoleAccess]) -> None:
    rows = table("role", "is", "tenant", "since")
    for role in granted_roles:
        tenant = role.tenant_id or ("-" if role.kind == "none" else "all, one at a time")
        rows.add_row(
            display_name(role.role),
            role.kind,
            display_name(tenant if role.kind in ("pipeline", "reader", "listener", "none") else "all"),
            display(role.granted_at),
        )
    out.print(rows)
    for role in granted_roles:  # printed below the table: a sentence does not fit into a narrow column
        if role.remark:
            out.print(f"{escape_rich_markup(role.role)}: {escape_rich_markup(role.remark)}", highlight=False)
