"""Strict YAML for configuration files: a duplicate key is an error instead of silently replacing the first one.

YAML from customers' artifacts is another matter: ``artifacts/environment/untrusted_yaml.py`` builds plain strings from
parser events and constructs no values at all, so the two share no code.
"""

from __future__ import annotations

from collections.abc import Hashable

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys: of two tenants with one name, YAML itself would keep the last."""


class PackagedFileLoader(yaml.CSafeLoader):
    """The same for this package's own files, with libyaml's parser in C, which saves each process 0.2 s at its start.

    Not for the files of users: a deeply nested one could exhaust the stack of that parser.
    """


def load_strict_yaml(text: str) -> object:
    """Return the value of a YAML document.

    Raises:
        yaml.YAMLError: the text is not YAML, or a mapping has a duplicate key.
    """
    return yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader


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
