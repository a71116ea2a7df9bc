"""The bills of materials: valid by the official schemas, with data sets, packages, hashes and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_python_model import v3_0_1 as spdx

from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow_tests.documents.pack.packed_versions import CHURN, PackedTenant, json_of, packed


@pytest.fixture(scope="module")
def churn_files(packed_tenant: PackedTenant) -> Mapping[str, bytes]:
    """The files of the pack of the version that could not be read completely."""
    return packed(packed_tenant.store, CHURN)


@pytest.mark.parametrize("pack", ["fraud_files", "churn_files"])
def test_cyclonedx_is_valid_by_the_official_schemas(pack: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(pack)["bom.cdx.json"].decode()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    as_1_7 = text.replace('"specVersion": "1.6"', '"specVersion": "1.7"').replace("bom-1.6", "bom-1.7")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(as_1_7) is None


def test_cyclonedx_has_data_sets_packages_hashes_and_metrics(fraud_files: Mapping[str, bytes]) -> None:
    document = json_of(fraud_files, "bom.cdx.json")
    model = document["metadata"]["component"]
    by_type = {kind: [item for item in document["components"] if item["type"] == kind] for kind in ("data", "library")}

    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "fraud", "3")
    metrics = {item["type"]: item["value"] for item in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert (metrics["auc"], metrics["loss"]) == ("0.91", "nan")
    assert [item["ref"] for item in model["modelCard"]["modelParameters"]["datasets"]] == ["data:1", "data:2"]
    assert by_type["data"][0]["data"][0]["name"] == "payments-2025"
    urls = [PackageURL.from_string(item["purl"]) for item in by_type["library"]]
    assert [(url.type, url.name, url.version) for url in urls] == [
        ("pypi", "scikit-learn", "1.9.1"),
        ("pypi", "numpy", None),  # a range is not a version
    ]
    hashes = {item["name"]: item["hashes"][0]["content"] for item in model["components"]}
    assert hashes["model.pkl"] == "0f" * 32
    properties = {item["name"]: item["value"] for item in model["properties"]}
    assert properties["verifywise:record:owner"] == "Team Fraud"
    assert properties["verifywise:record:owner:source"] == "version tag"
    assert "verifywise:unknown:validator" in properties


def test_cyclonedx_has_every_text_of_the_record(fraud_files: Mapping[str, bytes]) -> None:
    record = json_of(fraud_files, "record.json")["record"]
    model = json_of(fraud_files, "bom.cdx.json")["metadata"]["component"]
    texts = {name for name, spec in FIELD_SPECS.items() if spec.type is FieldType.TEXT and record[name] is not None}

    properties = {item["name"].removeprefix("verifywise:record:") for item in model["properties"]}

    assert texts - properties == {"model_name", "description", "business_purpose"}
    assert model["description"].startswith(record["description"][:10])
    assert model["modelCard"]["considerations"]["useCases"][0].startswith(record["business_purpose"][:10])


def test_what_was_not_read_has_no_hash_and_is_named_unknown(churn_files: Mapping[str, bytes]) -> None:
    model = json_of(churn_files, "bom.cdx.json")["metadata"]["component"]

    report = next(item for item in model["components"] if item["name"] == "eval/bias.json")
    assert "hashes" not in report
    properties = {item["name"]: item["value"] for item in model["properties"]}
    assert properties["verifywise:unknown:metrics"] == "what could have it was not read"
    assert "quantitativeAnalysis" not in model["modelCard"]


def test_spdx_is_read_back_by_the_bindings_with_the_profiles_ai_and_dataset(fraud_files: Mapping[str, bytes]) -> None:
    objects = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().deserialize_data(json.loads(fraud_files["spdx.json"]), objects)

    (document,) = objects.foreach_type(spdx.SpdxDocument)
    (model,) = objects.foreach_type(spdx.ai_AIPackage)
    data_sets = {item.name: item for item in objects.foreach_type(spdx.dataset_DatasetPackage)}
    relations = {str(item.relationshipType).rpartition("/")[2] for item in objects.foreach_type(spdx.Relationship)}
    hashes = {
        item.name: [method.hashValue for method in item.verifiedUsing if isinstance(method, spdx.Hash)]
        for item in objects.foreach_type(spdx.software_File)
    }
    metrics = {entry.key: entry.value for entry in model.ai_metric if isinstance(entry, spdx.DictionaryEntry)}
    assert {str(profile).rpartition("/")[2] for profile in document.profileConformance} == {
        *("core", "software", "ai", "dataset"),
    }
    assert (model.name, model.software_packageVersion) == ("fraud", "3")
    assert metrics["auc"] == "0.91"
    assert "payments-2025" in data_sets
    assert {"trainedOn", "testedOn", "contains", "dependsOn"} <= relations
    assert hashes["model/model.pkl"] == ["0f" * 32]
