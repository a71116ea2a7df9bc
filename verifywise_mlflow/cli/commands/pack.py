"""``verifywise-mlflow pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import AsOf, ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.command_table import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.framework_selection import select_frameworks
from verifywise_mlflow.cli.output import fail, fail_to_write, out
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import escape_invisible, quote
from verifywise_mlflow.compliance.frameworks import shipped_catalog
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
) -> None:
    """Write the evidence pack of a version: one archive for an audit folder, readable without this product.

    Without --as-of, it has the state of the last entry in the audit trail: until something is recorded again, each
    pack has the same bytes. Reads the database only.
    """
    try:
        from verifywise_mlflow.documents.pack.archive import build_pack
    except ModuleNotFoundError as error:
        fail(
            f"a pack needs {error.name}, which is not installed: pip install 'verifywise-mlflow[reports]'",
            MISUSED,
            as_json=False,
        )
    with exit_on_errors(as_json=False), Store(database_url()) as store, store.begin(tenant) as session:
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
        fail(f"there is no record of {label}{when}; {begin}", FAILED, as_json=False)
    archive = build_pack(contents, frameworks)
    try:
        output.write_bytes(archive)
    except OSError as error:
        fail_to_write(output, error, as_json=False)
    known = contents.dossier
    out.print(
        f"{escape_invisible(str(output))}: {escape_invisible(model)} version {key[1]} as of {utc_text(known.as_of)}, "
        f"{len(archive):,} bytes. Unpack it, open index.html, and check it with: python3 verify.py",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
