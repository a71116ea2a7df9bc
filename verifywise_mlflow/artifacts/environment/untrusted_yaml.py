"""YAML from strangers, as plain text values: no types, no tags, no bombs.

The tree is built from the parser's events, so nothing is ever constructed from a tag, every bound is checked before
memory is spent, and ``python: 3.10`` stays ``3.10`` (a YAML loader makes the number 3.1 of it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

YamlValue: TypeAlias = "str | list[YamlValue] | dict[str, YamlValue]"

MAX_BYTES = 1024 * 1024
"""Real environment files have some kilobytes; an MLmodel with a wide signature some hundred."""
MAX_DEPTH = 50
MAX_VALUES = 50_000
MAX_ALIASES = 20
"""PyYAML writes one for an object that occurs twice. Twenty cannot unfold into anything large."""

_STANDARD_TAGS = "tag:yaml.org,2002:"
_PLAIN_TYPES = frozenset({"str", "int", "float", "bool", "null", "timestamp", "binary", "seq", "map"})


class RefusedYamlError(ValueError):
    """The document is broken, or larger, deeper or cleverer than any environment file has reason to be."""


def read_yaml_mapping(content: bytes) -> dict[str, YamlValue]:
    """The one document in ``content``, which has to be a mapping; an empty one is an empty mapping.

    Raises:
        RefusedYamlError: With the reason as a short sentence.
    """
    if len(content) > MAX_BYTES:
        raise RefusedYamlError(f"larger than {MAX_BYTES} bytes")
    tree = _Tree()
    try:
        for event in yaml.parse(content, Loader=yaml.CBaseLoader):
            tree.take(event)
    except yaml.YAMLError as error:
        raise RefusedYamlError(f"no YAML: {_place_of(error)}") from error
    except UnicodeError as error:
        raise RefusedYamlError("no YAML: the bytes are no text") from error
    document = tree.documents[0] if tree.documents else ""
    if len(tree.documents) > 1:
        raise RefusedYamlError("more than one YAML document")
    if document == "":
        return {}
    if not isinstance(document, dict):
        raise RefusedYamlError("the document is no mapping")
    return document


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    value: list[YamlValue] | dict[str, YamlValue]
    anchor: str | None
    key: str | None = None


@dataclass(slots=True)
class _Tree:
    documents: list[YamlValue] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, YamlValue] = field(default_factory=dict)
    aliases: int = 0
    values: int = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._check(event.tag)
                self._place(event.value, event.anchor)
            case yaml.SequenceStartEvent():
                self._begin(_Open([], event.anchor), event.tag)
            case yaml.MappingStartEvent():
                self._begin(_Open({}, event.anchor), event.tag)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                ended = self.open.pop()
                self._place(ended.value, ended.anchor)
            case yaml.AliasEvent():
                self.aliases += 1
                # A collection's anchor is known only once it has ended, so nothing can contain itself.
                if self.aliases > MAX_ALIASES or event.anchor not in self.anchors:
                    raise RefusedYamlError("aliases that are too many, unknown or circular")
                self._place(self.anchors[event.anchor], None)

    def _begin(self, opened: _Open, tag: str | None) -> None:
        self._check(tag)
        if len(self.open) == MAX_DEPTH:
            raise RefusedYamlError(f"nested deeper than {MAX_DEPTH} levels")
        self.open.append(opened)

    def _check(self, tag: str | None) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise RefusedYamlError(f"more than {MAX_VALUES} values")
        if tag not in (None, "!") and not (
            tag.startswith(_STANDARD_TAGS) and tag.removeprefix(_STANDARD_TAGS) in _PLAIN_TYPES
        ):
            raise RefusedYamlError("a YAML tag that asks for more than plain values")

    def _place(self, value: YamlValue, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = value
        if not self.open:
            self.documents.append(value)
            return
        parent = self.open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is not None:
            parent.value[parent.key] = value
            parent.key = None
        elif isinstance(value, str):
            parent.key = value
        else:
            raise RefusedYamlError("a mapping key that is no text")


def _place_of(error: yaml.YAMLError) -> str:
    """Where the fault lies, without quoting the file: what a customer's file says is not for our logs."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"line {mark.line + 1}" if mark else "its bytes are no text"
