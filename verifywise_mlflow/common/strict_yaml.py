"""Strict YAML for configuration files: a duplicate key is an error instead of silently replacing the first value.

YAML from customers' artifacts is parsed by ``artifacts/environment/untrusted_yaml.py``. This module builds plain
strings from parser events and constructs no values, so the two modules share no code.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import yaml

_MAX_DEPTH: Final = 50
"""The depth beyond which a document is read by Python's parser, not by libyaml's. No configuration file is as deep."""


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys: without it, the last of two equal keys would count."""


IMPOSSIBLE_VALUE_ERRORS: Final = (ValueError, LookupError, AttributeError)
"""PyYAML's errors for a value that its type does not have: ``2026-13-01``, ``!!bool x``, ``!!timestamp x``."""


class _ValueCheckingLoader(UniqueKeyLoader):
    """A ``UniqueKeyLoader`` that reports the place of an impossible value, without quoting the value."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Construct the value of a node."""
        try:
            return super().construct_object(node, deep)
        except IMPOSSIBLE_VALUE_ERRORS:
            problem = "this value is impossible: correct it, or quote it if it is a text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


class PackagedFileLoader(yaml.CSafeLoader):
    """A ``UniqueKeyLoader`` with libyaml's parser in C, for this package's own files. It takes a tenth of the time.

    A deeply nested file could exhaust the stack of libyaml's parser.
    """


def load_strict_yaml(text: str) -> object:
    """Return the value of a YAML document.

    Raises:
        yaml.YAMLError: the text is not YAML, a mapping has a duplicate key, or a value is impossible: 2026-13-01.
    """
    # Each run reads tenants.yaml: with 200 tenants, Python's parser takes longer than a sync without changes.
    if (value := _load_by_libyaml(text)) is not None:
        return value
    return yaml.load(text, Loader=_ValueCheckingLoader)  # noqa: S506  # a SafeLoader


def _load_by_libyaml(text: str) -> object:
    """Return the value; None if it is null, deeply nested or invalid: the loader in Python has better messages."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                return None
        return yaml.load(text, Loader=PackagedFileLoader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, *IMPOSSIBLE_VALUE_ERRORS):
        return None


def _construct_mapping(loader: UniqueKeyLoader | PackagedFileLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable):
            continue  # construct_mapping refuses it and names its line
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r}", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
PackagedFileLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
