"""Parses untrusted YAML into plain text values: no types, no tags, no alias bombs.

The tree is built from the parser's events. So no tag constructs an object, every limit is checked before memory is
spent, and ``python: 3.10`` stays the text ``3.10`` (a YAML loader would convert it to the number 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

YamlValue: TypeAlias = "str | list[YamlValue] | dict[str, YamlValue]"

MAX_YAML_BYTES = 1024 * 1024
"""The largest file. Environment files have a few kilobytes; an MLmodel with a wide signature has a few hundred
kilobytes."""
MAX_YAML_DEPTH = 50
MAX_YAML_VALUES = 50_000
MAX_YAML_ALIASES = 20
"""The maximum number of aliases in a file. PyYAML writes an alias for an object that occurs twice; twenty aliases
cannot expand much."""

_STANDARD_TAGS = "tag:yaml.org,2002:"
_PLAIN_TYPES = frozenset({"str", "int", "float", "bool", "null", "timestamp", "binary", "seq", "map"})


class UnsafeYamlError(ValueError):
    """The document is malformed, or exceeds what an environment file needs in size, depth or features."""


def parse_yaml_mapping(content: bytes) -> dict[str, YamlValue]:
    """Return the document in ``content``, which must be a mapping. An empty document is an empty mapping.

    Raises:
        UnsafeYamlError: The content is malformed, is no mapping, or exceeds a limit. The message is a clause with the
            reason.
    """
    if len(content) > MAX_YAML_BYTES:
        raise UnsafeYamlError(f"larger than {MAX_YAML_BYTES} bytes")
    tree = _TreeBuilder()
    try:
        for event in yaml.parse(content, Loader=yaml.CBaseLoader):
            tree.take(event)
    except yaml.YAMLError as error:
        raise UnsafeYamlError(f"not YAML: {_error_position(error)}") from error
    except UnicodeError as error:
        raise UnsafeYamlError("not YAML: the bytes are not text") from error
    document = tree.documents[0] if tree.documents else ""
    if len(tree.documents) > 1:
        raise UnsafeYamlError("more than one YAML document")
    if document == "":
        return {}
    if not isinstance(document, dict):
        raise UnsafeYamlError("the document is not a mapping")
    return document


@dataclass(slots=True)
class _OpenCollection:
    """A list or mapping that has not ended yet."""

    value: list[YamlValue] | dict[str, YamlValue]
    anchor: str | None
    key: str | None = None


@dataclass(slots=True)
class _TreeBuilder:
    """Builds values from parser events and enforces the limits."""

    documents: list[YamlValue] = field(default_factory=list)
    open: list[_OpenCollection] = field(default_factory=list)
    anchors: dict[str, YamlValue] = field(default_factory=dict)
    aliases: int = 0
    values: int = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._check(event.tag)
                self._place(event.value, event.anchor)
            case yaml.SequenceStartEvent():
                self._begin(_OpenCollection([], event.anchor), event.tag)
            case yaml.MappingStartEvent():
                self._begin(_OpenCollection({}, event.anchor), event.tag)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                ended = self.open.pop()
                self._place(ended.value, ended.anchor)
            case yaml.AliasEvent():
                self.aliases += 1
                # An anchor is registered when its collection ends, so nothing can contain itself.
                if self.aliases > MAX_YAML_ALIASES or event.anchor not in self.anchors:
                    raise UnsafeYamlError("too many aliases, or an unknown or circular one")
                self._place(self.anchors[event.anchor], None)

    def _begin(self, opened: _OpenCollection, tag: str | None) -> None:
        self._check(tag)
        if len(self.open) == MAX_YAML_DEPTH:
            raise UnsafeYamlError(f"nested deeper than {MAX_YAML_DEPTH} levels")
        self.open.append(opened)

    def _check(self, tag: str | None) -> None:
        self.values += 1
        if self.values > MAX_YAML_VALUES:
            raise UnsafeYamlError(f"more than {MAX_YAML_VALUES} values")
        if tag not in (None, "!") and not (
            tag.startswith(_STANDARD_TAGS) and tag.removeprefix(_STANDARD_TAGS) in _PLAIN_TYPES
        ):
            raise UnsafeYamlError("a YAML tag other than those of plain values")

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
            raise UnsafeYamlError("a mapping key that is not text")


def _error_position(error: yaml.YAMLError) -> str:
    """Return the position of the error without quoting the file: a customer's content must not reach our logs."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"line {mark.line + 1}" if mark else "its bytes are not text"
