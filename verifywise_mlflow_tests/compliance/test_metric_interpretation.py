"""What a metric measured is found by the words of its name; levels are thresholds named after metrics."""

from __future__ import annotations

import math
from typing import Any

import pytest

from verifywise_mlflow.compliance.metric_interpretation import MAX_NAMED_GROUPS, MeasureReader, is_level


def measured(metrics: dict[str, object], **levels: float) -> Any:
    """Return what the metrics measured, under these levels."""
    return MeasureReader(levels).measures(metrics)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", "accuracy"),
        ("val_accuracy_score", "accuracy"),
        ("eval/F1Score", "f1"),
        ("test.roc-auc", "roc_auc"),
        ("balanced_accuracy", "balanced_accuracy"),
        ("average_precision_score", "pr_auc"),
        ("root_mean_squared_error", "rmse"),
        ("precision_at_10", "precision"),
    ],
)
def test_an_evaluation_metric_is_known_by_its_words(name: str, metric: str) -> None:
    (entry,) = measured({name: 0.5})["performance"]

    assert entry == {"name": name, "metric": metric, "value": 0.5}


@pytest.mark.parametrize(
    "name",
    [
        *("epoch", "loss", "loss_step", "lr", "learning_rate", "step", "duration_seconds", "recallable", "inaccuracy"),
        *("train_accuracy", "training_f1_score", "target_accuracy", "accuracy_threshold", "dummy_accuracy"),
        *("subgroup_dummy", "fairness_score", "accuracy_by_class_1", "recall_group", "accuracy_subgroup_all"),
    ],
)
def test_a_name_that_shows_no_evaluation_of_the_model_counts_for_nothing(name: str) -> None:
    found = measured({name: 0.5})

    assert [found[part] for part in ("performance", "fairness", "groups", "benchmarks")] == [[], [], [], []]


@pytest.mark.parametrize(("value", "is_possible"), [(0.0, True), (93.0, True), (100.5, False), (-0.1, False)])
def test_a_proportion_beyond_its_range_measures_nothing(value: float, is_possible: bool) -> None:
    found = measured({"accuracy": value, "recall_subgroup_women": value, "rmse": value})

    assert [entry["metric"] for entry in found["performance"]] == ["accuracy", "rmse"][not is_possible :]
    assert bool(found["groups"]) is is_possible


def test_values_of_the_same_metric_by_group_are_compared() -> None:
    (groups,) = measured(
        {"recall_subgroup_women": 0.6, "recall_subgroup_men": 0.8, "test_recall_subgroup_over_90": math.nan}
    )["groups"]

    assert groups["metric"] == "recall"
    assert groups["groups"] == ["men", "women"]
    assert (groups["count"], round(groups["difference"], 9), round(groups["ratio"], 9)) == (2, 0.2, 0.75)


def test_the_same_group_under_two_names_is_one_group() -> None:
    (groups,) = measured({"recall_subgroup_women": 0.6, "test_recall_by_women": 0.6})["groups"]

    assert groups["count"] == 1


@pytest.mark.parametrize(
    ("metrics", "difference", "ratio"),
    [
        ({"recall_subgroup_women": 0.4, "recall_subgroup_men": 0.8, "test_recall_subgroup_women": 0.8}, 0.4, 0.5),
        ({"test_recall_subgroup_women": 0.8, "recall_subgroup_men": 0.8, "recall_subgroup_women": 0.4}, 0.4, 0.5),
        ({"recall_subgroup_women": 0.2, "test_recall_subgroup_women": 1.0, "recall_subgroup_men": 0.8}, 0.6, 0.25),
        ({"recall_subgroup_women": 0.4, "test_recall_subgroup_women": 0.8}, 0.0, 1.0),
    ],
)
def test_no_value_of_a_group_hides_another_one(metrics: dict[str, object], difference: float, ratio: float) -> None:
    (groups,) = measured(metrics)["groups"]

    assert (round(groups["difference"], 9), round(groups["ratio"], 9)) == (difference, ratio)


def test_any_number_of_groups_is_counted_and_some_are_named() -> None:
    (groups,) = measured({f"recall_subgroup_g{number}": number / 1_000 for number in range(1_000)})["groups"]

    assert (groups["count"], len(groups["groups"]), groups["difference"]) == (1_000, MAX_NAMED_GROUPS, 0.999)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("demographic_parity_difference", "demographic_parity_difference"),
        ("Demographic-Parity-Diff_sex", "demographic_parity_difference"),
        ("disparate_impact", "disparate_impact"),
        ("equalized_odds_ratio", "equalized_odds_ratio"),
        ("recall_gap_by_sex", "recall_difference"),
    ],
)
def test_a_measure_of_fairness_is_known_by_its_words(name: str, measure: str) -> None:
    (entry,) = measured({name: 0.1})["fairness"]

    assert entry["metric"] == measure


def test_the_metric_of_another_model_is_a_benchmark() -> None:
    found = measured({"baseline_accuracy": 0.7, "champion_roc_auc": 0.8, "baseline": 1})

    assert (found["benchmarks"], found["performance"]) == (["baseline_accuracy", "champion_roc_auc"], [])


def test_a_level_applies_under_every_name_of_its_metric() -> None:
    found = measured(
        {"f1": 0.7, "val_f1_score": 0.6, "recall_subgroup_a": 0.5, "recall_subgroup_b": 0.9},
        least_f1_score=0.8,
        most_recall_difference=0.1,
    )

    assert [entry["least"] for entry in found["performance"]] == [0.8, 0.8]
    assert found["groups"][0]["most"] == 0.1
    assert found["levels"] == {"performance": ["least_f1_score"], "fairness": ["most_recall_difference"]}


def test_a_level_makes_a_metric_known() -> None:
    assert measured({"expected_shortfall": 1})["performance"] == []
    assert measured({"expected_shortfall": 1}, most_expected_shortfall=2)["performance"] == [
        {"name": "expected_shortfall", "metric": "expected_shortfall", "value": 1.0, "most": 2}
    ]


@pytest.mark.parametrize("metrics", [None, {}, True, "accuracy"])
def test_without_metrics_only_the_levels_are_known(metrics: Any) -> None:
    assert measured(metrics, least_accuracy=0.8) == {"levels": {"performance": ["least_accuracy"], "fairness": []}}


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        ("least_accuracy", True),
        ("most_demographic_parity_difference", True),
        ("least_f1_score", True),
        ("least_expected_shortfall", True),
        ("least_acuracy", False),
        ("most_demographic_parity_diference", False),
        ("most_productoin_versions", False),
        ("longest_days", False),
        ("accuracy", False),
    ],
)
def test_a_misspelled_name_is_no_level(threshold: str, expected: bool) -> None:
    assert is_level(threshold, {"most_production_versions"}) is expected
