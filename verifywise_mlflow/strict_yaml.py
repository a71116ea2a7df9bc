"""YAML as people mean it: a key that stands twice is an error, not the silent loss of the first."""

from __future__ import annotations

from collections.abc import Hashable

import yaml

DEEPEST = 200
"""Collections within each other. libyaml is recursive: some thousands more would end the process."""


class UniqueKeyLoader(yaml.CSafeLoader):
    """A safe loader that refuses a second equal key: of two tenants of one name, YAML itself would keep the last.

    It is libyaml's, six times as fast as the one in Python: each run of Dagster reads the policy and the tenants' file.
    """

    def __init__(self, stream: str) -> None:
        """Take the text.

        Raises:
            yaml.YAMLError: it is no YAML, or too deep.
        """
        _refuse_depth(stream)
        super().__init__(stream)


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            problem = f"it is nested too deep: more than {DEEPEST} lists and mappings within each other"
            mark = event.start_mark
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)  # type: ignore[arg-type]  # libyaml's is like it


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
