"""``verifywise-mlflow audit verify``: what the trail of a tenant proves, and what it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from verifywise_mlflow.audit.accepted_states import MAX_RANGES
from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey
from verifywise_mlflow.audit.trail_report import TrailOutcome, TrailReport
from verifywise_mlflow.audit.verification import TrailHead
from verifywise_mlflow.audit.verification import verify_chain as verify_trail
from verifywise_mlflow.cli.audit_trail import TrailOf, open_trail, refuse_unknown
from verifywise_mlflow.cli.command_catalog import DONE, FAILED, MISUSED, UNPROVED
from verifywise_mlflow.cli.commands import audit_records
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, err, fail, out, print_json
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.witnesses.reading import checkpoints_in

EXIT_CODES: Final[dict[TrailOutcome, int]] = {
    "intact": DONE,
    "damaged": FAILED,
    "unsigned": FAILED,
    "unproved": UNPROVED,
}
_HEAD: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def verify(
    tenant: TrailOf,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A public key in PEM. Only checkpoints signed with it, or with a key for which it vouches, count.",
        ),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Checkpoints saved elsewhere: one per line, or what a witness has."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH",
            help="An entry's number and hash as recorded elsewhere, such as in Dagster's event log.",
        ),
    ] = None,
    through: Annotated[
        int | None,
        typer.Option(
            metavar="SEQUENCE", min=1, help="The last entry that must be proved. Without it, the last of the trail."
        ),
    ] = None,
    records: audit_records.Records = False,
    sample: audit_records.Sample = None,
    seed: audit_records.Seed = None,
    judge: audit_records.Judges = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of a tenant's trail; report the first damaged entry, or what is not proved.

    With a public key, success also needs a signature, and a checkpoint or head from outside the database that covers
    every entry: without one, nothing shows that the trail was truncated at a checkpoint.
    """
    audit_records.check_options(records, sample, seed, judge, as_json)
    keys = [_public_key(path, as_json) for path in public_key or []]
    saved_checkpoints = [item for path in checkpoint or [] for item in _checkpoints(path, tenant, as_json)]
    heads = [_head(head, as_json)] if head is not None else []
    with exit_on_errors(as_json), open_trail(tenant) as session:
        if not saved_checkpoints and not heads:
            refuse_unknown(session, as_json)
        # The checkpoints are read first: a chain that is read later contains every entry to which the checkpoints
        # refer.
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
                heads=heads,
            )
        is_readable = report.damage is None
        acceptances = audit_log.entries(session, kind="states accepted", limit=MAX_RANGES)[::-1] if is_readable else []
    _refuse_wrong_key(report, keys, saved_checkpoints, as_json)
    outcome = report.outcome(through)
    of_records = None
    if records:
        with exit_on_errors(as_json):
            of_records = audit_records.verify_records_of(tenant, sample, seed, judge, as_json)
    if as_json:
        accepted = [{"entry": sequence, "by": _by(entry), "reason": entry.reason} for sequence, entry in acceptances]
        not_proved = report.not_proved(through)
        document = {"outcome": outcome, **asdict(report), "states_accepted": accepted, "not_proved": not_proved}
        print_json({**document, "records": audit_records.records_as_json(of_records)} if of_records else document)
    else:
        _print_report(report, outcome, through)
        if of_records:
            audit_records.print_records(of_records)
        else:
            for sequence, entry in acceptances:
                _print(f"ACCEPTED by {_by(entry)}, entry {sequence:,}: {entry.reason}", "yellow")
    if of_records and not of_records.is_intact:
        raise typer.Exit(FAILED)
    if EXIT_CODES[outcome]:
        raise typer.Exit(EXIT_CODES[outcome])
    if of_records and (of_records.accepted or (of_records.checked.states and of_records.last_commitment is None)):
        raise typer.Exit(UNPROVED)


def _by(entry: AuditEntry) -> str:
    return entry.actor.name if entry.actor else "an unknown person"


def _public_key(path: Path, as_json: bool) -> PublicKey:
    try:
        return PublicKey.from_pem(path.read_bytes())
    except (OSError, InvalidKeyError) as error:
        _unusable(path, error, as_json)


