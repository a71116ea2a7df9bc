"""Tells what is wrong with a policy file: in which line, of which rule, in which field, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails


def complaints(error: ValidationError, document: Mapping[object, object], tree: yaml.Node) -> list[str]:
    """Return one sentence per error, each beginning with its line: ``12: rule 'owner': requires: ...``.

    Args:
        error: what pydantic found.
        document: what the file says.
        tree: the same as YAML nodes, which know their lines.
    """
    details = error.errors(include_url=False)
    return [_complaint(document, tree, detail) for detail in details if not _is_echo(detail, details)]


_MENDS = {
    "missing": "it is needed and not there",
    "extra_forbidden": "there is no such field: mend its name or take it out",
    "too_short": "name at least one",
    "string_type": "write a text; YAML reads true, 3 and 2026-01-01 as something else unless they are in quotes",
}


def _is_echo(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Pydantic does not count an entry that is wrong, and then finds the list too short as well."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _complaint(document: Mapping[object, object], tree: yaml.Node, detail: ErrorDetails) -> str:
    place = detail["loc"]
    if detail["type"] == "duplicate_rule":
        place = ("rules", detail["ctx"]["index"], "id")
    mend = _MENDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    parts = [str(_line(tree, place)), *_named(document, place), mend]
    return ": ".join(parts)


def _named(document: Mapping[object, object], place: tuple[str | int, ...]) -> list[str]:
    """Name the rule, by its id where it has one, and the field in it."""
    match place:
        case ("rules", int(index), *rest):
            rules = document["rules"]
            rule = rules[index] if isinstance(rules, list) else None
            rule_id = rule.get("id") if isinstance(rule, Mapping) else None
            named = [f"rule {rule_id!r}" if rule_id else f"rule number {index + 1}"]
        case _:
            named, rest = [], list(place)
    # Pydantic puts the name of a key or of a type of a union behind the field; people do not write those.
    field = ".".join(str(part) for part in rest if part not in {"[key]", "datetime", "json"})
    return [*named, field] if field else named


def _line(tree: yaml.Node, place: tuple[str | int, ...]) -> int:
    """Return the line in which the place stands, or of the innermost part of it that is there; the first is 1."""
    node, line = tree, tree.start_mark.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
            if not found:
                break
            key, node = found[0]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
