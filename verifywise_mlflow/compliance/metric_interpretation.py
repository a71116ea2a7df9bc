"""Classifies a version's metrics by their names: performance, fairness, groups of people, and other models.

A rule reads the result as the variable ``measures``, a map with these members:

* ``performance``: the evaluation metrics, a list of ``{name, metric, value}``, where ``metric`` is the common name:
  ``val_F1_score`` is ``f1``. Values measured on training data, targets and impossible values are left out;
* ``fairness``: the measures between groups, a list of ``{name, metric, value}``: ``demographic_parity_difference``;
* ``groups``: each metric that was measured by group, a list of ``{metric, groups, count, difference, ratio}``:
  ``difference`` is the greatest value minus the smallest value of another group, and ``ratio`` is the smallest value
  divided by the greatest value of another group. Only finite values count, and all values of a group that has several;
* ``benchmarks``: the names of the metrics of other models, such as ``baseline_accuracy``;
* ``levels``: the names of the thresholds described below, as a map from ``performance`` and ``fairness`` to a list.

A threshold ``least_METRIC`` or ``most_METRIC`` states the level that a metric must reach: ``least_accuracy``,
``most_demographic_parity_difference``. A policy or a tenant sets the threshold. A threshold also makes its metric
known, even if metric_words.yaml does not list the metric. Each entry of the lists has the levels that apply to the
entry, as ``least`` and ``most``. In an entry of ``groups``, ``most`` has the levels of the difference, such as
``most_recall_difference``, and ``least`` the levels of the ratio.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict

from verifywise_mlflow.common.strict_yaml import PackagedFileLoader
from verifywise_mlflow.normalizer.mapping.key_folding import split_words
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping

MeasureValue: TypeAlias = "str | int | float | list[MeasureValue] | dict[str, MeasureValue]"
Words: TypeAlias = tuple[str, ...]

LEAST, MOST = "least_", "most_"
MAX_NAMED_GROUPS: Final = 20
"""The maximum number of groups that an entry names; ``count`` is the number of all groups."""
_MAX_PERCENT: Final = 100
_DIFFERENCE, _RATIO = "difference", "ratio"
_MISSPELLED: Final = 0.85
"""The minimum similarity, up to 1, at which a name counts as misspelled."""
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The names that the database returns for metrics that JSON cannot represent."""


