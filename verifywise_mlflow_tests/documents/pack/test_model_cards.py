"""The model cards are readable by the tools for their formats, and contain only what is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping

from huggingface_hub import ModelCard, ModelCardData

from verifywise_mlflow_tests.documents.pack.packed_versions import CHURN, HOSTILE, PackedTenant, json_of, packed


def test_hugging_faces_library_reads_the_head_and_the_metrics(fraud_files: Mapping[str, bytes]) -> None:
    data = ModelCard(fraud_files["model-card.md"].decode()).data

    assert isinstance(data, ModelCardData)
    assert (data.model_name, data.library_name) == ("fraud", "sklearn")
    assert data.eval_results is not None
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    assert results["auc"] == 0.91
    assert "loss" not in results  # NaN is not a result
    assert data.datasets is None  # no data set of the hub
    assert {result.dataset_name for result in data.eval_results} == {"not recorded in MLflow"}


def test_the_text_of_the_card_acts_as_no_markup(fraud_files: Mapping[str, bytes]) -> None:
    text = fraud_files["model-card.md"].decode().partition("\n---\n")[2]
    outside_code = re.sub(r"`[^`\n]*`", "", text)

    assert re.findall(r"(?<!\\)[<>\[\]]", outside_code) == []
    assert "\u202e" not in text
    assert "Decides which payments a person reviews." in text
    assert HOSTILE not in text


def test_without_metrics_there_is_no_model_index(packed_tenant: PackedTenant) -> None:
    card = ModelCard(packed(packed_tenant.store, CHURN)["model-card.md"].decode())

    assert isinstance(card.data, ModelCardData)
    assert card.data.eval_results is None
    assert "Not recorded in MLflow." in card.text
    assert "## What cannot be known from MLflow" in card.text
    assert "the server returned 403" in card.text


def test_the_json_card_has_the_sections_of_its_schema(fraud_files: Mapping[str, bytes]) -> None:
    card = json_of(fraud_files, "model-card.json")

    assert set(card) == {
        *("schema_version", "model_details", "model_parameters", "quantitative_analysis", "considerations"),
    }
    assert card["model_details"]["owners"] == [{"name": "Team Fraud"}]
    assert {"type": "auc", "value": "0.91"} in card["quantitative_analysis"]["performance_metrics"]
    assert any("MLflow records nothing for" in item["description"] for item in card["considerations"]["limitations"])
