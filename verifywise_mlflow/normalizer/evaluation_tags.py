"""The tags that describe how a version was evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.record import Origin


def evaluation_tags(
    version_tags: Mapping[str, str], run_tags: Mapping[str, str], index: MappingIndex
) -> dict[str, Origin]:
    """Return the origins of the evaluation tags, by key. The version's tag overrides its run's."""
    run_values, version_values = (
        {key: raw for key, raw in tags.items() if raw.strip() and index.is_evaluation_key(key)}
        for tags in (run_tags, version_tags)
    )
    origins = {key: Origin("run tag", key, raw) for key, raw in run_values.items()}
    for key, raw in version_values.items():
        differs = key in run_values and run_values[key] != raw
        rule = f"the version's tag overrides its run's, which says {quote(run_values[key])}" if differs else None
        origins[key] = Origin("version tag", key, raw, rule=rule)
    return origins
