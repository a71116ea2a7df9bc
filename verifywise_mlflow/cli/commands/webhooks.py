"""``verifywise-mlflow webhooks``."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import TenantName, configured_tenant
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.display import display, escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, facts, fail, fail_to_write, out, print_json, table
from verifywise_mlflow.exports.json_documents.webhooks import webhook_check_document, webhooks_document
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.check import WebhookCheck, check_webhooks
from verifywise_mlflow.services.webhooks.registration import (
    FERNET_KEY_COMMAND,
    LISTENER_EXAMPLE,
    PATH_VARIABLE,
    PRIVATE_SETTINGS,
    SECRET_VARIABLE,
    SERVER_SETTINGS,
    Registration,
    SecretValues,
)
from verifywise_mlflow.services.webhooks.support import WebhookSupport, read_support
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.validators import http_uri

app = typer.Typer()

SECRET_BYTES = 32
"""The number of random bytes in a new path and in a new secret."""


def _listener(url: str) -> str:
    try:
        return http_uri(url, LISTENER_EXAMPLE, server_kind="listener").rstrip("/")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        parser=_listener,
        metavar="URL",
        help=f"The listener's address as MLflow reaches it, such as {LISTENER_EXAMPLE}.",
    ),
]


@app.command()
def webhooks(
    tenant: TenantName,
    url: Url = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare what MLflow lists with what is needed, and show the deliveries.")
    ] = False,
    new_secrets: Annotated[
        bool, typer.Option("--new-secrets", help="Print a random path and secret to store. Nothing is stored here.")
    ] = False,
    show_secret: Annotated[
        bool, typer.Option("--show-secret", help="Write the values of path and secret into the commands.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the program into a new file that only you can read, with the values in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print how to register MLflow's webhooks with our listener, or check them. MLflow is only read.

    An administrator of MLflow runs what is printed. Without webhooks, polling finds every change.
    """
    with exit_on_errors(as_json):
        configured = configured_tenant(tenant)
        if new_secrets:
            _print_new_secrets(tenant, as_json)
            return
        section = configured.webhooks
        if section is None:
            fail(
                f"tenants.yaml has no section webhooks for {tenant}: --new-secrets prints values and the lines to add",
                MISUSED,
                as_json,
            )
        support = read_support(configured)
        if check:
            _check(configured, section, support, url, as_json)
            return
        values = None
        if show_secret or output:
            values = SecretValues(section.path.resolve(), section.secret[0].resolve())
        registration = Registration(
            tenant, configured.tracking_uri, configured.workspace, url or LISTENER_EXAMPLE, support.events, values
        )
    if output:
        _write(output, registration.python(), as_json)
    if as_json:
        shown = registration if show_secret else registration.without_values()
        print_document(webhooks_document(shown, section, support))
    elif output is None:
        _print_registration(registration, section, support)
    if not support.events:
        raise typer.Exit(FAILED)


def _print_new_secrets(tenant: str, as_json: bool) -> None:
    path, secret = secrets.token_urlsafe(SECRET_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    if as_json:
        print_json({"path": path, "secret": secret})
        return
    prefix = "".join(character if character.isalnum() else "_" for character in tenant.upper())
    prefix = prefix if prefix[0].isalpha() else f"_{prefix}"
    rows = facts()
    rows.add_row(f"{prefix}_WEBHOOK_PATH", path)
    rows.add_row(f"{prefix}_WEBHOOK_SECRET", secret)
    out.print(rows)
    out.print(
        "Store both where the listener reads its secrets. They are stored nowhere here. Then add to the tenant:",
        highlight=False,
    )
    reference = f"path: env:{prefix}_WEBHOOK_PATH, secret: env:{prefix}_WEBHOOK_SECRET"
    out.print(f"  webhooks: {{{reference}}}", markup=False, highlight=False, soft_wrap=True)


def _write(path: Path, program: str, as_json: bool) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(program)
    except OSError as error:
        fail_to_write(path, error, as_json)


def _print_registration(registration: Registration, section: Webhooks, support: WebhookSupport) -> None:
    out.print(escape_rich_markup(f"{support.sentence}."), highlight=False)
    if not support.events:
        return
    out.print("\n1. Environment of MLflow's server", style="bold")
    settings = table("variable", "value", unbroken=("variable",))
    for name, value in {**SERVER_SETTINGS, **PRIVATE_SETTINGS}.items():
        settings.add_row(name, value)
    out.print(settings)
    _print_code(f"A key: {FERNET_KEY_COMMAND}")
    out.print("\n2. Register the webhook as an administrator of MLflow", style="bold")
    if registration.values is None:
        out.print("Set these variables first. --show-secret and --output write their values instead:", highlight=False)
        for variable, reference in ((PATH_VARIABLE, section.path), (SECRET_VARIABLE, section.secret[0])):
            out.print(f"  {variable}: the value of {escape_rich_markup(str(reference))}", highlight=False)
    out.print("In Python:\n", highlight=False)
    _print_code(registration.python())
    out.print("Or with curl, to which you add your credentials:\n", highlight=False)
    _print_code(registration.curl())
    out.print("3. Check it", style="bold")
    _print_code(f"verifywise-mlflow webhooks {registration.tenant_id} --check --url {registration.listener}")


def _print_code(code: str) -> None:
    """Print a text so that it can be copied: without markup, colors and added line breaks."""
    out.print(code, markup=False, highlight=False, soft_wrap=True)


def _check(tenant: Tenant, section: Webhooks, support: WebhookSupport, url: str | None, as_json: bool) -> None:
    now = datetime.now(UTC)
    with Store(database_url()) as store:
        check = check_webhooks(tenant, section, store, support, url, now)
    if as_json:
        print_document(webhook_check_document(tenant.tenant_id, check, support, now))
    else:
        _print_check(check, support)
    if check.needs_action:
        raise typer.Exit(FAILED)


def _print_check(check: WebhookCheck, support: WebhookSupport) -> None:
    out.print(escape_rich_markup(f"{support.sentence}."), highlight=False)
    if check.comparison is None:
        out.print(escape_rich_markup(f"Not listed: {check.unlisted_because}."), style="yellow", highlight=False)
    else:
        delivered = len(check.comparison.delivered_events)
        color = "green" if check.is_as_wanted else "yellow"
        out.print(
            f"[{color}]{delivered} of {len(support.events)}[/{color}] events are delivered to the listener; "
            f"{check.comparison.elsewhere} webhooks lead to other services.",
            highlight=False,
        )
        findings = table("finding", "what to do", unbroken=("finding",))
        for found in check.comparison.findings:
            findings.add_row(found.kind, display(found.sentence, 1_000))
        if check.comparison.findings:
            out.print(findings)
    for problem in check.problems:
        out.print(escape_rich_markup(f"The list may be incomplete: {problem}."), style="yellow", highlight=False)
    status = check.deliveries.status
    deliveries = facts()
    deliveries.add_row("alive", "yes" if check.is_alive else "no")
    deliveries.add_row("last delivery", display(status.last_delivery_at))
    deliveries.add_row("last event", display(status.last_event_at))
    deliveries.add_row("last change without an event", display(status.last_missed_at))
    oldest = f", the oldest since {display(check.deliveries.oldest_hint_at)}" if check.deliveries.pending_hints else ""
    deliveries.add_row("pending hints", f"{check.deliveries.pending_hints}{oldest}")
    out.print(deliveries)
