"""Which values of a record an expression names, told from its text, and those values alone taken out of a record.

A path is the name of a variable and of the members below it that the text writes out: ``("owner",)``,
``("runtime_environment", "python_version")``, ``("evaluation_tags", "suite name")``. Where a text goes on in a way
that is not told here, the path ends before it and stands for all that is below: more may be named than is looked at,
never less. What the rule is shown is cut down to its paths, so what is kept beside a verdict is all that it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from verifywise_mlflow.normalizer.record import FIELDS

Path: TypeAlias = tuple[str, ...]
Selection: TypeAlias = "dict[str, Selection | None]"
"""Name to what is wanted of it; None: all of it."""

STATED, THRESHOLDS, TODAY, FINDINGS, INCOMPLETE = "stated", "thresholds", "today", "findings", "incomplete"
CIRCUMSTANCES: Final = (FINDINGS, INCOMPLETE, THRESHOLDS, TODAY)
"""What a rule sees beside the record's fields."""
NAMES: Final = (*FIELDS, *CIRCUMSTANCES)

_STRING_OR_COMMENT = re.compile(r"""[rR]?("{3}[\s\S]*?"{3}|'{3}[\s\S]*?'{3}|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')|//.*""")
_SIMPLE_STRING = re.compile(r""""[^"\\\n]*"|'[^'\\\n]*'""")
_MEMBER = r"""\.\w+\b(?!\s*\()|\[(?:"[^"]*"|'[^']*')\]"""
# A name right behind a point is a member of what stands before, if anything does: .owner alone is the variable.
_PATH = re.compile(rf"""(?<![\w"'])(?<![\w)\]}}"'`]\.)({"|".join((STATED, *NAMES))})\b((?:{_MEMBER})*)""")
_MEMBERS = re.compile(_MEMBER)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def paths_in(text: str) -> tuple[Path, ...]:
    """Return the paths that an expression names, each once, in its order."""
    found = [(match[1], *map(_member, _MEMBERS.findall(match[2]))) for match in _PATH.finditer(_code(text))]
    return tuple(dict.fromkeys(found))


def dotted(path: Path) -> str:
    """Return a path as CEL writes it."""
    name, *members = path
    return name + "".join(f".{m}" if _IDENTIFIER.fullmatch(m) else f'["{m}"]' for m in members)


def selection_of(paths: Iterable[Path]) -> Selection:
    """Return all the paths as one tree; a path that is all of a value takes in those that are parts of it."""
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


def _code(text: str) -> str:
    """Return an expression without its comments and strings, but for those that name a member: ``tags["suite"]``."""

    def kept(match: re.Match[str]) -> str:
        is_index = text[: match.start()].endswith("[") and text[match.end() :].startswith("]")
        return match[0] if is_index and _SIMPLE_STRING.fullmatch(match[0]) else '""'

    return _STRING_OR_COMMENT.sub(kept, text)


def _member(written: str) -> str:
    return written[1:] if written.startswith(".") else written[2:-2]


def at(path: Path, values: Mapping[str, object]) -> tuple[bool, object]:
    """Return whether there is a value at a path, and the value. Within values, only a dict has members."""
    value: object = values if isinstance(values, dict) else dict(values)
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value
