"""The tags that describe how a version was evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.mapping.key_folding import split_words
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.origin import Origin

_DATA_WORDS: Final = frozenset({"data", "dataset", "datasets", "benchmark", "benchmarks"})
"""Words of keys whose text names data. Only under such a key, a placeholder is not a value."""


def evaluation_tags(
    version_tags: Mapping[str, str], run_tags: Mapping[str, str], index: MappingIndex
) -> dict[str, Origin]:
    """Return the origins of the evaluation tags, by key. The version's tag overrides the tag of the run."""
    run_values, version_values = (
        {key: raw for key, raw in tags.items() if raw.strip() and index.is_evaluation_key(key)}
        for tags in (run_tags, version_tags)
    )
    origins = {key: Origin("run tag", key, raw) for key, raw in run_values.items()}
    for key, raw in version_values.items():
        differs = key in run_values and run_values[key] != raw
        rule = f"the version's tag overrides its run's, which says {quote(run_values[key])}" if differs else None
        origins[key] = Origin("version tag", key, raw, rule=rule)
    return {key: _with_state(origin, index) for key, origin in origins.items()}


def _with_state(origin: Origin, index: MappingIndex) -> Origin:
    """Return the origin of a tag. If a tag such as `evaluation_dataset` names no data, add the reason."""
    if _DATA_WORDS.isdisjoint(split_words(origin.key)):
        return origin
    return replace(origin, state=index.value_state("dataset_reference", (origin.raw or "").strip()))


def evaluation_tag_findings(origins: Mapping[str, Origin]) -> Iterator[Finding]:
    """Yield a finding for each evaluation tag whose text is not a value."""
    for key, origin in origins.items():
        if origin.state:
            text = f"{origin.source} {quote(key)} is {quote(origin.raw or '')}, {origin.state.clause}"
            yield Finding("no value", "evaluation_tags", f"evaluation_tags: {text}, which is no value")
