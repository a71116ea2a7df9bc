"""``verifywise-mlflow db``: the schema in the database, and who may use it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out, table
from verifywise_mlflow.common.untrusted_text import escape_rich_markup
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.role_grants import RoleAccess
from verifywise_mlflow.persistence.store import Store

app = typer.Typer(help="The schema in the database, and who may use it.", no_args_is_help=True)
grant = typer.Typer(help="Let a database role in. Takes the owner's URL.", no_args_is_help=True)
app.add_typer(grant, name="grant")

Role = Annotated[str, typer.Argument(metavar="ROLE", help="A database role, which is there already.")]


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the schema to this release's revision; create it where there is none."""
    with errors_as_sentences(as_json):
        revision = database.upgrade(database_url())
    if as_json:
        _tell({"revision": revision})
    else:
        out.print(f"The schema verifywise is at revision {revision}.")


@grant.command()
def pipeline(role: Role, as_json: AsJson = False) -> None:
    """Let a role sync: it writes for the tenant that it is set to, one at a time."""
    _grant(role, "pipeline", None, as_json)
    if as_json:
        _tell({"role": role, "kind": "pipeline"})
    else:
        out.print(f"{escape_rich_markup(role)} may sync.", highlight=False)


@grant.command()
def reader(
    role: Role,
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="The one tenant that it reads.")],
    as_json: AsJson = False,
) -> None:
    """Let a role read one tenant, and nothing else."""
    is_known = _grant(role, "reader", tenant, as_json)
    if as_json:
        _tell({"role": role, "kind": "reader", "tenant": tenant, "is_known": is_known})
        return
    if not is_known:
        out.print(
            f"{escape_rich_markup(tenant)} was never synced here: is its name right?", style="yellow", highlight=False
        )
    out.print(f"{escape_rich_markup(role)} may read {escape_rich_markup(tenant)}.", highlight=False)


@app.command()
def revoke(role: Role, as_json: AsJson = False) -> None:
    """Shut a database role out. Takes the owner's URL."""
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        role_grants.revoke(connection, role)
    if as_json:
        _tell({"role": role, "kind": "none"})
    else:
        out.print(f"{escape_rich_markup(role)} has no access any more.", highlight=False)


@app.command()
def roles(as_json: AsJson = False) -> None:
    """List who has access, and warn if row-level security does not hold the role in use."""
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        listed = role_grants.roles(connection)
        bypass = role_grants.bypass(connection)
        used = role_grants.role_in_use(connection)
    if as_json:
        rows = [{**asdict(role), "granted_at": role.granted_at and role.granted_at.isoformat()} for role in listed]
        _tell({"role_in_use": used, "held_by_row_security": not bypass, "roles": rows})
        return
    _print_roles(listed)
    if bypass:
        out.print(
            f"This URL's role {escape_rich_markup(used)} {bypass}: row-level security does not hold it. "
            "Syncs need no more than verifywise-mlflow db grant pipeline gives.",
            style="yellow",
            highlight=False,
        )


def _tell(told: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def _grant(role: str, kind: role_grants.Kind, tenant_id: str | None, as_json: bool) -> bool:
    """Return whether the tenant is known, if one is given."""
    with errors_as_sentences(as_json), Store(database_url()) as store, store.begin_shared() as connection:
        role_grants.grant(connection, role, kind, tenant_id, datetime.now(UTC))
        return tenant_id is None or role_grants.is_known_tenant(connection, tenant_id)


def _print_roles(listed: Sequence[RoleAccess]) -> None:
    shown = table("role", "is", "tenant", "since")
    for role in listed:
        tenant = role.tenant_id or ("-" if role.kind == "none" else "all, one at a time")
        shown.add_row(
            escape_rich_markup(role.role),
            role.kind,
            escape_rich_markup(tenant if role.kind in ("pipeline", "reader", "none") else "all"),
            f"{role.granted_at:%Y-%m-%d %H:%M}" if role.granted_at else "-",
        )
    out.print(shown)
    for role in listed:  # below, not beside: a sentence has no place in a narrow column
        if role.remark:
            out.print(f"{escape_rich_markup(role.role)}: {escape_rich_markup(role.remark)}", highlight=False)
