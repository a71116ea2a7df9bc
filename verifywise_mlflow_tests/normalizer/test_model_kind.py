"""The kind of a model, from tags, MLmodel and packages; and the prompts that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import yaml

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.connector.models import LoggedModel
from verifywise_mlflow.normalizer.artifact_texts import artifact_texts
from verifywise_mlflow.normalizer.mapping.value_sources import SOURCE_ATTRIBUTES
from verifywise_mlflow.normalizer.normalized_record import NormalizedRecord
from verifywise_mlflow.normalizer.prompt_reference import prompt_findings
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences

LINKED = '[{"name": "summary", "version": "3"}, {"name": "tone", "version": "1"}]'
CUSTOM: Mapping[str, Mapping[str, str]] = {"python_function": {"loader_module": "mlflow.pyfunc.model"}}


def version(
    flavors: Mapping[str, Mapping[str, str]],
    *,
    task: str | None = None,
    prompts: Sequence[str] = (),
    packages: str = "",
    tags: Mapping[str, str] | None = None,
    logged_model: LoggedModel | None = None,
) -> NormalizedRecord:
    """Return the record of a version with this MLmodel and these packages."""
    mlmodel = {"flavors": flavors, "metadata": {"task": task}, "prompts": list(prompts) or None}
    files = {"MLmodel": yaml.safe_dump(mlmodel).encode(), "requirements.txt": packages.encode()}
    manifest = ArtifactManifest("s3://m/3", "complete", None, (), read_environment(files), None)
    return normalized(replace(inputs(version_tags=tags), manifest=manifest, logged_model=logged_model))


@pytest.mark.parametrize(
    ("flavors", "task", "kind"),
    [
        ({"openai": {"task": "chat.completions"}}, None, "generative"),
        ({"langchain": {}}, None, "generative"),
        ({"dspy": {}}, None, "generative"),
        ({"llama_index": {}}, None, "generative"),
        ({"transformers": {"task": "text-generation"}}, None, "generative"),
        ({"transformers": {"task": "llm/v1/chat"}}, "llm/v1/chat", "generative"),
        ({"transformers": {"task": "translation_en_to_fr"}}, None, "generative"),
        ({"transformers": {"task": "text-classification"}}, None, "predictive"),
        ({"transformers": {}}, None, None),
        ({"transformers": {"task": "feature-extraction"}}, "llm/v1/embeddings", None),
        ({"sklearn": {}}, None, "predictive"),
        ({"sklearn": {}, "langchain": {}}, None, "generative"),
        ({"openai": {}}, "text-classification", "generative"),
        (CUSTOM, "agent/v1/responses", "generative"),
        (CUSTOM, "agent/v2/chat", "generative"),
        (CUSTOM, None, None),
    ],
)
def test_mlmodel_tells_the_kind_of_a_model_without_a_tag(
    flavors: Mapping[str, Mapping[str, str]], task: str | None, kind: str | None
) -> None:
    result = version(flavors, task=task)

    assert result.record.model_kind == kind
    assert {finding.kind for finding in result.findings if finding.field == "model_kind"} <= {"conflict"}


def test_own_code_with_the_client_of_a_language_model_is_generative() -> None:
    assert version(CUSTOM, packages="openai==2.1\nscikit-learn==1.9.1\n").record.model_kind == "generative"
    assert version(CUSTOM, packages="scikit-learn==1.9.1\n").record.model_kind is None
    assert version({"sklearn": {}}, packages="openai==2.1\n").record.model_kind == "predictive"


def test_a_logged_model_of_the_type_agent_is_generative() -> None:
    assert version(CUSTOM, logged_model=LoggedModel("m-1", model_type="agent")).record.model_kind == "generative"
    assert version(CUSTOM, logged_model=LoggedModel("m-1", model_type="champion")).record.model_kind is None


@pytest.mark.parametrize("model_type", ["none", "TBD", "n/a"])
def test_a_logged_model_without_a_real_type_says_nothing(model_type: str) -> None:
    result = version(CUSTOM, logged_model=LoggedModel("m-1", model_type=model_type))

    assert result.record.model_kind is None
    assert result.findings == ()


def test_a_tag_that_contradicts_mlmodel_is_a_conflict() -> None:
    result = version({"openai": {}}, tags={"model_kind": "predictive"})

    assert result.record.model_kind == "predictive"
    assert [(finding.kind, finding.field) for finding in result.findings] == [("conflict", "model_kind")]
    assert sentences(result) == [
        "model_kind: version tag 'model_kind' says predictive and was used, but "
        "artifact 'MLmodel flavors' says generative"
    ]


def test_a_placeholder_does_not_hide_what_mlmodel_says() -> None:
    assert version({"openai": {}}, tags={"model_kind": "TBD"}).record.model_kind == "generative"


def test_every_attribute_of_files_that_a_value_source_may_name_is_looked_up() -> None:
    environment = read_environment(
        {
            "MLmodel": b"flavors: {python_function: {}}\nmetadata: {task: a}\nprompts: ['prompts:/p/1']\n",
            "requirements.txt": b"numpy==2\n",
        }
    )
    with_flavor = read_environment({"MLmodel": b"flavors: {openai: {}}\n"})

    for key in SOURCE_ATTRIBUTES["artifact"]:
        assert artifact_texts(environment, key) or artifact_texts(with_flavor, key), key


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"logged_model": LoggedModel("m-1", tags={"mlflow.linkedPrompts": LINKED})}, "logged model"),
        ({"prompts": ["prompts:/summary/3", "prompts:/tone/1"]}, "artifact"),
    ],
)
def test_the_prompts_that_mlflow_recorded_count_before_a_tag(changes: dict[str, object], source: str) -> None:
    result = version(CUSTOM, tags={"prompt": "summary"}, **changes)  # type: ignore[arg-type]  # of two kinds

    assert result.record.prompt_reference == "prompts:/summary/3, prompts:/tone/1"
    assert result.origins["prompt_reference"].source == source
    assert result.record.model_kind == "generative", "a model that uses prompts is generative"
    assert sentences(result) == []


@pytest.mark.parametrize("text", ["3", "v3", "version 3", "summary/3", "prompts:/summary/3", "summary@3", "summary v3",
    "summary-v3", "summary (v3)", "summary==1.2.0", "prompts/summary_v2.txt", "a1b2c3d4e", "summary@a1b2c3d4e",
    "summary 2026-03-01", "summary version 4", "prompts:/a/1, prompts:/b/2"])  # fmt: skip
def test_a_prompt_with_a_version_is_pinned(text: str) -> None:
    assert [*prompt_findings(text)] == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("summary@latest", ["unpinned prompt"]),
        ("prompts:/summary@production", ["unpinned prompt"]),
        ("prompts:/summary@3", ["unpinned prompt"]),
        ("prompts:/summary@v3", ["unpinned prompt"]),
        ("prompts:/summary@abc1234", ["unpinned prompt"]),
        ("summary:latest", ["unpinned prompt"]),
        ("summary/main", ["unpinned prompt"]),
        ("summary", ["prompt without version"]),
        ("gpt-4", ["prompt without version"]),
        ("see the wiki", ["prompt without version"]),
        ("summary, tone/2, style@latest", ["prompt without version", "unpinned prompt"]),
        ("[1, 2", []),
        ("x" * 30_000, ["prompt without version"]),
        ("a " * 9_000 + "@", ["prompt without version"]),
        ("a@" + "b" * 19_000 + "/", ["prompt without version"]),
        (",;", ["prompt without version"]),
        (", ".join(f"p/{number}" for number in range(900)) + ", tone@latest", ["unpinned prompt"]),
    ],
)
def test_a_prompt_without_a_fixed_version_is_a_finding(text: str, kinds: list[str]) -> None:
    assert [finding.kind for finding in prompt_findings(text)] == kinds


@pytest.mark.parametrize(
    ("tag", "kinds"),
    [
        ("summary@latest", ["unpinned prompt"]),
        ("prompts:/tone@production", ["unpinned prompt"]),
        ("summary", []),
        ("summary v2", []),
        ("Answer as you would in production", []),
        ("TBD", []),
    ],
)
def test_an_alias_in_a_tag_counts_although_mlflow_recorded_a_version(tag: str, kinds: list[str]) -> None:
    linked = LoggedModel("m-1", tags={"mlflow.linkedPrompts": LINKED})

    result = version(CUSTOM, tags={"prompt": tag}, logged_model=linked)

    assert result.record.prompt_reference == "prompts:/summary/3, prompts:/tone/1"
    assert [finding.kind for finding in result.findings if finding.kind != "no value"] == kinds


@pytest.mark.parametrize("text", ['[{"name": 3}]', '{"name": "a"}', '["prompts:/a/1"]'])
def test_a_list_that_is_none_of_prompts_stays_as_written(text: str) -> None:
    assert version(CUSTOM, tags={"prompt_reference": text}).record.prompt_reference == text


def test_a_tag_about_the_data_of_an_evaluation_needs_a_value() -> None:
    result = version(CUSTOM, tags={"evaluation_dataset": "TBD", "evaluation_passed": "no", "benchmark": "mmlu"})

    assert result.record.evaluation_tags == {"evaluation_passed": "no", "benchmark": "mmlu"}
    assert [(finding.kind, finding.field) for finding in result.findings] == [("no value", "evaluation_tags")]
