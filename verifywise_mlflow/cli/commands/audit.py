"""``verifywise-mlflow audit``: show, verify, sign and export the audit trail."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey, SigningKey
from verifywise_mlflow.audit.verification import TrailReport
from verifywise_mlflow.audit.verification import verify_chain as verify_trail
from verifywise_mlflow.cli.arguments import Limit, time_option
from verifywise_mlflow.cli.command_table import FAILED
from verifywise_mlflow.cli.display import display, display_name, escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, err, fail, fail_to_write, out, table
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE, sign_chain_head, signing_key
from verifywise_mlflow.services.version_references import require_known_tenant

app = typer.Typer(help="Show, verify, sign and export the audit trail of a tenant.", no_args_is_help=True)

# Not necessarily in tenants.yaml: a trail outlives its tenant.
TrailOf = Annotated[
    str,
    typer.Argument(metavar="TENANT", help="The tenant whose trail is meant; it need not be in tenants.yaml any more."),
]


@app.command()
def verify(
    tenant: TrailOf,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A public key in PEM. Only checkpoints signed by one of these keys count."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Checkpoints saved elsewhere, one per line."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of a tenant's trail; report the first damaged entry and the kind of damage."""
    keys = [_public_key(path, as_json) for path in public_key or []]
    saved_checkpoints = [item for path in checkpoint or [] for item in _checkpoints(path, as_json)]
    with exit_on_errors(as_json), _trail(tenant) as session:
        _refuse_unknown(session, bool(saved_checkpoints), as_json)
        # The checkpoints first: a chain that is read later contains every entry that they refer to.
        stored, length = audit_log.checkpoints(session), audit_log.length(session)
        with _progress(length, is_shown=not as_json) as show:
            report = verify_trail(
                tenant,
                audit_log.links(session),
                stored,
                external_checkpoints=saved_checkpoints,
                keys=keys,
                is_expected=audit_log.is_expected(session),
                on_progress=show,
            )
    if as_json:
        outcome = "damaged" if report.damage else "intact"
        sys.stdout.write(json.dumps({"outcome": outcome, **asdict(report)}) + "\n")
    else:
        _print_report(report)
    if report.damage:
        raise typer.Exit(1)


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
    with exit_on_errors(as_json), _trail(tenant) as session:
        _refuse_unknown(session, False, as_json)
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
    rows = table("#", "when (UTC)", "what, outcome", "of, by", "reason", right=("#",))
    for sequence, entry in entries_found:
        label = f"{entry.object_kind or ''} {entry.object_name or ''}".strip()
        names = [display_name(name) for name in (label, entry.actor.name if entry.actor else "") if name]
        rows.add_row(
            str(sequence),
            display(entry.occurred_at),
            Text("\n").join((display(entry.kind), display(entry.outcome))),
            Text("\n", no_wrap=True).join(names),
            display(entry.reason or ""),
        )
    out.print(rows)


@app.command()
def checkpoint(tenant: TrailOf) -> None:
    """Sign the current end of a tenant's trail and print the checkpoint as one line. Save it elsewhere.

    The signing key is the item that VERIFYWISE_AUDIT_SIGNING_KEY refers to: env:NAME or file:/absolute/path.
    """
    with exit_on_errors(as_json=False):
        key = signing_key()
        if key is None:
            fail(
                f"set {SIGNING_KEY_VARIABLE} to a reference to the signing key; audit new-key creates one",
                2,
                as_json=False,
            )
        with _trail(tenant) as session:
            signed = sign_chain_head(session, key, datetime.now(UTC))
            if signed is None:
                _refuse_unknown(session, False, as_json=False)
    if signed is None:
        fail(f"the trail of {tenant!r} is empty: there is nothing to sign", 1, as_json=False)
    sys.stdout.write(signed.to_json_line() + "\n")


