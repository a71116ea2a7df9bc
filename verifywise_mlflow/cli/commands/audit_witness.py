"""``verifywise-mlflow audit witness`` and ``audit timestamps``: checkpoints out of reach of the database's owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.audit.checkpoint import InvalidCheckpointError, parse_claim
from verifywise_mlflow.cli.audit_trail import TrailOf, refuse_unknown
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out, print_json, table
from verifywise_mlflow.common.canonical_json import canonical_json
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import checkpoint_receipts
from verifywise_mlflow.persistence.repositories.checkpoint_receipts import CheckpointReceipt
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store

if TYPE_CHECKING:
    from verifywise_mlflow.witnesses.settings import ConfiguredWitness

_WHERE = ("path", "object", "id", "time")
"""The members of receipts that state the place of a checkpoint, or since when it has existed."""


@dataclass(frozen=True, slots=True)
class WitnessStatus:
    """The checkpoints of a tenant that a witness has."""

    witness: str
    kind: str
    sequence: int | None = None
    """The entry that the witness's last checkpoint signs; None if the witness has none."""
    stored_at: datetime | None = None
    receipt: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    """The reason why the witness did not accept the newest checkpoint just now; None without a problem."""

    @property
    def place(self) -> str | None:
        """Where the checkpoint is, for people."""
        return next((self.receipt[name] for name in _WHERE if name in self.receipt), None)


@dataclass(frozen=True, slots=True)
class JudgedToken:
    """A time-stamp token and its verification."""

    tenant: str
    sequence: int
    """The entry that the stamped checkpoint signs."""
    existed_at: datetime | None = None
    """The time at which the checkpoint existed, as the time-stamping authority states."""
    problem: str | None = None


def witness(
    tenant: TrailOf,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: only show which checkpoint each witness has.")
    ] = False,
    receipts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write all receipts to a file: lines of JSON with the checkpoint and its time-stamp token.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send the newest checkpoint of a tenant to the witnesses that lack it, and show what each witness has."""
    # Imports HTTP clients, which other commands on the trail do not need.
    from verifywise_mlflow.witnesses.sending import Sender, TenantCheckpoints

    witnesses = [item for item in _configured(as_json) if item.is_for(tenant)]
    problems: dict[str, str | None] = {}
    with exit_on_errors(as_json), Store(database_url()) as store:
        with store.begin(tenant) as session:
            refuse_unknown(session, as_json)
        if not dry_run:
            sent = Sender(store, witnesses).send(tenant, interval=timedelta(0))
            problems = {result.witness: result.problem for result in sent}
        with store.begin(tenant) as session:
            checkpoints = TenantCheckpoints.load(session)
            if receipts is not None:
                _write_receipts(session, receipts, as_json)
    if checkpoints.newest is None:
        fail("no checkpoint was signed yet: set VERIFYWISE_AUDIT_SIGNING_KEY, and sync", FAILED, as_json)
    statuses = [_status(item, checkpoints.receipts.get(item.name), problems.get(item.name)) for item in witnesses]
    if as_json:
        documents = [asdict(status) for status in statuses]
        print_json({"tenant": tenant, "newest": checkpoints.newest.sequence, "witnesses": json_ready(documents)})
    else:
        _print(statuses, checkpoints.newest.sequence)
    if any(status.problem for status in statuses):
        raise typer.Exit(FAILED)


def timestamps(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Checkpoints with time-stamp tokens, such as a witness has them.")
    ],
    roots: Annotated[
        Path, typer.Option(metavar="FILE", help="The root certificates of the trusted time-stamp authorities, in PEM.")
    ],
    as_json: AsJson = False,
) -> None:
    """Verify time-stamp tokens, and print when each checkpoint existed. Signatures are for audit verify to verify."""
    from verifywise_mlflow.witnesses.reading import stamped_checkpoints_in
    from verifywise_mlflow.witnesses.timestamp_authority import NEEDS_EXTRA

    try:
        from verifywise_mlflow.witnesses.timestamp_token import (
            InvalidTokenError,
            UnusableRootsError,
            load_roots,
            verify_token,
        )
    except ModuleNotFoundError:
        fail(NEEDS_EXTRA, FAILED, as_json)
    try:
        stamped = stamped_checkpoints_in(file.read_text(encoding="utf-8"))
        trusted = load_roots(roots)
    except (UnusableRootsError, InvalidCheckpointError, OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fail(str(error) if isinstance(error, UnusableRootsError) else f"{file}: {reason}", MISUSED, as_json)
    tokens: list[JudgedToken] = []
    for item in stamped:
        if item.token is None:
            continue
        claim = parse_claim(item.checkpoint)
        try:
            existed_at = verify_token(item.token, item.stamped_line, trusted)
            tokens.append(JudgedToken(claim.tenant_id, claim.sequence, existed_at))
        except InvalidTokenError as error:
            tokens.append(JudgedToken(claim.tenant_id, claim.sequence, problem=str(error)))
    if not tokens:
        fail(f"{file} has no time-stamp token", FAILED, as_json)
    if as_json:
        print_json({"timestamps": json_ready([asdict(token) for token in tokens])})
    else:
        _print_tokens(tokens)
    if any(token.problem for token in tokens):
        raise typer.Exit(FAILED)


def _configured(as_json: bool) -> Sequence[ConfiguredWitness]:
    from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
    from verifywise_mlflow.witnesses.settings import WITNESSES_FILE_VARIABLE, load_witnesses

    try:
        witnesses = load_witnesses()
    except InvalidSettingsFileError as error:
        fail(str(error), MISUSED, as_json)
    if not witnesses:
        fail(f"no witness is configured: set {WITNESSES_FILE_VARIABLE} to the path of their file", MISUSED, as_json)
    return witnesses


def _status(item: ConfiguredWitness, last: CheckpointReceipt | None, problem: str | None) -> WitnessStatus:
    if last is None:
        return WitnessStatus(item.name, item.kind, problem=problem)
    return WitnessStatus(item.name, item.kind, last.sequence, last.stored_at, last.details, problem)


def _write_receipts(session: TenantSession, path: Path, as_json: bool) -> None:
    try:
        with path.open("w", encoding="ascii") as file:
            for receipt, checkpoint in checkpoint_receipts.receipts_with_checkpoints(session):
                fields: dict[str, object] = {
                    **receipt.details,
                    "witness": receipt.witness,
                    "stored_at": receipt.stored_at.isoformat(),
                    "checkpoint": checkpoint.text,
                    "signature": checkpoint.signature,
                }
                file.write(f"{canonical_json(fields)}\n")
    except OSError as error:
        fail_to_write(path, error, as_json)


def _print(statuses: Sequence[WitnessStatus], newest: int) -> None:
    out.print(f"the newest checkpoint signs entry {newest:,}", highlight=False)
    rows = table("witness", "has entry", "since (UTC)", "where, problem", unbroken=("witness",), right=("has entry",))
    for status in statuses:
        remark = status.problem or status.place
        rows.add_row(
            *(display_name(status.witness), display(status.sequence), display(status.stored_at)), display(remark, 1_000)
        )
    out.print(rows)


def _print_tokens(tokens: Sequence[JudgedToken]) -> None:
    rows = table("tenant", "entry", "existed at (UTC)", "problem", right=("entry",))
    for token in tokens:
        rows.add_row(*(display(value) for value in (token.tenant, token.sequence, token.existed_at, token.problem)))
    out.print(rows)
