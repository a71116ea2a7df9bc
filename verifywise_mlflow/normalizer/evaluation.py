"""The tags that tell how a version was evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.normalizer.vocabulary import Vocabulary


def evaluation_tags(
    version_tags: Mapping[str, str], run_tags: Mapping[str, str], vocabulary: Vocabulary
) -> dict[str, str]:
    """Return the tags whose key is about an evaluation, as written; the version's word goes before its run's."""
    return {
        key: value
        for tags in (run_tags, version_tags)
        for key, value in tags.items()
        if value.strip() and vocabulary.tells_of_evaluation(key)
    }
