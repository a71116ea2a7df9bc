"""Data sets have the names that other producers of lineage give them."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.delivery.openlineage.naming import DatasetName, data_set_name, run_uuid, version_name

SERVER = "https://mlflow.example:5000/prefix"


@pytest.mark.parametrize(
    ("source", "namespace", "name"),
    [
        ('{"uri": "s3://lake/churn/2026.parquet"}', "s3://lake", "churn/2026.parquet"),
        ('{"uri": "s3a://lake/churn/"}', "s3://lake", "churn"),
        ('{"uri": "gs://lake/churn"}', "gs://lake", "churn"),
        (
            '{"uri": "abfss://raw@account.dfs.core.windows.net/churn"}',
            "abfss://raw@account.dfs.core.windows.net",
            "churn",
        ),
        ('{"url": "https://user:secret@data.example/churn.csv?sig=secret"}', "https://data.example", "churn.csv"),
        ('{"uri": "hdfs://namenode:8020/churn"}', "hdfs://namenode:8020", "churn"),
        ('{"uri": "file:///data/churn.csv"}', "file", "/data/churn.csv"),
        ("s3://lake/churn", "s3://lake", "churn"),
        ('{"uri": "/home/ada/churn.csv"}', SERVER, "datasets/churn/d1"),
        ('{"uri": "s3://lake"}', SERVER, "datasets/churn/d1"),
        ('{"table_name": "catalog.schema.churn"}', SERVER, "datasets/churn/d1"),
        ('{"uri": "https://[broken/churn"}', SERVER, "datasets/churn/d1"),
        ("[1, 2]", SERVER, "datasets/churn/d1"),
        (None, SERVER, "datasets/churn/d1"),
    ],
)
def test_a_data_set_is_named_by_its_place(source: str | None, namespace: str, name: str) -> None:
    reference = {"name": "churn", "digest": "d1", "source": source}

    assert data_set_name(reference, SERVER) == DatasetName(namespace, name)


def test_a_data_set_of_a_tag_has_a_name_alone() -> None:
    assert data_set_name({"name": "churn", "digest": None, "source": None}, SERVER).name == "datasets/churn"


@given(st.text())
def test_any_source_gives_a_name(text: str) -> None:
    for source in (text, json.dumps({"uri": text})):
        assert data_set_name({"name": "churn", "digest": "d1", "source": source}, SERVER).name


def test_a_version_has_the_name_that_mlflow_uses() -> None:
    assert version_name("churn", 3, SERVER) == DatasetName(SERVER, "models:/churn/3")


@given(st.text())
def test_any_run_has_a_uuid(text: str) -> None:
    assert str(uuid.UUID(run_uuid(text))) == run_uuid(text)


def test_a_run_of_mlflow_keeps_its_id() -> None:
    assert uuid.UUID(run_uuid("8f0e6ad1b7a24a1f9a2c5d3b6e7f8091")).hex == "8f0e6ad1b7a24a1f9a2c5d3b6e7f8091"
