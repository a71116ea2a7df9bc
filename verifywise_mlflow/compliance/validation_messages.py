"""Validation errors of a YAML file as sentences: file and line, rule, field, what is wrong and how to correct it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from verifywise_mlflow.common.validation_errors import correction_for
from verifywise_mlflow.compliance.yaml_source import YamlSource

Location = tuple[str | int, ...]


def validation_messages(
    error: ValidationError, head: YamlSource, rules: Sequence[tuple[YamlSource, int]] = ()
) -> list[str]:
    """Return one sentence per error, each beginning with its location: ``ours.yaml:12: rule 'owner': requires: ...``.

    Args:
        error: pydantic's errors.
        head: the file that contains everything except the rules.
        rules: for each rule, the file and the rule's index in the file.
    """
    details = error.errors(include_url=False)
    return [_message(head, rules, detail) for detail in details if not _is_duplicate(detail, details)]


_CORRECTIONS = {
    "too_short": "the list is empty: add at least one entry",
    "tuple_type": "write a list, each entry after a hyphen",
    "model_type": "write the fields here, each with its value after a colon",
    "mapping_type": "write the fields here, each with its value after a colon",
    "string_type": "write a text; YAML reads true, 3 and 2026-01-01 as other types unless they are quoted",
}


def _is_duplicate(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Return whether an error only repeats another error.

    Pydantic does not count an invalid entry, so it also reports that the list is too short. For a value of an example's
    record, it reports one error for each type that the field allows.
    """
    location = detail["loc"]
    if location[-1:] == ("datetime",):
        return any(other is not detail and other["loc"][: len(location) - 1] == location[:-1] for other in details)
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details
    )


def _message(head: YamlSource, rules: Sequence[tuple[YamlSource, int]], detail: ErrorDetails) -> str:
    location: Location = detail["loc"]
    if detail["type"] == "duplicate_rule":
        location = ("rules", detail["ctx"]["index"], "id")
    source = head
    match location:
        case ("rules", int(index), *field_path) if index < len(rules):
            source, index_in_file = rules[index]
            location = ("rules", index_in_file, *field_path)
    correction = correction_for(detail["type"], detail["msg"], _CORRECTIONS)
    return ": ".join([f"{source.path}:{source.line_of(location)}", *_rule_and_field(source, location), correction])


def _rule_and_field(source: YamlSource, location: Location) -> list[str]:
    """Return the words that locate an error: the ID of the rule, or its number if it has no ID, and the field."""
    match location:
        case ("rules", int(index), *field_path):
            rules = source.document["rules"]
            rule = rules[index] if isinstance(rules, list) else None
            rule_id = rule.get("id") if isinstance(rule, Mapping) else None
            names = [f"rule {rule_id!r}" if rule_id else f"rule number {index + 1}"]
        case _:
            names, field_path = [], list(location)
    # Pydantic appends the name of a key or of a union's type to the field; these do not occur in the file.
    parts = takewhile(lambda part: not str(part).startswith("json-or-python"), field_path)
    field = ".".join(str(part) for part in parts if part not in {"[key]", "datetime", "json"})
    return [*names, field] if field else names
