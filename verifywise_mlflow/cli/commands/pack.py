"""``verifywise-mlflow pack``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import AsOf, StoredTenantName
from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.framework_selection import select_frameworks
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out
from verifywise_mlflow.common.file_names import file_stem
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.exports.json_documents.pack import PackDocument, PackedFile, PackedVersion, PacksDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.records_begin import describe_records_begin
from verifywise_mlflow.persistence.queries.system_versions import versions_in_use
from verifywise_mlflow.persistence.queries.version_trail import last_recorded_at
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import system_names
from verifywise_mlflow.services.evidence_pack import PackContents, pack_contents, provability
from verifywise_mlflow.services.list_filters import models_of_systems
from verifywise_mlflow.services.version_references import require_known_tenant, require_recorded, resolve_version

app = typer.Typer()


@app.command()
def pack(
    tenant: StoredTenantName,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="The registered model's name. Not with --system.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]",
            help="The version's number, an alias such as champion or @champion, or a stage that one version is in.",
        ),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="The archive to write, such as fraud-3.zip; with --system, the directory for the archives. Files of "
            "these names are replaced.",
        ),
    ],
    system: Annotated[
        str | None,
        typer.Option(
            metavar="SYSTEM",
            help="Instead of MODEL and VERSION: pack all versions of this AI system's models that are in production or "
            "staging, are deployed or have an alias.",
        ),
    ] = None,
    as_of: AsOf = None,
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            metavar="NAME",
            help="Add a document in the order of this framework's clauses: 'EU AI Act' for Annex IV. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the evidence pack of a version: one archive for an audit folder, readable without this product.

    Without --as-of, it has the state of the last entry in the audit trail: until something is recorded again or a
    checkpoint is signed, each pack has the same bytes. Reads the database only.
    """
    if system is not None:
        if model is not None:
            fail(
                "--system packs the versions of all models of the system: leave MODEL and VERSION out", MISUSED, as_json
            )
        if output.exists() and not output.is_dir():
            fail(f"{output} is a file; --system writes several archives, into a directory", MISUSED, as_json)
    try:  # before anything is read
        import verifywise_mlflow.documents.pack.archive  # noqa: F401
    except ModuleNotFoundError as error:
        fail(explain_missing(error, "a pack"), MISUSED, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        if system is not None:
            _pack_system(session, system, output, as_of, framework or (), as_json)
        elif model is None or version is None:
            fail("name a MODEL and its VERSION, or an AI system with --system", MISUSED, as_json)
        else:
            key = (model, resolve_version(session, model, version, as_of))
            _pack_version(session, key, output, as_of, framework or (), as_json)


def _pack_version(
    session: TenantSession,
    key: Key,
    output: Path,
    as_of: datetime | None,
    frameworks: Sequence[str],
    as_json: bool,
) -> None:
    contents = pack_contents(session, key, as_of)
    if contents is None:
        require_recorded(session, key)
        when = f" as of {utc_text(as_of)}" if as_of else ""
        label = f"{quote(key[0])} version {key[1]} of the tenant {quote(session.tenant_id)}"
        fail(f"there is no record of {label}{when}; {describe_records_begin(session)}", FAILED, as_json)
    document = _write(contents, output, frameworks, as_json)
    if as_json:
        print_document(document)
        return
    _print(
        f"{output}: {key[0]} version {key[1]} as of {utc_text(document.as_of)}, {document.bytes:,} bytes",
        f"SHA-256 of the archive, to note where nobody can change it: {document.sha256}",
        "Unpack it, open index.html, and check it with: python3 verify.py",
        *unsigned_note(contents),
    )


def _pack_system(
    session: TenantSession,
    system: str,
    directory: Path,
    as_of: datetime | None,
    frameworks: Sequence[str],
    as_json: bool,
) -> None:
    systems = system_names(session)
    if not systems:
        require_known_tenant(session)
    models = models_of_systems(session, systems, [system])
    name = systems[models[0]]
    packs: list[PackedVersion] = []
    at = as_of or last_recorded_at(session) or datetime.now(UTC)
    provable = provability(session, at)
    for used in versions_in_use(session, models, at):
        contents = pack_contents(session, (used.model_name, used.version_number), at, provable)
        assert contents is not None  # the snapshot has a record of the version at this time
        path = directory / f"{file_stem(used.model_name)}-{used.version_number}.zip"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fail_to_write(directory, error, as_json)
        document = _write(contents, path, frameworks, as_json)
        packs.append(
            PackedVersion(
                used.model_name, used.version_number, used.in_use_as, str(path), document.bytes, document.sha256
            )
        )
        if not as_json:
            _print(
                f"{path}: {used.model_name} version {used.version_number} ({', '.join(used.in_use_as)})",
                f"  SHA-256 {document.sha256}",
                *unsigned_note(contents),
            )
    if not packs:
        sentence = (
            f"as of {utc_text(at)}, no version of the AI system {quote(name)} is in production or staging, is deployed "
            "or has an alias"
        )
        fail(f"{sentence}: name a MODEL and its VERSION", FAILED, as_json)
    if as_json:
        print_document(PacksDocument(tenant=session.tenant_id, system=name, as_of=at, packs=tuple(packs)))
        return
    _print(
        f"{len(packs):,} packs of the AI system {name} as of {utc_text(at)}. Note the hashes where nobody "
        "can change them.",
        "Unpack each into a folder of its own, open index.html, and check it with: python3 verify.py",
    )


def unsigned_note(contents: PackContents) -> tuple[str, ...]:
    """Return the sentence to print if the pack has a proof that no checkpoint covers yet."""
    if contents.proof is None or contents.proof.checkpoints:
        return ()
    return ("No checkpoint covers its proof, so no key can verify it: run audit checkpoint, then pack again",)


def _write(contents: PackContents, path: Path, frameworks: Sequence[str], as_json: bool) -> PackDocument:
    """Write the archive, and return its contents."""
    from verifywise_mlflow.documents.pack.archive import archive_of, pack_files

    known = contents.dossier
    catalog = {**shipped_catalog(), **known.policies.catalog}
    files = pack_files(contents, select_frameworks(frameworks, catalog) if frameworks else ())
    archive = archive_of(files, known.as_of)
    try:
        path.write_bytes(archive)
    except OSError as error:
        fail_to_write(path, error, as_json)
    return PackDocument(
        tenant=known.tenant_id,
        model_name=known.key[0],
        version_number=known.key[1],
        as_of=known.as_of,
        path=str(path),
        bytes=len(archive),
        sha256=sha256(archive).hexdigest(),
        files=tuple(
            PackedFile(name=name, bytes=len(content), sha256=sha256(content).hexdigest())
            for name, content in files.items()
        ),
    )


def _print(*sentences: str) -> None:
    for sentence in sentences:
        out.print(escape_invisible(sentence), markup=False, highlight=False, soft_wrap=True)
