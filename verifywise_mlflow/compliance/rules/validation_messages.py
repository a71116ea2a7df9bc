"""Tells what is wrong with a policy's files: in which file and line, of which rule, in which field, how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from verifywise_mlflow.compliance.rules.yaml_source import WrittenFile

Place = tuple[str | int, ...]


def complaints(error: ValidationError, head: WrittenFile, rules: Sequence[tuple[WrittenFile, int]] = ()) -> list[str]:
    """Return one sentence per error, each beginning with its place: ``ours.yaml:12: rule 'owner': requires: ...``.

    Args:
        error: what pydantic found.
        head: the file in which everything stands that is no rule.
        rules: of each rule, the file in which it stands, and as which of that file's rules.
    """
    details = error.errors(include_url=False)
    return [_complaint(head, rules, detail) for detail in details if not _is_echo(detail, details)]


_MENDS = {
    "missing": "it is needed and not there",
    "extra_forbidden": "there is no such field: mend its name or take it out",
    "too_short": "name at least one",
    "tuple_type": "write a list, each entry behind a hyphen",
    "model_type": "write its fields here, each with its value behind a colon",
    "mapping_type": "write its fields here, each with its value behind a colon",
    "string_type": "write a text; YAML reads true, 3 and 2026-01-01 as something else unless they are in quotes",
}


def _is_echo(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Pydantic does not count an entry that is wrong, and then finds the list too short as well.

    And it complains of a value in an example's record once for each type that it could have had.
    """
    place = detail["loc"]
    if place[-1:] == ("datetime",):
        return any(other is not detail and other["loc"][: len(place) - 1] == place[:-1] for other in details)
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _complaint(head: WrittenFile, rules: Sequence[tuple[WrittenFile, int]], detail: ErrorDetails) -> str:
    place: Place = detail["loc"]
    if detail["type"] == "duplicate_rule":
        place = ("rules", detail["ctx"]["index"], "id")
    file = head
    match place:
        case ("rules", int(index), *rest) if index < len(rules):
            file, index_there = rules[index]
            place = ("rules", index_there, *rest)
    mend = _MENDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    return ": ".join([f"{file.path}:{file.line(place)}", *_named(file, place), mend])


def _named(file: WrittenFile, place: Place) -> list[str]:
    """Name the rule, by its id where it has one, and the field in it."""
    match place:
        case ("rules", int(index), *rest):
            rules = file.document["rules"]
            rule = rules[index] if isinstance(rules, list) else None
            rule_id = rule.get("id") if isinstance(rule, Mapping) else None
            named = [f"rule {rule_id!r}" if rule_id else f"rule number {index + 1}"]
        case _:
            named, rest = [], list(place)
    # Pydantic puts the name of a key or of a type of a union behind the field; people do not write those.
    written = takewhile(lambda part: not str(part).startswith("json-or-python"), rest)
    field = ".".join(str(part) for part in written if part not in {"[key]", "datetime", "json"})
    return [*named, field] if field else named
