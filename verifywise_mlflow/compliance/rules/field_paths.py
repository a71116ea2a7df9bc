"""Finds the values of a record that an expression reads, from the text of the expression, and selects these values.

A path is the name of a variable, followed by the names of members that the text spells out: ``("owner",)``,
``("runtime_environment", "python_version")``, ``("evaluation_tags", "suite name")``. If the text continues in a form
that is not recognized here, the path ends there and includes everything below. So a path may cover more than the
expression reads, but never less. A rule reads a record that is reduced to the rule's paths, so a verdict is based only
on the values that are stored with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from verifywise_mlflow.normalizer.record import FIELDS

Path: TypeAlias = tuple[str, ...]
Selection: TypeAlias = "dict[str, Selection | None]"
"""Name to the selected members. None means the whole value."""

STATED, THRESHOLDS, TODAY, INCOMPLETE = "stated", "thresholds", "today", "incomplete"
FINDINGS, FINDINGS_OF_KIND, FINDINGS_ABOUT = "findings", "findings_of_kind", "findings_about"
ORIGINS, UNREAD, MEASURES, MODEL_VERSIONS = "origins", "unread", "measures", "model_versions"
VULNERABILITIES, END_OF_LIFE = "vulnerabilities", "end_of_life"
ENVIRONMENT_FACTS: Final = (END_OF_LIFE, VULNERABILITIES)
"""The variables about the record's environment whose facts do not come from MLflow."""
CONTEXT_VARIABLES: Final = (
    *(END_OF_LIFE, FINDINGS, FINDINGS_OF_KIND, FINDINGS_ABOUT, INCOMPLETE, MEASURES, MODEL_VERSIONS, ORIGINS),
    *(THRESHOLDS, TODAY, UNREAD, VULNERABILITIES),
)
"""The variables that a rule can read in addition to the record's fields."""
VARIABLES: Final = (*FIELDS, *CONTEXT_VARIABLES)

_STRING_OR_COMMENT = re.compile(r"""[rR]?("{3}[\s\S]*?"{3}|'{3}[\s\S]*?'{3}|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')|//.*""")
_SIMPLE_STRING = re.compile(r""""[^"\\\n]*"|'[^'\\\n]*'""")
_MEMBER = r"""\.\w+\b(?!\s*\()|\[(?:"[^"]*"|'[^']*')\]"""
# A name directly after a dot is a member of the expression before the dot. Without such an expression, .owner is the
# variable.
_PATH = re.compile(rf"""(?<![\w"'])(?<![\w)\]}}"'`]\.)({"|".join((STATED, *VARIABLES))})\b((?:{_MEMBER})*)""")
_MEMBERS = re.compile(_MEMBER)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def paths_in(text: str) -> tuple[Path, ...]:
    """Return the paths that an expression names, each once, in order of appearance."""
    paths = [(match[1], *map(_member_name, _MEMBERS.findall(match[2]))) for match in _PATH.finditer(_code_only(text))]
    return tuple(dict.fromkeys(paths))


def dotted(path: Path) -> str:
    """Return a path as CEL writes it."""
    name, *members = path
    return name + "".join(f".{m}" if _IDENTIFIER.fullmatch(m) else f'["{m}"]' for m in members)


def field_of(path: Path) -> str:
    """Return the record's field that a path is about. If it is about no single field, return the variable."""
    if path[0] in (STATED, ORIGINS) and path[1:]:
        return path[1]
    if path[0] in ENVIRONMENT_FACTS:
        return "runtime_environment"
    return "metrics" if path[0] == MEASURES else path[0]


def selection_of(paths: Iterable[Path]) -> Selection:
    """Return all paths as one tree; a path to a whole value includes the paths to its parts."""
    tree: Selection = {}
    for path in paths:
        branch = tree
        for name in path[:-1]:
            below = branch.setdefault(name, {})
            if below is None:
                break
            branch = below
        else:
            branch[path[-1]] = None
    return tree


def value_at(path: Path, values: Mapping[str, object]) -> tuple[bool, object]:
    """Return whether there is a value at a path, and the value. Inside values, only a dict has members."""
    value: object = values if isinstance(values, dict) else dict(values)
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def _code_only(text: str) -> str:
    """Return an expression without comments and strings, except strings that name a member: ``tags["suite"]``."""

    def replacement(match: re.Match[str]) -> str:
        is_index = text[: match.start()].endswith("[") and text[match.end() :].startswith("]")
        return match[0] if is_index and _SIMPLE_STRING.fullmatch(match[0]) else '""'

    return _STRING_OR_COMMENT.sub(replacement, text)


def _member_name(code: str) -> str:
    return code[1:] if code.startswith(".") else code[2:-2]
