"""``verifywise-mlflow mapping``: how a field of the record is filled."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer
from rich.markup import escape

from verifywise_mlflow.cli.arguments import StoredTenantName
from verifywise_mlflow.cli.commands.tags import mapping_of
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, facts, out
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.mapping.value_states import ANY_FIELD
from verifywise_mlflow.normalizer.record import MAY_LACK_VALUE, PRECEDENCE_FIELDS

app = typer.Typer()

MAX_TEXTS: Final = 8
"""The maximum number of texts without a value that are printed for each value state; ``--json`` has all texts."""


@app.command()
def mapping(
    tenant: StoredTenantName,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="A field of the canonical record, such as owner.")],
    as_json: AsJson = False,
) -> None:
    """Show how a field of the record is filled for a tenant: sources, keys and values.

    Without tenants.yaml, it shows the mapping that the last sync used.
    """
    with exit_on_errors(as_json):
        if field not in PRECEDENCE_FIELDS:
            names = ", ".join(PRECEDENCE_FIELDS)
            sentence = f"{quote(field)} is not a field that the mapping fills; these are: {names}"
            raise unknown_name(sentence, field, PRECEDENCE_FIELDS)
        tag_mapping = mapping_of(tenant, as_json)
    rule = rule_of(field, tag_mapping)
    if as_json:
        sys.stdout.write(json.dumps({"field": field, **rule, "mapping_digest": tag_mapping.digest()}) + "\n")
        return
    rows = facts()
    for name, lines in {**rule, "texts_without_value": _briefly(field, tag_mapping)}.items():
        if lines:
            rows.add_row(name.replace("_", " "), escape("\n".join(lines)))
    out.print(rows)


def rule_of(field: str, tag_mapping: TagMapping) -> dict[str, list[str]]:
    """Return how a field is filled: sources, keys and values in order of precedence, without empty parts."""
    forms = {form: list(ways) for form, ways in tag_mapping.values.get(field, {}).items()}
    for form, globs in tag_mapping.value_patterns.get(field, {}).items():
        forms.setdefault(form, []).extend(globs)
    aliases = tag_mapping.aliases if field == "lifecycle_stage" else {}
    lines_by_name = {
        "first_place_that_has_one": [str(place) for place in tag_mapping.precedence.get(field, ())],
        "keys": list(tag_mapping.synonyms.get(field, ())),
        "keys_for_known_forms_only": list(tag_mapping.weak_synonyms.get(field, ())),
        "keys_for_denials_only": list(tag_mapping.denial_keys.get(field, ())),
        "key_patterns": list(tag_mapping.key_patterns.get(field, ())),
        "keys_that_ask": list(tag_mapping.questions.get(field, {})),
        "aliases": [f"{stage}: {', '.join(names)}" for stage, names in aliases.items()],
        "forms": [f"{form}: {', '.join(ways)}" for form, ways in forms.items()],
        "forms_that_fill_another_field": [
            f"{related}: {', '.join(forms_of_related)}"
            for related, forms_of_related in tag_mapping.related_fields.get(field, {}).items()
        ],
        "texts_without_value": [
            f"{scope}: {state}: {', '.join(texts)}" for scope, state, texts in _texts_without_value(field, tag_mapping)
        ],
        "stated_for_all_versions": [tag_mapping.defaults[field]] if field in tag_mapping.defaults else [],
    }
    return {name: lines for name, lines in lines_by_name.items() if lines}


def _texts_without_value(field: str, tag_mapping: TagMapping) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield the texts that are not values of a field, with their scope in the mapping and their value state."""
    for scope in (field, ANY_FIELD) if field in MAY_LACK_VALUE else ():
        for state, texts in tag_mapping.value_states.get(scope, {}).items():
            yield scope, state, tuple(texts)


def _briefly(field: str, tag_mapping: TagMapping) -> list[str]:
    """Return the first texts without a value, and how many more there are: the list of placeholders is long."""
    return [
        f"{scope}: {state}: {', '.join(texts[:MAX_TEXTS])}"
        + (f" and {len(texts) - MAX_TEXTS:,} more, see --json" if len(texts) > MAX_TEXTS else "")
        for scope, state, texts in _texts_without_value(field, tag_mapping)
    ]
