"""YAML as people mean it: a key that stands twice is an error, not the silent loss of the first."""

from __future__ import annotations

from collections.abc import Hashable

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a second equal key: of two tenants of one name, YAML itself would keep the last."""


def _mapping_of_unique_keys(loader: UniqueKeyLoader, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable):
            continue  # which construct_mapping refuses, with its line
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"{key!r} stands here a second time", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_of_unique_keys)
