"""The tags that tell how a version was evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.normalizer.findings import quoted
from verifywise_mlflow.normalizer.mapping.mapping_index import Vocabulary
from verifywise_mlflow.normalizer.record import Origin


def evaluation_tags(
    version_tags: Mapping[str, str], run_tags: Mapping[str, str], vocabulary: Vocabulary
) -> dict[str, Origin]:
    """Return the tags whose key is about an evaluation, by key; the version's word goes before its run's."""
    of_run, of_version = (
        {key: raw for key, raw in tags.items() if raw.strip() and vocabulary.tells_of_evaluation(key)}
        for tags in (run_tags, version_tags)
    )
    origins = {key: Origin("run tag", key, raw) for key, raw in of_run.items()}
    for key, raw in of_version.items():
        differs = key in of_run and of_run[key] != raw
        rule = f"the version's tag goes before its run's, which says {quoted(of_run[key])}" if differs else None
        origins[key] = Origin("version tag", key, raw, rule=rule)
    return origins
