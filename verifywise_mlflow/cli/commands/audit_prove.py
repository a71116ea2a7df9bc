"""``verifywise-mlflow audit prove``."""

from __future__ import annotations

import json
import shlex
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
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, err, fail, fail_to_write
from verifywise_mlflow.common.file_names import file_stem
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.proofs import provable_moment, prove_consistency, prove_version
from verifywise_mlflow.services.version_references import require_known_tenant, require_recorded, resolve_version

if TYPE_CHECKING:
    from verifywise_mlflow.exports.json_documents.document import JsonDocument


class _CheckpointFileError(Exception):
    """A file with a checkpoint cannot be used."""


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
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A checkpoint that an auditor saved: prove the states that it covers. Of several lines, the newest.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write. Without it, the proof is printed, except on a terminal."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove what was recorded of a version: a JSON file that tools/verify_proof.py verifies without this package.

    Without --as-of, it is the newest state that a checkpoint covers. Reads the database only.
    """
    if consistency is not None and (model, version, as_of, checkpoint) != (None, None, None, None):
        fail(
            "--consistency proves the trail: leave MODEL, VERSION and --as-of out, and give a checkpoint as OLD or NEW",
            MISUSED,
            as_json,
        )
    if consistency is None and (model is None or version is None):
        fail(_missing_name(tenant, model), MISUSED, as_json)
    if as_json and output is not None:
        fail("--json prints the proof and --output writes it to a file: use one of them", MISUSED, as_json)
    if not as_json and output is None and sys.stdout.isatty():
        name = "growth.json" if model is None else f"{file_stem(model)}-{file_stem(version or '')}-proof.json"
        fail(f"the proof is a long document for a program: write it with --output {name}", MISUSED, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        require_known_tenant(session)
        try:
            if consistency is not None:
                document, sentences = _consistency(session, *consistency)
            else:
                assert model is not None
                assert version is not None
                saved = None if checkpoint is None else _newest_checkpoint(session, str(checkpoint))
                document, sentences = _version(session, model, version, as_of, saved)
        except UnprovableError as error:
            fail(str(error), FAILED, as_json)
        except _CheckpointFileError as error:
            fail(str(error), MISUSED, as_json)
    if as_json:
        print_document(document)
        return
    text = json.dumps(document.to_json(), indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="ascii")
        except OSError as error:
            fail_to_write(output, error, as_json)
    for sentence in sentences:  # for people, next to the proof that may be printed
        err.print(escape_invisible(sentence), markup=False, highlight=False, soft_wrap=True)


def _missing_name(tenant: str, model: str | None) -> str:
    """Return the error for a missing model or version. Some people write both as one argument: ``models:/churn/3``."""
    name, _, version = (model or "").removeprefix("models:/").rpartition("/")
    if name and version:
        return f"MODEL and VERSION are two words: audit prove {tenant} {shlex.quote(name)} {shlex.quote(version)}"
    return "name a MODEL and its VERSION, or two entries with --consistency"


def _version(
    session: TenantSession, model: str, version: str, as_of: datetime | None, saved: Checkpoint | None
) -> tuple[JsonDocument, list[str]]:
    """Return the proof of a version, and the sentences to print about the proof."""
    from verifywise_mlflow.exports.json_documents.proofs import StateProofDocument

    key = (model, resolve_version(session, model, version, as_of))
    require_recorded(session, key)
    moment = provable_moment(session, as_of, covered_by=saved)
    proof = prove_version(session, key, moment)
    sentences = [
        f"{model} version {key[1]} as of entry {moment.link.sequence:,}, {utc_text(moment.occurred_at)}: "
        f"{len(proof.states):,} states, {len(proof.verdicts):,} verdicts, {len(proof.entries):,} entries"
    ]
    if moment.newer:
        sentences.append(
            f"Entry {moment.newer:,} commits newer states, but no checkpoint covers it: sign one by audit checkpoint"
        )
    if not proof.checkpoints:
        sentences.append(
            "No checkpoint covers that entry, so nothing vouches for this proof: sign one by audit checkpoint"
        )
    sentences += [
        f"No sync committed the {leaf['kind']} of {leaf['written_at']}: a person accepted it, entry {entry:,}"
        for leaf in (json.loads(state.leaf) for state in proof.states)
        if (entry := accepting_entry(moment.commitment.accepted, leaf["position"])) is not None
    ]
    return StateProofDocument.of(proof), sentences


def _consistency(session: TenantSession, old: str, new: str) -> tuple[JsonDocument, list[str]]:
    """Return the proof that the trail only grew, and the sentences to print about the proof."""
    from verifywise_mlflow.exports.json_documents.proofs import ConsistencyProofDocument

    (former, signed), (later, signed_later) = _entry(session, old), _entry(session, new)
    proof = prove_consistency(session, former, later, [*signed, *signed_later])
    size = sum(map(len, proof.entries))
    sentence = f"Entries {former:,} to {later:,}: {len(proof.entries):,} entries, {size:,} bytes"
    return ConsistencyProofDocument.of(proof), [sentence]


def _entry(session: TenantSession, reference: str) -> tuple[int, list[Checkpoint]]:
    """Return the number of an entry, and the checkpoint that names it."""
    if reference.isascii() and reference.isdecimal() and len(reference) < 16:  # far below the limit of BIGINT
        return int(reference), []
    checkpoint = _newest_checkpoint(session, reference)
    return parse_claim(checkpoint).sequence, [checkpoint]


def _newest_checkpoint(session: TenantSession, reference: str) -> Checkpoint:
    """Return the checkpoint of a file that signs the latest entry. The file may begin with a byte order mark.

    Raises:
        _CheckpointFileError: the file cannot be read, or has no checkpoint of the tenant.
    """
    try:
        lines = [line for line in Path(reference).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        checkpoints = [Checkpoint.from_json_line(line) for line in lines]
        claims = [parse_claim(checkpoint) for checkpoint in checkpoints]
    except OSError as error:
        raise _CheckpointFileError(f"{reference}: {error.strerror}; name a file with a checkpoint") from None
    except (InvalidCheckpointError, UnicodeDecodeError) as error:
        raise _CheckpointFileError(f"{reference}: {error}") from None
    if not claims:
        raise _CheckpointFileError(f"{reference}: the file holds no checkpoint")
    if any(claim.tenant_id != session.tenant_id for claim in claims):
        raise _CheckpointFileError(f"{reference}: a checkpoint is that of {quote(claims[0].tenant_id)}")
    return max(zip(claims, checkpoints, strict=True), key=lambda pair: pair[0].sequence)[1]
