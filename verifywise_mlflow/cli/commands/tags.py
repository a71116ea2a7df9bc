"""``verifywise-mlflow tags TENANT`` and ``verifywise-mlflow mapping TENANT FIELD``: how tags are read."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.arguments import StoredTenantName, described_tenant
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, facts, fail, out, table
from verifywise_mlflow.normalizer.findings import quoted
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.mapping.value_sources import PLACED_FIELDS
from verifywise_mlflow.normalizer.tag_hygiene import KeyUse, TagHygiene
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tag_hygiene import adopted_mapping, tag_hygiene_under
from verifywise_mlflow.tenants.loading import VARIABLE

_SHOWN = 25
"""Rows of each table; ``--json`` prints all."""

FieldName = Annotated[str, typer.Argument(metavar="FIELD", help="A field of the canonical record, such as owner.")]


@app.command()
def tags(tenant: StoredTenantName, as_json: AsJson = False) -> None:
    """Show what could be mended in a tenant's tags, or added to its mapping. Reads our store alone.

    Without tenants.yaml the mapping is that of the last sync.
    """
    with errors_as_sentences(as_json), Store(database_url()) as store:
        report = tag_hygiene_under(store, tenant, _mapping_of(tenant, as_json))
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return
    out.print(f"{report.read_keys} of {report.read_keys + len(report.misspelt) + len(report.unmapped)} keys are read")
    _show(
        ("Keys that look misspelt", "probably", "fills"),
        [(one.use, one.probably or "-", one.field or "-") for one in report.misspelt],
    )
    _show(
        ("Values of no known form", "value", "field"),
        [(one.found.use, quoted(one.found.value), one.field) for one in report.unknown_values],
    )
    _show(("Keys that fill no field",), [(one.use,) for one in report.unmapped])
    if report.is_cut:
        out.print("There are more keys or values than are looked at: those that are used least are missing here.")
    if snippet := suggested_mapping(report):
        out.print("\nMend the tags in MLflow, or say in tenants.yaml, under the tenant, what they mean:\n")
        out.print(escape(snippet), highlight=False, soft_wrap=True)


def _mapping_of(tenant: str, as_json: bool) -> TagMapping:
    """What tenants.yaml says. Auditors have none: for them counts what the last sync went by."""
    if os.environ.get(VARIABLE):
        return default_mapping().extended_by(described_tenant(tenant).mapping)
    with Store(database_url()) as store:
        found = adopted_mapping(store, tenant)
    if found is None:
        fail(f"no record of a tenant {tenant!r} was ever built, and {VARIABLE} is not set", 1, as_json)
    return found


def _show(headings: tuple[str, ...], rows: list[tuple[KeyUse, *tuple[str, ...]]]) -> None:
    if not rows:
        return
    title, *others = headings
    listed = table("key", *others, "where", "uses", "for example", title=title, right=("uses",))
    for use, *cells in rows[:_SHOWN]:
        model, version = use.example
        example = f"{quoted(model)} version {version}" if version else quoted(model)
        listed.add_row(*map(escape, (quoted(use.key), *cells, use.source, f"{use.uses:,}", example)))
    out.print(listed)
    if len(rows) > _SHOWN:
        out.print(f"… and {len(rows) - _SHOWN:,} more: see --json")


def suggested_mapping(report: TagHygiene) -> str:
    """Return the lines of YAML that would make the mapping know what the report is about; empty where all is known.

    What only a person can tell is left to fill in, in capitals.
    """
    lines = []
    keys: dict[str, list[str]] = {}
    for key in report.misspelt:
        keys.setdefault(key.field or "FIELD", []).append(key.use.key)
    if report.unmapped:
        keys["FIELD"] = [key.use.key for key in report.unmapped[:3]]
    if keys:
        lines += ["  synonyms:", *(f"    {field}: {json.dumps(sorted(set(found)))}" for field, found in keys.items())]
    values: dict[str, list[str]] = {}
    for value in report.unknown_values:
        values.setdefault(value.field, []).append(value.found.value)
    if values:
        lines.append("  values:")
        for field, found in values.items():
            forms = ", ".join(NORMAL_FORMS[field])
            lines.append(f"    {field}: {{FORM: {json.dumps(sorted(set(found))[:5])}}}  # FORM is one of {forms}")
    return "\n".join(["mapping:", *lines]) if lines else ""


@app.command()
def mapping(tenant: StoredTenantName, field: FieldName, as_json: AsJson = False) -> None:
    """Show how a field of the record is filled for a tenant: from which places, by which keys, in which forms.

    Without tenants.yaml the mapping is that of the last sync.
    """
    if field not in PLACED_FIELDS:
        fail(f"{field!r} is no field whose place is chosen; there are {', '.join(PLACED_FIELDS)}", 2, as_json)
    with errors_as_sentences(as_json):
        whole = _mapping_of(tenant, as_json)
    rule = rule_of(field, whole)
    if as_json:
        sys.stdout.write(json.dumps({"field": field, **rule, "mapping_digest": whole.digest()}) + "\n")
        return
    listed = facts()
    for name, said in rule.items():
        listed.add_row(name.replace("_", " "), escape("\n".join(said)))
    out.print(listed)


def rule_of(field: str, whole: TagMapping) -> dict[str, list[str]]:
    """Return how a field is filled, the best place, key and form first; only what there is for the field."""
    forms = {form: list(ways) for form, ways in whole.values.get(field, {}).items()}
    for form, globs in whole.value_patterns.get(field, {}).items():
        forms.setdefault(form, []).extend(globs)
    aliases = whole.aliases if field == "lifecycle_stage" else {}
    said = {
        "first_place_that_has_one": [str(place) for place in whole.precedence.get(field, ())],
        "keys": list(whole.synonyms.get(field, ())),
        "key_patterns": list(whole.key_patterns.get(field, ())),
        "keys_that_ask": list(whole.questions.get(field, {})),
        "aliases": [f"{stage}: {', '.join(names)}" for stage, names in aliases.items()],
        "forms": [f"{form}: {', '.join(ways)}" for form, ways in forms.items()],
        "stated_for_all_versions": [whole.defaults[field]] if field in whole.defaults else [],
    }
    return {name: lines for name, lines in said.items() if lines}