@app.command()
def export(
    tenant: TrailOf,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write. Without it, the trail is printed.")
    ] = None,
) -> None:
    """Write a tenant's trail as JSON Lines. tools/verify_audit_export.py verifies it without this package."""
    with exit_on_errors(as_json=False), _trail(tenant) as session:
        _refuse_unknown(session, False, as_json=False)
        stored = audit_log.checkpoints(session)
        lines = (line.encode() + b"\n" for line in export_lines(audit_log.links(session), stored))
        if output is None:
            sys.stdout.buffer.writelines(lines)
            return
        try:
            with output.open("wb") as stream:
                stream.writelines(lines)
        except OSError as error:
            fail_to_write(output, error, as_json=False)


@app.command()
def new_key(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to create. It must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Create a private key that only its owner can read, and print the public key for auditors."""
    key = SigningKey.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key.pem())
    except OSError as error:
        fail_to_write(path, error, as_json)
    if as_json:
        document = {"private_key": str(path), "public_key": key.public.pem(), "key_id": key.key_id}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(key.public.pem())


@contextmanager
def _trail(tenant: str) -> Iterator[TenantSession]:
    with Store(database_url()) as store, store.begin(tenant) as session:
        yield session


def _refuse_unknown(session: TenantSession, is_known: bool, as_json: bool) -> None:
    """Raise if the trail never existed: the name is misspelled, which is not the same as an empty trail."""
    if not is_known and not audit_log.head(session) and not audit_log.is_expected(session):
        require_known_tenant(session)
        fail(f"the tenant {quote(session.tenant_id)} has no trail yet: sync it first", FAILED, as_json)


def _public_key(path: Path, as_json: bool) -> PublicKey:
    try:
        return PublicKey.from_pem(path.read_bytes())
    except (OSError, InvalidKeyError) as error:
        _unusable(path, error, as_json)


def _checkpoints(path: Path, as_json: bool) -> list[Checkpoint]:
    try:
        entries_found = [
            Checkpoint.from_json_line(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        for item in entries_found:
            parse_claim(item)
    except (OSError, InvalidCheckpointError) as error:
        _unusable(path, error, as_json)
    except UnicodeDecodeError:
        fail(f"{path}: the file is not UTF-8 text", 2, as_json)
    if not entries_found:  # otherwise an empty file would count as agreement
        fail(f"{path}: the file holds no checkpoint", 2, as_json)
    return entries_found


def _unusable(path: Path, error: Exception, as_json: bool) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    fail(f"{path}: {reason}", 2, as_json)


@contextmanager
def _progress(length: int, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    if not is_shown:
        yield lambda _: None
        return
    columns = (TextColumn("entries"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"))
    is_drawn = err.is_terminal  # otherwise rich leaves an empty line
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not is_drawn) as progress:
        task = progress.add_task("", total=length)
        yield lambda done: progress.update(task, completed=done)


def _print_report(report: TrailReport) -> None:
    chain_range = f"entries 1 to {report.entries:,}" if report.entries else "no entries"
    if report.damage:
        damage = report.damage
        out.print(
            f"{escape_rich_markup(report.tenant_id)}: DAMAGED ({damage.kind}): {escape_rich_markup(damage.sentence)}",
            style="red",
            highlight=False,
        )
        out.print(f"{chain_range} are consistent", highlight=False)
    else:
        out.print(
            f"{escape_rich_markup(report.tenant_id)}: {chain_range} form one unbroken chain",
            style="green",
            highlight=False,
        )
        out.print(f"the hash of the last entry is {report.head}", highlight=False, soft_wrap=True)
    signature_state = (
        "their signatures were verified" if report.signatures_judged else "their signatures were NOT verified"
    )
    out.print(
        f"{report.checkpoints:,} checkpoints agree, the last at entry {report.vouched:,}; {signature_state}"
        f"{'' if report.signatures_judged else ': pass --public-key'}",
        highlight=False,
    )
    if not report.damage and report.vouched < report.entries:
        out.print(f"no checkpoint covers entries {report.vouched + 1:,} to {report.entries:,}", highlight=False)


def _as_json(sequence: int, entry: AuditEntry) -> dict[str, object]:
    return {"sequence": sequence, **asdict(entry), "occurred_at": entry.occurred_at.isoformat()}
