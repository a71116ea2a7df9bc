"""``verifywise-mlflow pack``."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import AsOf, ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.command_table import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.framework_selection import select_frameworks
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.exports.json_documents.pack import PackDocument, PackedFile
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.records_begin import describe_records_begin
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.evidence_pack import pack_contents
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()


@app.command()
def pack(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The archive to write, such as fraud-3.zip. It is replaced.")
    ],
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

    Without --as-of, it has the state of the last entry in the audit trail: until something is recorded again, each
    pack has the same bytes. Reads the database only.
    """
    try:
        from verifywise_mlflow.documents.pack.archive import archive_of, pack_files
    except ModuleNotFoundError as error:
        fail(explain_missing(error, "a pack"), MISUSED, as_json)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        key = (model, resolve_version(session, model, version, as_of))
        contents = pack_contents(session, key, as_of)
        if contents is None:
            require_recorded(session, key)
            begin = describe_records_begin(session)
        else:
            catalog = {**shipped_catalog(), **contents.dossier.policies.catalog}
            frameworks = select_frameworks(framework, catalog) if framework else ()
    if contents is None:
        when = f" as of {utc_text(as_of)}" if as_of else ""
        label = f"{quote(model)} version {key[1]} of the tenant {quote(tenant)}"
        fail(f"there is no record of {label}{when}; {begin}", FAILED, as_json)
    known = contents.dossier
    files = pack_files(contents, frameworks)
    archive = archive_of(files, known.as_of)
    try:
        output.write_bytes(archive)
    except OSError as error:
        fail_to_write(output, error, as_json)
    document = PackDocument(
        tenant=tenant,
        model_name=model,
        version_number=key[1],
        as_of=known.as_of,
        path=str(output),
        bytes=len(archive),
        sha256=sha256(archive).hexdigest(),
        files=tuple(
            PackedFile(name=name, bytes=len(content), sha256=sha256(content).hexdigest())
            for name, content in files.items()
        ),
    )
    if as_json:
        print_document(document)
        return
    for line in (
        f"{output}: {model} version {key[1]} as of {utc_text(known.as_of)}, {len(archive):,} bytes",
        f"SHA-256 of the archive, to note where nobody can change it: {document.sha256}",
        "Unpack it, open index.html, and check it with: python3 verify.py",
    ):
        out.print(escape_invisible(line), markup=False, highlight=False, soft_wrap=True)
