"""Two versions side by side: every value that one version has, the differences, and what cannot be known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.services.comparison import ComparedValue, Comparison, compare
from verifywise_mlflow.services.version_dossier import dossiers
from verifywise_mlflow_tests.support.credit_tenant import CHALLENGER, CHAMPION, MODEL, credit_tenant
from verifywise_mlflow_tests.support.stored_states import day


@pytest.fixture(scope="module")
def comparison(postgres: EmbeddedPostgres) -> Iterator[Comparison]:
    with credit_tenant(postgres) as tenant, tenant.store.begin("acme") as session:
        champion, challenger = dossiers(session, [(MODEL, CHAMPION), (MODEL, CHALLENGER)], day(9))
        yield compare(session, champion, challenger)


def values_of(comparison: Comparison, section: str) -> dict[str, ComparedValue]:
    return {value.name: value for value in comparison.values if value.section == section}


def test_metrics_have_absolute_and_relative_differences(comparison: Comparison) -> None:
    metrics = values_of(comparison, "metrics")

    auc = metrics["auc"]
    assert (auc.first, auc.second, auc.differs) == ("0.8", "0.9", True)
    assert [auc.difference, auc.relative_difference] == pytest.approx([0.1, 0.125])
    assert metrics["same"].differs is False


def test_a_metric_that_is_not_a_number_differs_without_a_difference(comparison: Comparison) -> None:
    log_loss = values_of(comparison, "metrics")["log_loss"]

    assert (log_loss.second, log_loss.second_number) == ("nan", None)
    assert (log_loss.differs, log_loss.difference) == (True, None)


def test_parameters_are_compared_as_numbers_where_they_are(comparison: Comparison) -> None:
    parameters = values_of(comparison, "parameters")

    assert (parameters["depth"].difference, parameters["seed"].differs) == (1.0, False)
    assert (parameters["solver"].first, parameters["solver"].first_number) == ("lbfgs", None)


def test_data_sets_packages_and_tags_are_compared_by_name(comparison: Comparison) -> None:
    (data_set,) = values_of(comparison, "data sets").values()
    packages = values_of(comparison, "packages")

    assert (data_set.name, data_set.first) == ("loans (training)", "digest digest-3, s3://bucket/loans.parquet")
    assert (packages["scikit-learn"].first, packages["scikit-learn"].second) == ("==1.3.0", "==1.4.0")
    assert (packages["python"].differs, packages["lightgbm"].first) == (False, "any version")
    assert values_of(comparison, "version tags")["owner"].second == "Alan Turing"
    assert set(values_of(comparison, "run tags")) == {"team"}, "MLflow's own tags are left out"


def test_files_are_compared_by_their_hashes_and_unknown_without_one(comparison: Comparison) -> None:
    files = values_of(comparison, "files")

    assert [files[f"model/{name}"].differs for name in ("MLmodel", "model.pkl", "weights.bin")] == [False, True, None]
    assert files["model/model.pkl"].second == f"sha256 {'04' * 32}"
    assert files["model/weights.bin"].first == "not hashed, 1,000,000,000 bytes"


def test_verdicts_have_the_titles_of_their_rules(comparison: Comparison) -> None:
    verdicts = values_of(comparison, "verdicts")

    changed = {name: value for name, value in verdicts.items() if value.differs}
    assert changed
    assert all(value.note for value in verdicts.values())


def test_only_values_of_one_side_and_other_values_differ(comparison: Comparison) -> None:
    purpose = values_of(comparison, "record")["business purpose"]

    assert purpose in comparison.differing
    assert all(value.first != value.second for value in comparison.differing)
