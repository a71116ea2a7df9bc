"""``verifywise-mlflow tenants``."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import listed
from verifywise_mlflow.cli.display import escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, table
from verifywise_mlflow.common.unresolved_names import MAX_CANDIDATES, unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.known_names import visible_tenants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.ai_system_sync import load_tenant_ai_systems
from verifywise_mlflow.pipeline.waiver_sync import violations_in_file
from verifywise_mlflow.services.audit_signing import sign_chain_head, signing_key_of
from verifywise_mlflow.services.tenant_policies import load_facts, load_rules
from verifywise_mlflow.tenants.loading import load_tenants

app = typer.Typer(help="Validate tenants.yaml with its policies and waivers, and list the tenants.")


@app.callback(invoke_without_command=True)
def list_tenants(context: typer.Context, as_json: AsJson = False) -> None:
    """Validate tenants.yaml with its policies and waivers, and list the tenants."""
    if context.invoked_subcommand:
        return
    with exit_on_errors(as_json):
        configured, violations = load_tenants(), []
        for tenant_config in configured.values():
            load_rules(tenant_config)
            if problem := load_facts(tenant_config).unusable_copy():
                violations.append(f"tenant {tenant_config.tenant_id!r}, compliance: {problem}")
            violations += violations_in_file(tenant_config, datetime.now(UTC))
            load_tenant_ai_systems(tenant_config)
    if violations:
        # In a shared file, each entry is checked for its own tenant only, so no violation is repeated.
        fail("\n".join(violations), 2, as_json)
    if as_json:
        documents = {
            name: {"tracking_uri": tenant_config.tracking_uri, "workspace": tenant_config.workspace}
            for name, tenant_config in configured.items()
        }
        sys.stdout.write(json.dumps(documents) + "\n")
        return
    rows = table("tenant", "tracking server", "workspace", "credentials", "artifacts")
    for name, tenant_config in configured.items():
        artifacts = "hashed" if tenant_config.artifacts.hash else "listed"
        rows.add_row(
            escape_rich_markup(name),
            escape_rich_markup(tenant_config.tracking_uri),
            escape_rich_markup(tenant_config.workspace or "-"),
            tenant_config.auth.kind,
            artifacts if tenant_config.artifacts.manifests else "off",
        )
    out.print(rows)


@app.command()
def erase(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="A tenant that is no longer in tenants.yaml.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a tenant: records, verdicts and histories, everything except its audit trail. Needs the owner's URL.

    The trail and its checkpoints are append-only: they stay, and record who erased how many rows. Dagster's own
    database is not changed. Exit code 2 if tenants.yaml still has the tenant.
    """
    with exit_on_errors(as_json):
        if tenant in load_tenants():
            fail(f"tenants.yaml still has {tenant}: remove it there first, or the next sync brings it back", 2, as_json)
        with Store(database_url()) as store:
            with store.begin(tenant) as session:
                role_grants.require_owner(session.connection, "erasing a tenant")
                stored_row_counts = erasure.count_erasable_rows(session)
                if not stored_row_counts:
                    names = visible_tenants(session, MAX_CANDIDATES)
                    sentence = (
                        f"the database holds nothing of a tenant {quote(tenant)}; its tenants are: {listed(names)}"
                    )
                    raise unknown_name(sentence, tenant, names)
            if not yes:
                _confirm(tenant, stored_row_counts, as_json)
            key = signing_key_of(store, tenant, datetime.now(UTC))  # before the erasure: the key may be unusable
            row_counts = erasure.erase(store, tenant, datetime.now(UTC))
            if key:  # no later sync will sign this trail
                with store.begin(tenant) as session:
                    sign_chain_head(session, key, datetime.now(UTC))
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "outcome": "erased", "rows": dict(row_counts)}) + "\n")
    else:
        out.print(
            f"{sum(row_counts.values()):,} rows of {escape_rich_markup(tenant)} were erased. "
            "The audit trail records it."
        )


def _confirm(tenant: str, stored_row_counts: dict[str, int], as_json: bool) -> None:
    if as_json:
        fail("--json cannot ask for confirmation: add --yes", 2, as_json)
    rows = table("table", "rows", right=("rows",))
    for name, count in stored_row_counts.items():
        rows.add_row(name, f"{count:,}")
    out.print(rows)
    out.print("This cannot be undone. The audit trail and its checkpoints stay as proof.")
    if typer.prompt("Type the tenant's name to erase these rows") != tenant:
        fail("that is not the tenant's name: nothing was erased", 1, as_json)
