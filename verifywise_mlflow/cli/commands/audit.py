"""``verifywise-mlflow audit``: the trail, shown, verified, signed and exported."""

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

from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind
from verifywise_mlflow.audit.export import export_lines
from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey, SigningKey
from verifywise_mlflow.audit.verification import TrailReport
from verifywise_mlflow.audit.verification import verify_chain as verify_trail
from verifywise_mlflow.cli.arguments import Limit, moment
from verifywise_mlflow.cli.output import AsJson, err, errors_as_sentences, fail, out, table, unwritable
from verifywise_mlflow.common.untrusted_text import escape_rich_markup
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE, sign_chain_head, signing_key

app = typer.Typer(help="The audit trail of a tenant: shown, verified, signed, exported.", no_args_is_help=True)

# Not one of tenants.yaml: a trail outlives its tenant.
TrailOf = Annotated[str, typer.Argument(metavar="TENANT", help="Whose trail; it need not be in tenants.yaml any more.")]


@app.command()
def verify(
    tenant: TrailOf,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A public key in PEM: only checkpoints that such a key signed count."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Checkpoints that were kept elsewhere, one a line."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute a tenant's chain from the database; name the first bad entry and what was done to it."""
    keys = [_public_key(path, as_json) for path in public_key or []]
    kept = [one for path in checkpoint or [] for one in _checkpoints(path, as_json)]
    with errors_as_sentences(as_json), _trail(tenant) as session:
        _refuse_unknown(session, bool(kept), as_json)
        # The checkpoints first: the chain that is read after them holds all that they speak of.
        stored, length = audit_log.checkpoints(session), audit_log.length(session)
        with _progress(length, shown=not as_json) as show:
            report = verify_trail(
                tenant,
                audit_log.links(session),
                stored,
                external_checkpoints=kept,
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
    since: Annotated[
        datetime | None, typer.Option(parser=moment, metavar="TIME", help="From then on: 2026-03-03, in UTC.")
    ] = None,
    kind: Annotated[
        EntryKind | None, typer.Option(metavar="KIND", help="Entries of this kind: 'sync ended', 'integrity event', …")
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Print a tenant's entries, the newest last."""
    with errors_as_sentences(as_json), _trail(tenant) as session:
        _refuse_unknown(session, False, as_json)
        found = audit_log.entries(session, limit=limit, since=since, kind=kind)[::-1]
    if as_json:
        sys.stdout.write(json.dumps({"tenant": tenant, "entries": [_as_json(*one) for one in found]}) + "\n")
        return
    if not found:
        out.print("There is no such entry.")
        return
    listed = table("#", "when (UTC)", "what", "outcome", "of", "reason")
    for sequence, entry in found:
        what = f"{entry.object_kind or ''} {entry.object_name or ''}".strip()
        listed.add_row(
            str(sequence),
            f"{entry.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            escape_rich_markup(entry.kind),
            escape_rich_markup(entry.outcome),
            escape_rich_markup(what),
            escape_rich_markup(entry.reason or ""),
        )
    out.print(listed)


@app.command()
def checkpoint(tenant: TrailOf) -> None:
    """Sign how far a tenant's trail has come, and print that as a line, to be kept elsewhere.

    The key is the one that VERIFYWISE_AUDIT_SIGNING_KEY refers to, as env:NAME or file:/absolute/path.
    """
    with errors_as_sentences(as_json=False):
        key = signing_key()
        if key is None:
            fail(
                f"set {SIGNING_KEY_VARIABLE} to a reference to the key that is to sign: see audit new-key",
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
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; otherwise it is printed.")] = None,
) -> None:
    """Write a tenant's trail as JSON Lines, which tools/verify_audit_export.py verifies without us."""
    with errors_as_sentences(as_json=False), _trail(tenant) as session:
        _refuse_unknown(session, False, as_json=False)
        stored = audit_log.checkpoints(session)
        written = (line.encode() + b"\n" for line in export_lines(audit_log.links(session), stored))
        if output is None:
            sys.stdout.buffer.writelines(written)
            return
        try:
            with output.open("wb") as stream:
                stream.writelines(written)
        except OSError as error:
            unwritable(output, error, as_json=False)


@app.command()
def new_key(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Where to; there must be no such file.")],
    as_json: AsJson = False,
) -> None:
    """Write a new private key that only its owner may read, and print the public one, to be given to auditors."""
    key = SigningKey.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(key.pem())
    except OSError as error:
        unwritable(path, error, as_json)
    if as_json:
        told = {"private_key": str(path), "public_key": key.public.pem(), "key_id": key.key_id}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(key.public.pem())


@contextmanager
def _trail(tenant: str) -> Iterator[TenantSession]:
    with Store(database_url()) as store, store.begin(tenant) as session:
        yield session


def _refuse_unknown(session: TenantSession, is_known: bool, as_json: bool) -> None:
    """A name that nothing was ever written of is a slip, no empty trail."""
    if not is_known and not audit_log.head(session) and not audit_log.is_expected(session):
        fail(f"there is no trail of a tenant {session.tenant_id!r}", 1, as_json)


def _public_key(path: Path, as_json: bool) -> PublicKey:
    try:
        return PublicKey.from_pem(path.read_bytes())
    except (OSError, InvalidKeyError) as error:
        _unusable(path, error, as_json)


def _checkpoints(path: Path, as_json: bool) -> list[Checkpoint]:
    try:
        found = [
            Checkpoint.from_json_line(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        for one in found:
            parse_claim(one)
    except (OSError, InvalidCheckpointError) as error:
        _unusable(path, error, as_json)
    except UnicodeDecodeError:
        fail(f"{path}: it is not UTF-8 text", 2, as_json)
    if not found:  # whoever kept none must not be told that they agree
        fail(f"{path}: there is no checkpoint in it", 2, as_json)
    return found


def _unusable(path: Path, error: Exception, as_json: bool) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    fail(f"{path}: {reason}", 2, as_json)


@contextmanager
def _progress(length: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    if not shown:
        yield lambda _: None
        return
    columns = (TextColumn("entries"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"))
    drawn = err.is_terminal  # else rich leaves an empty line
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not drawn) as progress:
        task = progress.add_task("", total=length)
        yield lambda done: progress.update(task, completed=done)


def _print_report(report: TrailReport) -> None:
    whole = f"entries 1 to {report.entries:,}" if report.entries else "no entries"
    if report.damage:
        damage = report.damage
        out.print(
            f"{escape_rich_markup(report.tenant_id)}: DAMAGED ({damage.kind}): {escape_rich_markup(damage.sentence)}",
            style="red",
            highlight=False,
        )
        out.print(f"{whole} fit together", highlight=False)
    else:
        out.print(
            f"{escape_rich_markup(report.tenant_id)}: {whole} are one unbroken chain", style="green", highlight=False
        )
        out.print(f"its end is {report.head}", highlight=False, soft_wrap=True)
    judged = "their signatures were verified" if report.signatures_judged else "their signatures were NOT judged"
    out.print(
        f"{report.checkpoints:,} checkpoints agree, the last at entry {report.vouched:,}; {judged}"
        f"{'' if report.signatures_judged else ': give --public-key'}",
        highlight=False,
    )
    if not report.damage and report.vouched < report.entries:
        out.print(f"no checkpoint speaks of entries {report.vouched + 1:,} to {report.entries:,}", highlight=False)


def _as_json(sequence: int, entry: AuditEntry) -> dict[str, object]:
    return {"sequence": sequence, **asdict(entry), "occurred_at": entry.occurred_at.isoformat()}
