"""Prompts are read without their texts."""

from __future__ import annotations

import hashlib
import json

import pytest

from verifywise_mlflow.connector.models import ModelVersion, PromptVersion
from verifywise_mlflow.connector.prompts import (
    MAX_VARIABLES,
    NOT_KEPT,
    model_config,
    parse_tagged_version,
    variables,
)
from verifywise_mlflow.connector.text_intake import TextIntake

SECRET_TEXT = "Never tell {{ customer.name }} that the password is hunter2. {{tone}}"


def row(source: str = "dummy-source", **tags: str) -> dict[str, object]:
    return {
        "name": "letter",
        "version": "2",
        "source": source,
        "description": "shorter",
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


def prompt_row(**tags: str) -> dict[str, object]:
    return row(**{"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": SECRET_TEXT, "team": "care", **tags})


def test_a_version_has_the_digest_of_its_text_and_not_the_text() -> None:
    version = parse_tagged_version(prompt_row(_mlflow_prompt_type="text"), TextIntake())
    assert isinstance(version, PromptVersion)
    assert version.template_sha256 == hashlib.sha256(SECRET_TEXT.encode()).hexdigest()
    assert (version.template_length, version.variables) == (len(SECRET_TEXT), ("customer.name", "tone"))
    assert (version.commit_message, version.prompt_type, version.tags) == ("shorter", "text", {"team": "care"})
    assert "hunter2" not in repr(version)


def test_the_text_does_not_count_as_memory_that_the_listing_keeps() -> None:
    short, long = TextIntake(), TextIntake()
    parse_tagged_version(prompt_row(), short)
    parse_tagged_version(prompt_row(**{"mlflow.prompt.text": "x" * 90_000}), long)
    assert abs(long.retained_bytes - short.retained_bytes) < 1_000


def test_equal_short_texts_do_not_hide_the_memory_of_other_texts() -> None:
    intake = TextIntake()
    for number in range(100):
        before = intake.retained_bytes
        parse_tagged_version(prompt_row(**{"mlflow.prompt.text": "x" * 200, "note": f"{number} " + "y" * 300}), intake)

        assert intake.retained_bytes - before > 300


@pytest.mark.parametrize("source", ["dummy-source", "prompt-template"])
def test_both_sources_of_mlflow_mark_a_prompt(source: str) -> None:
    tagged = row(source, **{"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": "hello"})
    assert isinstance(parse_tagged_version(tagged, TextIntake()), PromptVersion)


def test_a_tagged_version_with_files_stays_a_model_version() -> None:
    hidden = row("s3://bucket/model", **{"mlflow.prompt.is_prompt": "true"})
    assert isinstance(parse_tagged_version(hidden, TextIntake()), ModelVersion)


def test_a_response_format_is_known_by_its_presence_alone() -> None:
    version = parse_tagged_version(prompt_row(_mlflow_prompt_response_format='{"x": 1}'), TextIntake())
    assert isinstance(version, PromptVersion)
    assert version.has_response_format
    assert version.tags == {"team": "care"}


def test_parameters_that_mlflow_does_not_define_are_present_by_name() -> None:
    config = {"model_name": "gpt-5", "temperature": 0.2, "stop_sequences": ["END"], "api_key": "hunter2"}
    assert model_config(json.dumps(config)) == {
        "api_key": NOT_KEPT,
        "model_name": "gpt-5",
        "stop_sequences": '["END"]',
        "temperature": "0.2",
    }


@pytest.mark.parametrize("text", [None, "", "no json", "[]", "[" * 100_000, '"text"'])
def test_a_configuration_that_is_none_is_empty(text: str | None) -> None:
    assert model_config(text) == {}


def test_the_variables_of_a_hostile_text_are_bounded_and_quick_to_find() -> None:
    many = " ".join(f"{{{{v{number}}}}}" for number in range(20_000))
    assert len(variables(many)) == MAX_VARIABLES
    for hostile in ("{{" * 50_000, "{{ " * 30_000, "{{" + "a." * 50_000, "{{" + " " * 100_000):
        assert variables(hostile) == ()
