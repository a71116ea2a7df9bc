"""``verifywise-mlflow tags``: the tag-hygiene report."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import typer
from rich.markup import escape
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName, configured_tenant
from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, fail, out, table
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.record import NORMAL_FORMS
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse, TagHygiene
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tag_hygiene import current_mapping, hygiene_with_mapping
from verifywise_mlflow.services.version_references import require_known_tenant
from verifywise_mlflow.tenants.loading import TENANTS_VARIABLE

app = typer.Typer()

_MAX_ROWS = 25
"""The maximum number of rows of each table. ``--json`` prints all rows."""


@app.command()
def tags(tenant: StoredTenantName, as_json: AsJson = False) -> None:
    """Report which tags of a tenant cannot be interpreted, and suggest a mapping.

    Reads the database only. Without tenants.yaml, it uses the mapping of the last sync.
    """
    with exit_on_errors(as_json), Store(database_url()) as store:
        report = hygiene_with_mapping(store, tenant, mapping_of(tenant, as_json))
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return
    out.print(
        f"{report.read_keys} of {report.read_keys + len(report.misspelled) + len(report.unmapped)} keys are mapped"
    )
    _print_table(
        ("Keys that look misspelled", "probably", "fills"),
        [(item.use, item.probably or "-", item.field or "-") for item in report.misspelled],
    )
    _print_table(
        ("Values of no known form", "value", "field"),
        [(item.found.use, quote(item.found.value), item.field) for item in report.unknown_values],
    )
    _print_table(
        ("Texts that are no value", "value", "field", "because it is"),
        [(item.found.use, quote(item.found.value), item.field, item.state.clause) for item in report.no_values],
    )
    _print_table(("Keys that fill no field",), [(item.use,) for item in report.unmapped])
    if report.is_cut:
        out.print("The tenant has more keys and values than the report examines: the least used ones are missing here.")
    if snippet := suggested_mapping(report):
        out.print("\nCorrect the tags in MLflow, or map them in tenants.yaml, under the tenant:\n")
        out.print(escape(snippet), highlight=False, soft_wrap=True)


def mapping_of(tenant: str, as_json: bool) -> TagMapping:
    """Return the mapping of tenants.yaml. Auditors have no such file: for them, return the mapping of the last sync."""
    if os.environ.get(TENANTS_VARIABLE):
        return default_mapping().extended_by(configured_tenant(tenant).mapping)
    with Store(database_url()) as store:
        stored_mapping = current_mapping(store, tenant)
        if stored_mapping is None:
            with store.begin(tenant) as session:
                require_known_tenant(session)
    if stored_mapping is None:
        fail(f"no record of the tenant {quote(tenant)} exists, and {TENANTS_VARIABLE} is not set", FAILED, as_json)
    return stored_mapping


def _print_table(headings: tuple[str, ...], rows: list[tuple[KeyUse, *tuple[str, ...]]]) -> None:
    if not rows:
        return
    title, *other_headings = headings
    listed = table("key", *other_headings, "where", "uses", "example", title=title, right=("uses",))
    for use, *cells in rows[:_MAX_ROWS]:
        model, version = use.example
        example = f"{quote(model)} version {version}" if version else quote(model)
        names = [Text(text, no_wrap=True) for text in (quote(use.key), example)]
        listed.add_row(names[0], *map(Text, (*cells, use.source, f"{use.uses:,}")), names[1])
    out.print(listed)
    if len(rows) > _MAX_ROWS:
        out.print(f"... and {len(rows) - _MAX_ROWS:,} more: see --json")


def suggested_mapping(report: TagHygiene) -> str:
    """Return YAML lines that would map the reported keys and values; empty if everything is mapped.

    Decisions that only a person can make are placeholders in capitals.
    """
    lines = []
    keys: dict[str, list[str]] = {}
    for key in report.misspelled:
        keys.setdefault(key.field or "FIELD", []).append(key.use.key)
    if report.unmapped:
        keys["FIELD"] = [key.use.key for key in report.unmapped[:3]]
    if keys:
        lines += [
            "  synonyms:",
            *(f"    {field}: {json.dumps(sorted(set(tag_keys)))}" for field, tag_keys in keys.items()),
        ]
    values: dict[str, list[str]] = {}
    for value in report.unknown_values:
        values.setdefault(value.field, []).append(value.found.value)
    if values:
        lines.append("  values:")
        for field, spellings in values.items():
            forms = ", ".join(NORMAL_FORMS[field])
            lines.append(f"    {field}: {{FORM: {json.dumps(sorted(set(spellings))[:5])}}}  # FORM is one of {forms}")
    return "\n".join(["mapping:", *lines]) if lines else ""
