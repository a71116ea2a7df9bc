"""``verifywise-mlflow audit prove``."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.audit.accepted_states import accepting_entry
from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.proof import UnprovableError
from verifywise_mlflow.cli.arguments import StoredTenantName, time_option
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import err, fail, fail_to_write
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.proofs import provable_moment, prove_consistency, prove_version
from verifywise_mlflow.services.version_references import require_known_tenant, require_recorded, resolve_version

if TYPE_CHECKING:
    from verifywise_mlflow.exports.json_documents.document import JsonDocument


def prove(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The registered model's name.")] = None,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The version's number, alias or stage.")
    ] = None,
    *,
    as_of: Annotated[datetime | None, time_option("--as-of", "Prove what was known at this time:")] = None,
    consistency: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="OLD NEW",
            help="Instead of MODEL and VERSION: prove that the trail up to NEW extends that up to OLD. Each is the "
            "number of an entry, or a file with a checkpoint.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write. Without it, the proof is printed.")
    ] = None,
) -> None:
    """Prove what was recorded of a version: a JSON file that tools/verify_proof.py verifies without this package.

    Without --as-of, it is the newest state that a checkpoint covers. Reads the database only.
    """
    if consistency is not None and (model is not None or version is not None or as_of is not None):
        fail("--consistency proves the trail: leave MODEL, VERSION and --as-of out", MISUSED, as_json=False)
    if consistency is None and (model is None or version is None):
        fail("name a MODEL and its VERSION, or two entries with --consistency", MISUSED, as_json=False)
    with exit_on_errors(as_json=False), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        require_known_tenant(session)
        try:
            if consistency is not None:
                document = _consistency(session, *consistency)
            else:
                assert model is not None
                assert version is not None
                document = _version(session, model, version, as_of)
        except UnprovableError as error:
            fail(str(error), FAILED, as_json=False)
    text = json.dumps(document.to_json(), indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="ascii")
    except OSError as error:
        fail_to_write(output, error, as_json=False)


def _version(session: TenantSession, model: str, version: str, as_of: datetime | None) -> JsonDocument:
    from verifywise_mlflow.exports.json_documents.proofs import StateProofDocument

    key = (model, resolve_version(session, model, version, as_of))
    require_recorded(session, key)
    moment = provable_moment(session, as_of)
    proof = prove_version(session, key, moment)
    _say(
        f"{model} version {key[1]} as of entry {moment.link.sequence:,}, {utc_text(moment.occurred_at)}: "
        f"{len(proof.states):,} states, {len(proof.verdicts):,} verdicts, {len(proof.entries):,} entries"
    )
    if moment.newer:
        _say(f"Entry {moment.newer:,} commits newer states, but no checkpoint covers it: sign one by audit checkpoint")
    if not proof.checkpoints:
        _say("No checkpoint covers that entry, so nothing vouches for this proof: sign one by audit checkpoint")
    for leaf in (json.loads(state.leaf) for state in proof.states):
        if (entry := accepting_entry(moment.commitment.accepted, leaf["position"])) is not None:
            _say(f"No sync committed the {leaf['kind']} of {leaf['written_at']}: a person accepted it, entry {entry:,}")
    return StateProofDocument.of(proof)


def _consistency(session: TenantSession, old: str, new: str) -> JsonDocument:
    from verifywise_mlflow.exports.json_documents.proofs import ConsistencyProofDocument

    (former, signed), (later, signed_later) = _entry(session, old), _entry(session, new)
    proof = prove_consistency(session, former, later, [*signed, *signed_later])
    size = sum(map(len, proof.entries))
    _say(f"Entries {former:,} to {later:,}: {len(proof.entries):,} entries, {size:,} bytes")
    return ConsistencyProofDocument.of(proof)


def _entry(session: TenantSession, reference: str) -> tuple[int, list[Checkpoint]]:
    """Return the number of an entry, and the checkpoint that names it."""
    if reference.isascii() and reference.isdecimal() and len(reference) < 16:  # far below the limit of BIGINT
        return int(reference), []
    try:
        lines = [line for line in Path(reference).read_text(encoding="utf-8").splitlines() if line.strip()]
        checkpoints = [Checkpoint.from_json_line(line) for line in lines]
        claims = [parse_claim(checkpoint) for checkpoint in checkpoints]
    except OSError as error:
        fail(f"{reference}: {error.strerror}; name the number of an entry or a file", MISUSED, as_json=False)
    except (InvalidCheckpointError, UnicodeDecodeError) as error:
        fail(f"{reference}: {error}", MISUSED, as_json=False)
    if not claims:
        fail(f"{reference}: the file holds no checkpoint", MISUSED, as_json=False)
    if any(claim.tenant_id != session.tenant_id for claim in claims):
        fail(f"{reference}: a checkpoint is that of {quote(claims[0].tenant_id)}", MISUSED, as_json=False)
    newest = max(range(len(claims)), key=lambda place: claims[place].sequence)
    return claims[newest].sequence, [checkpoints[newest]]


def _say(sentence: str) -> None:
    """Print for people, on standard error, since the proof may be on standard output."""
    err.print(escape_invisible(sentence), markup=False, highlight=False, soft_wrap=True)
