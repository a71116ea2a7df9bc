"""``verifywise-mlflow tenants``."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, fail, out, table
from verifywise_mlflow.common.untrusted_text import escape_rich_markup
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import load_tenant_waivers
from verifywise_mlflow.services.audit_signing import sign_chain_head, signing_key
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.loading import load_tenants

app = typer.Typer(help="Check tenants.yaml, and list who is in it; or erase who is no longer.")


@app.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: AsJson = False) -> None:
    """Check tenants.yaml, and the policies and waivers that it names; list who is in it; or erase who is no longer."""
    if context.invoked_subcommand:
        return
    with errors_as_sentences(as_json):
        described = load_tenants()
        for one in described.values():
            load_rules(one)
            load_tenant_waivers(one)
    if as_json:
        rows = {name: {"tracking_uri": one.tracking_uri, "workspace": one.workspace} for name, one in described.items()}
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    shown = table("tenant", "tracking server", "workspace", "credentials", "artifacts")
    for name, one in described.items():
        artifacts = "hashed" if one.artifacts.hash else "listed"
        shown.add_row(
            escape_rich_markup(name),
            escape_rich_markup(one.tracking_uri),
            escape_rich_markup(one.workspace or "-"),
            one.auth.kind,
            artifacts if one.artifacts.manifests else "off",
        )
    out.print(shown)


@app.command()
def erase(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="One that tenants.yaml describes no longer.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase what is kept of a tenant: records, verdicts, histories, all but its audit trail. Takes the owner's URL.

    The trail and its checkpoints are append-only; they stay, and tell who erased how much. Dagster's own database is
    not touched. Exit code 2 if the tenant is in tenants.yaml still.
    """
    with errors_as_sentences(as_json):
        if tenant in load_tenants():
            fail(f"{tenant} is in tenants.yaml: take it out first, or the next sync brings it back", 2, as_json)
        key = signing_key()
        with Store(database_url()) as store:
            with store.begin(tenant) as session:
                role_grants.refuse_all_but_the_owner(session.connection, "to erase a tenant")
                kept = erasure.kept_of(session)
            if not kept:
                fail(f"nothing is kept of a tenant {tenant!r}", 1, as_json)
            if not yes:
                _ask(tenant, kept, as_json)
            counts = erasure.erase(store, tenant, datetime.now(UTC))
            if key:  # no later sync will sign the end of this trail
                with store.begin(tenant) as session:
                    sign_chain_head(session, key, datetime.now(UTC))
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "outcome": "erased", "rows": dict(counts)}) + "\n")
    else:
        out.print(f"{sum(counts.values()):,} rows of {escape_rich_markup(tenant)} are erased. Its audit trail says so.")


def _ask(tenant: str, kept: dict[str, int], as_json: bool) -> None:
    if as_json:
        fail("nobody can be asked where a program reads: say --yes", 2, as_json)
    shown = table("table", "rows", right=("rows",))
    for name, count in kept.items():
        shown.add_row(name, f"{count:,}")
    out.print(shown)
    out.print("This cannot be undone. The audit trail and its checkpoints stay, as the proof.")
    if typer.prompt("Type the tenant's name to erase all this") != tenant:
        fail("that is not its name: nothing was erased", 1, as_json)