def _checkpoints(path: Path, tenant: str, as_json: bool) -> list[Checkpoint]:
    try:
        found = checkpoints_in(path.read_text(encoding="utf-8"))
    except (OSError, InvalidCheckpointError) as error:
        _unusable(path, error, as_json)
    except UnicodeDecodeError:
        fail(f"{path}: the file is not UTF-8 text: copy it again as it is, without PowerShell's >", MISUSED, as_json)
    if not found:  # otherwise an empty file would look like agreement
        fail(f"{path}: the file holds no checkpoint", MISUSED, as_json)
    for owner in {parse_claim(item).tenant_id for item in found} - {tenant}:
        sentence = f"{path}: it has a checkpoint of {quote(owner)}: pass checkpoints of {quote(tenant)} only"
        fail(sentence, MISUSED, as_json)
    return found


def _refuse_wrong_key(report: TrailReport, keys: list[PublicKey], saved: list[Checkpoint], as_json: bool) -> None:
    """Exit if no supplied key has signed anything, and the trail and the saved checkpoints name another key.

    If the saved checkpoints do not name that key, the trail may have been signed again with that key: this is damage.
    """
    if report.vouched or report.unknown_key_id not in {parse_claim(item).key_id for item in saved}:
        return
    supplied = ", ".join(key.key_id for key in keys)
    fail(
        f"your checkpoints name the key {report.unknown_key_id}, but you supplied {supplied}: compare the "
        "hash of your key with the one that you noted. If your key is the right one, what vouches for the other key "
        "was removed from the trail",
        MISUSED,
        as_json,
    )


def _head(text: str, as_json: bool) -> TrailHead:
    match = _HEAD.fullmatch(text)
    if not match:
        fail("--head must be an entry's number and its hash in 64 hex digits, such as 12:9f86…", MISUSED, as_json)
    return TrailHead(int(match[1]), match[2])


def _unusable(path: Path, error: Exception, as_json: bool) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    fail(f"{path}: {reason}", MISUSED, as_json)


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


def _print_report(report: TrailReport, outcome: TrailOutcome, through: int | None) -> None:
    if report.damage:
        # A key that was not supplied is no proof of damage, but nothing distinguishes this key from a forger's key.
        verdict = "FAILED" if report.damage.kind == "unknown key" else "DAMAGED"
        _print(f"{report.tenant_id}: {verdict} ({report.damage.kind}): {report.damage.sentence}", "red")
        _print(f"{_entries_up_to(report.entries, 'is', 'are')} consistent")
    else:
        color = {"intact": "green", "unproved": "yellow"}.get(outcome, "red")
        _print(f"{report.tenant_id}: {_entries_up_to(report.entries, 'forms', 'form')} one unbroken chain", color)
        _print(f"the hash of the last entry is {report.head}")
    _print(_checkpoint_line(report))
    for change in report.key_changes:
        _print(f"at entry {change.sequence:,}, the key {change.old_key_id} vouches for {change.new_key_id}")
    if report.witnessed:
        covered = f"entries 1 to {report.witnessed:,}" if report.witnessed > 1 else "entry 1"
        _print(f"a checkpoint or head from outside the database covers {covered}")
    for sentence in report.not_proved(through):
        _print(f"NOT proved: {sentence}", "red" if outcome == "unsigned" else "yellow")


def _entries_up_to(last: int, singular: str, plural: str) -> str:
    return {0: f"no entry {singular}", 1: f"entry 1 {singular}"}.get(last, f"entries 1 to {last:,} {plural}")


def _checkpoint_line(report: TrailReport) -> str:
    if not report.checkpoints:
        return "no checkpoint agrees" if report.damage else "there is no checkpoint"
    agree, whose = (
        ("checkpoint agrees", "its signature") if report.checkpoints == 1 else ("checkpoints agree", "their signatures")
    )
    state = "verified" if report.signatures_judged else "NOT verified"
    following = report.entries - report.vouched
    follow = "entry follows" if following == 1 else "entries follow"
    last = f"the last over entry {report.vouched:,} at {report.last_signed_at}"
    return f"{report.checkpoints:,} {agree}, {last}, {whose} {state}; {following:,} {follow} it"


def _print(sentence: str, color: str | None = None) -> None:
    # Escaped and without markup: names and the times of unverified checkpoints are untrusted.
    out.print(escape_invisible(sentence), style=color, markup=False, highlight=False, soft_wrap=True)
