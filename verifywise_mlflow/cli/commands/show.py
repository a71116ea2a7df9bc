"""``verifywise-mlflow show``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import AsOf, ModelName, StoredTenantName, VersionReference
from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.display import waiver_as_json, with_published_keys
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail
from verifywise_mlflow.cli.version_details import print_details
from verifywise_mlflow.cli.version_page import print_page
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.exports.json_documents.shown_version import ShowDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.records_begin import describe_records_begin
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import declarations
from verifywise_mlflow.services.version_dossier import JudgedRule, VersionDossier, dossier
from verifywise_mlflow.services.version_references import require_recorded, resolve_version

app = typer.Typer()


@app.command()
def show(
    tenant: StoredTenantName,
    model: ModelName,
    version: VersionReference,
    as_of: AsOf = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Print all fields with their origins, and all verdicts with their reasons.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what is known of a version, now or at any time: badge, gaps, people, training, files.

    An alias means the version that had it at that time. Reads the database only.
    """
    at = as_of or datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        key = (model, resolve_version(session, model, version, as_of))
        known = dossier(session, key, at)
        declared = declarations(session, at).of(known.record.model_name, known.record.ai_system) if known else None
        if known is None:
            require_recorded(session, key)
            begin = describe_records_begin(session)
    if known is None:
        version_label = f"{quote(model)} version {key[1]} of the tenant {quote(tenant)}"
        fail(f"there is no record of {version_label} as of {utc_text(at)}; {begin}", FAILED, as_json)
    if as_json:
        print_document(ShowDocument.model_validate(json_ready(_as_json(known))))
    elif show_all:
        print_details(known, declared)
    else:
        print_page(known, declared)


def _as_json(known: VersionDossier) -> dict[str, object]:
    in_force = [
        stored
        for stored in known.waivers
        if stored.is_in_force(known.as_of)
        and any(stored.waiver.covers(judged.verdict.rule_id, *known.key) for judged in known.gaps)
    ]
    return {
        "tenant": known.tenant_id,
        "as_of": known.as_of,
        **with_published_keys(asdict(known.state)),
        "badge": known.badge and {**with_published_keys(asdict(known.badge)), "rule": VERSION_RULE},
        "verdicts": [
            _verdict_as_json(judged) for judged in sorted(known.rules, key=lambda judged: judged.verdict.rule_id)
        ],
        "waivers": [waiver_as_json(stored) for stored in in_force],
    }


def _verdict_as_json(judged: JudgedRule) -> dict[str, object]:
    return {
        **with_published_keys(asdict(judged.verdict)),
        "title": judged.rule.title,
        "severity": judged.rule.severity,
        "clauses": [{"framework": cited.framework.name, "clause": cited.clause.id} for cited in judged.clauses],
    }
