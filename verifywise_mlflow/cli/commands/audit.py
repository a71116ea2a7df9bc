"""``verifywise-mlflow audit``: show, verify, sign and export the audit trail."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.trail_report import TrailReport
from verifywise_mlflow.audit.verification import verify_chain as verify_trail
from verifywise_mlflow.cli.arguments import Limit, time_option
from verifywise_mlflow.cli.audit_trail import TrailOf, open_trail, refuse_unknown
from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.commands import audit_accept, audit_keys, audit_prove, audit_verify, audit_witness
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out, table
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.audit_signing import sign_chain_head

app = typer.Typer(help="Show, verify, sign and export the audit trail of a tenant.", no_args_is_help=True)
app.command()(audit_verify.verify)


@app.command()
def show(
    tenant: TrailOf,
    since: Annotated[datetime | None, time_option("--since", "Entries from this time on:")] = None,
    kind: Annotated[
        EntryKind | None,
        typer.Option(metavar="KIND", help="Only entries of this kind: 'sync ended', 'integrity event', ..."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Print the entries of a tenant's trail, newest last."""
    with exit_on_errors(as_json), open_trail(tenant) as session:
        refuse_unknown(session, as_json)
        entries_found = audit_log.entries(session, limit=limit, since=since, kind=kind)[::-1]
    if as_json:
        documents = [_as_json(*item) for item in entries_found]
        sys.stdout.write(
            json.dumps({"tenant": tenant, "since": since and since.isoformat(), "entries": documents}) + "\n"
        )
        return
    if since:
        out.print(f"Entries from {utc_text(since)} on", highlight=False)
    if not entries_found:
        out.print("No such entry.")
        return
    columns = {
        "#": [Text(str(sequence)) for sequence, _ in entries_found],
        "when (UTC)": [display(entry.occurred_at) for _, entry in entries_found],
        "what": [display(entry.kind) for _, entry in entries_found],
        "outcome": [display(entry.outcome) for _, entry in entries_found],
        "of": [
            display_name(f"{entry.object_kind or ''} {entry.object_name or ''}".strip()) for _, entry in entries_found
        ],
        "by": [display_name(entry.actor.name if entry.actor else "") for _, entry in entries_found],
        "reason": [display(entry.reason or "") for _, entry in entries_found],
    }
    filled = {heading: cells for heading, cells in columns.items() if any(cell.plain for cell in cells)}
    rows = table(*filled, right=("#",))
    for cells in zip(*filled.values(), strict=True):
        rows.add_row(*cells)
    out.print(rows)


@app.command()
def checkpoint(tenant: TrailOf) -> None:
    """Sign the current end of a tenant's trail and print the checkpoint as one line. Save it elsewhere.

    VERIFYWISE_AUDIT_SIGNING_KEY refers to the signing key: env:NAME, file:/absolute/path or pkcs11:...
    """
    with exit_on_errors(as_json=False):
        key = audit_keys.require_signing_key()
        with open_trail(tenant) as session:
            signed = sign_chain_head(session, key, datetime.now(UTC))
            if signed is None:
                refuse_unknown(session, as_json=False)
    if signed is None:
        fail(f"the trail of {tenant!r} is empty: there is nothing to sign", FAILED, as_json=False)
    sys.stdout.write(signed.to_json_line() + "\n")


@app.command()
def export(
    tenant: TrailOf,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write. Without it, the trail is printed.")
    ] = None,
) -> None:
    """Write a tenant's trail as JSON Lines. tools/verify_audit_export.py verifies it without this package.

    A damaged trail is exported, too, with an error and exit code 1.
    """
    with exit_on_errors(as_json=False), open_trail(tenant) as session:
        refuse_unknown(session, as_json=False)
        stored = audit_log.checkpoints(session)
        lines = (line.encode() + b"\n" for line in export_lines(audit_log.links(session), stored))
        if output is None:
            sys.stdout.buffer.writelines(lines)
        else:
            try:
                with output.open("wb") as stream:
                    stream.writelines(lines)
            except OSError as error:
                fail_to_write(output, error, as_json=False)
        report = _require_undamaged(session)
    if output is not None:
        entries = "1 entry" if report.entries == 1 else f"{report.entries:,} entries"
        checkpoints = "1 checkpoint" if report.checkpoints == 1 else f"{report.checkpoints:,} checkpoints"
        out.print(
            f"{output}: {entries} of {tenant}, {checkpoints}; the hash of the last entry is {report.head}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


app.command()(audit_prove.prove)
app.command("accept-states")(audit_accept.accept_states)
app.command("new-key")(audit_keys.new_key)
app.command("public-key")(audit_keys.public_key)
app.command("rotate-key")(audit_keys.rotate_key)
app.command()(audit_witness.witness)
app.command()(audit_witness.timestamps)


def _require_undamaged(session: TenantSession) -> TrailReport:
    """Exit with an error if the trail that was just exported is damaged; otherwise return its verification.

    The export is complete, and the auditor needs it to see the damage. But scheduled jobs make exports, and nobody
    reads their output, so exit code 0 would hide the damage.
    """
    stored = audit_log.checkpoints(session)
    report = verify_trail(
        session.tenant_id, audit_log.links(session), stored, is_expected=audit_log.is_expected(session)
    )
    if report.damage:
        fail(
            f"the trail of {quote(session.tenant_id)} was exported, and it is DAMAGED ({report.damage.kind}): "
            f"{report.damage.sentence}",
            FAILED,
            as_json=False,
        )
    return report


def _as_json(sequence: int, entry: AuditEntry) -> dict[str, object]:
    return {"sequence": sequence, **asdict(entry), "occurred_at": entry.occurred_at.isoformat()}