class _Vocabulary(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    performance: Mapping[str, tuple[str, ...]]
    proportions: frozenset[str]
    fairness: tuple[str, ...]
    spreads: Mapping[str, tuple[str, ...]]
    groups: frozenset[str]
    no_groups: frozenset[str]
    splits: frozenset[str]
    not_evaluated: frozenset[str]
    benchmarks: frozenset[str]


@cache
def _vocabulary() -> _Vocabulary:
    text = (files("verifywise_mlflow.compliance") / "metric_words.yaml").read_text("utf-8")
    return _Vocabulary.model_validate(yaml.load(text, Loader=PackagedFileLoader))  # noqa: S506  # a CSafeLoader


def is_level(threshold: str, others: Collection[str]) -> bool:
    """Return whether a threshold that no rule names is the level of a metric. Any other name is probably misspelled.

    Args:
        threshold: the name of the threshold.
        others: the names of the other thresholds.
    """
    if not threshold.startswith((LEAST, MOST)):
        return False
    bound = LEAST if threshold.startswith(LEAST) else MOST
    metric = threshold.removeprefix(bound)
    if _metric_of(threshold) in _known_metrics():
        return True
    known = [*_known_metrics(), *(name.removeprefix(bound) for name in others)]
    return not get_close_matches(metric, known, 1, _MISSPELLED)


def describe_level(threshold: str, level: float) -> str:
    """Return what a level requires, as a clause: ``the metric accuracy is to be at least 0.8``."""
    bound = "at least" if threshold.startswith(LEAST) else "at most"
    return f"the metric {_metric_of(threshold)} is to be {bound} {level:g}"


def known_levels() -> list[str]:
    """Return the names of the thresholds that state levels of known metrics."""
    return [f"{bound}{metric}" for metric in sorted(_known_metrics()) for bound in (LEAST, MOST)]


@dataclass(frozen=True, slots=True)
class _Name:
    """The meaning of a metric's name."""

    kind: Literal["performance", "fairness", "group", "benchmark", ""]
    metric: str = ""
    group: str = ""


class MeasureReader:
    """Classifies the metrics of any number of versions, and finds the levels that the metrics must reach."""

    def __init__(self, levels: Mapping[str, float]) -> None:
        """Store the thresholds that state the level of a metric."""
        self.levels = levels
        self._words_of = _words_of_metrics(frozenset(map(_metric_of, self.levels)))
        self._by_metric: dict[str, dict[str, float]] = {}
        for name, level in self.levels.items():
            bound = LEAST if name.startswith(LEAST) else MOST
            self._by_metric.setdefault(_metric_of(name), {})[bound.rstrip("_")] = level
        self._name = lru_cache(maxsize=10_000)(self._read_name)

    def measures(self, metrics: object) -> dict[str, MeasureValue]:
        """Return the variable ``measures`` for the metrics of a version; without metrics, only the levels."""
        if not isinstance(metrics, Mapping) or not metrics:
            return {"levels": self._level_names()}
        performance: list[MeasureValue] = []
        fairness: list[MeasureValue] = []
        benchmarks: list[MeasureValue] = []
        by_group: dict[str, dict[str, list[float]]] = {}
        for name, raw in metrics.items():
            value = _NON_FINITE.get(raw) if isinstance(raw, str) else raw
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            read = self._name(name)
            if read.metric in _vocabulary().proportions and math.isfinite(value) and not 0 <= value <= _MAX_PERCENT:
                continue
            if read.kind == "group":
                if math.isfinite(value):
                    by_group.setdefault(read.metric, {}).setdefault(read.group, []).append(float(value))
            elif read.kind == "benchmark":
                benchmarks.append(name)
            elif read.kind:
                entry: MeasureValue = {
                    "name": name,
                    "metric": read.metric,
                    "value": float(value),
                    **self._by_metric.get(read.metric, {}),
                }
                (performance if read.kind == "performance" else fairness).append(entry)
        return {
            "performance": performance,
            "fairness": fairness,
            "groups": [self._groups(metric, values) for metric, values in by_group.items()],
            "benchmarks": benchmarks,
            "levels": self._level_names(),
        }

    def _groups(self, metric: str, values: Mapping[str, Sequence[float]]) -> MeasureValue:
        pairs = _most_different(values)
        levels: dict[str, MeasureValue] = {}
        for spread, bound in ((_DIFFERENCE, "most"), (_RATIO, "least")):
            level = self._by_metric.get(f"{metric}_{spread}", {}).get(bound)
            if level is not None:
                levels[bound] = level
        return {
            "metric": metric,
            "groups": [*sorted(values)[:MAX_NAMED_GROUPS]],
            "count": len(values),
            "difference": max(greatest - smallest for smallest, greatest in pairs),
            "ratio": min(
                smallest / greatest if greatest > 0 else 1.0 if smallest == greatest else 0.0
                for smallest, greatest in pairs
            ),
            **levels,
        }

    def _level_names(self) -> dict[str, MeasureValue]:
        names: dict[str, list[MeasureValue]] = {"performance": [], "fairness": []}
        for name in sorted(self.levels):
            names["fairness" if _is_fairness(_metric_of(name)) else "performance"].append(name)
        return {**names}

    def _read_name(self, name: str) -> _Name:
        vocabulary, words = _vocabulary(), split_words(name)
        if vocabulary.not_evaluated.intersection(words):
            return _Name("")
        if fairness := _fairness_in(words):
            return _Name("fairness", fairness)
        metric, rest = _metric_in(words, self._words_of)
        if not metric:
            return _Name("")
        if vocabulary.benchmarks.intersection(rest):
            return _Name("benchmark", metric)
        if not vocabulary.groups.intersection(rest):
            return _Name("performance", metric)
        spread = next((name for name, words in vocabulary.spreads.items() if {*words}.intersection(rest)), None)
        if spread:
            return _Name("fairness", f"{metric}_{spread}")
        of_group = tuple(word for word in rest if word not in vocabulary.groups and word not in vocabulary.splits)
        if not of_group or vocabulary.no_groups.intersection(of_group):
            return _Name("")
        return _Name("group", metric, " ".join(of_group))


def _most_different(values: Mapping[str, Sequence[float]]) -> Sequence[tuple[float, float]]:
    """Return the pairs of a smallest value and a greatest value of two groups that can differ most.

    A group has several values if a metric has several names, such as ``recall_women`` and ``test_recall_women``. All of
    them count, so that a good value does not hide a bad one. The values of one group are not compared with each other.
    """
    lowest = min(values, key=lambda group: min(values[group]))
    highest = max(values, key=lambda group: max(values[group]))
    smallest, greatest = min(values[lowest]), max(values[highest])
    if lowest != highest:
        return [(smallest, greatest)]
    others = [value for group, of_group in values.items() if group != lowest for value in of_group]
    return [(smallest, max(others)), (min(others), greatest)] if others else [(greatest, greatest)]


def _metric_of(threshold: str) -> str:
    metric = threshold.partition("_")[2]
    spread = _spread_of(metric)
    base = metric.removesuffix(f"_{spread}") if spread else metric
    common = _common_names().get(tuple(base.split("_")), base)
    return f"{common}_{spread}" if spread else common


def _spread_of(metric: str) -> str:
    return next((spread for spread in (_DIFFERENCE, _RATIO) if metric.endswith(f"_{spread}")), "")


def _is_fairness(metric: str) -> bool:
    return bool(_spread_of(metric)) or metric in _vocabulary().fairness


@cache
def _known_metrics() -> frozenset[str]:
    """Return the names of all known metrics: a threshold for a known metric is not misspelled."""
    metrics = frozenset((*_common_names().values(), *_vocabulary().fairness))
    return metrics.union(f"{metric}_{spread}" for metric in metrics for spread in (_DIFFERENCE, _RATIO))


@cache
def _common_names() -> Mapping[Words, str]:
    """Return the common name of each known metric of performance, by the words of its name."""
    names = {split_words(metric): metric for metric in default_mapping().metrics}
    for metric, others in _vocabulary().performance.items():
        names |= dict.fromkeys((split_words(name) for name in (metric, *others)), metric)
    return names


@lru_cache(maxsize=128)
def _words_of_metrics(extra: frozenset[str]) -> Mapping[str, Sequence[tuple[Words, str]]]:
    """Return the names of the known metrics by their first word, the longest first."""
    by_first: dict[str, list[tuple[Words, str]]] = {}
    names = {**{tuple(metric.split("_")): metric for metric in extra if not _is_fairness(metric)}, **_common_names()}
    for words, metric in sorted(names.items(), key=lambda item: -len(item[0])):
        by_first.setdefault(words[0], []).append((words, metric))
    return by_first


def _metric_in(words: Words, known: Mapping[str, Sequence[tuple[Words, str]]]) -> tuple[str, Words]:
    """Return the common name of the metric in the words, or an empty text if there is none, and the other words."""
    best: tuple[Words, str, int] | None = None
    for index, word in enumerate(words):
        for metric_words, metric in known.get(word, ()):
            if words[index : index + len(metric_words)] == metric_words:
                if best is None or len(metric_words) > len(best[0]):
                    best = (metric_words, metric, index)
                break
    if best is None:
        return "", words
    metric_words, metric, index = best
    return metric, words[:index] + words[index + len(metric_words) :]


def _fairness_in(words: Words) -> str:
    """Return the measure of fairness that the words contain, with its spread; empty if there is no measure."""
    vocabulary = _vocabulary()
    for measure in vocabulary.fairness:
        of_measure = tuple(measure.split("_"))
        if any(words[index : index + len(of_measure)] == of_measure for index in range(len(words))):
            spread = next(
                (name for name, synonyms in vocabulary.spreads.items() if {*synonyms}.intersection(words)), ""
            )
            return f"{measure}_{spread}" if spread else measure
    return ""
