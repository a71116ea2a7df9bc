"""The prompts that a version names are resolved against the registry's prompts."""

from __future__ import annotations

import pytest

from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.prompt_links import (
    MAX_LINKS,
    RegisteredPrompt,
    RegisteredPromptVersion,
    newest_revision,
    possible_names,
    prompt_links,
)
from verifywise_mlflow_tests.support.record_inputs_factory import inputs

REGISTRY = {
    "summary": RegisteredPrompt(
        7,
        {"production": 1, "broken": 9},
        {1: RegisteredPromptVersion("aa", False), 2: RegisteredPromptVersion("bb", True)},
        is_deleted=False,
    ),
    "gone": RegisteredPrompt(9, {}, {1: RegisteredPromptVersion("cc", True)}, is_deleted=True),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompts:/summary/1", (1, None, "found", "aa")),
        ("prompts:/summary@production", (1, "production", "found", "aa")),
        ("prompts:/summary@latest", (1, "latest", "found", "aa")),
        ("prompts:/summary/2", (2, None, "deleted", "bb")),
        ("prompts:/gone/1", (1, None, "deleted", "cc")),
        ("prompts:/gone", (None, None, "deleted", None)),
        ("prompts:/summary/3", (3, None, "not in the registry", None)),
        ("prompts:/summary@staging", (None, "staging", "not in the registry", None)),
        ("prompts:/summary@broken", (9, "broken", "not in the registry", None)),
        ("prompts:/unknown/1", (1, None, "not in the registry", None)),
        ("prompts:/summary", (None, None, "without version", None)),
        ("summary v1", (1, None, "found", "aa")),
        ("summary@1", (1, None, "found", "aa")),
        ("summary", (None, None, "without version", None)),
    ],
)
def test_a_named_prompt_is_looked_up(text: str, expected: tuple[object, ...]) -> None:
    (link,) = prompt_links(text, REGISTRY)
    assert (link.version_number, link.alias, link.state, link.template_sha256) == expected


@pytest.mark.parametrize("text", ["letter v2", "git 3f2a9c1", "see the wiki", "prompts/summary.txt", "", None])
def test_a_text_that_need_not_mean_the_registry_is_not_linked(text: str | None) -> None:
    assert prompt_links(text, REGISTRY) == ()


def test_without_the_prompts_of_the_registry_nothing_is_linked_or_reported() -> None:
    result = normalize(inputs(version_tags={"prompt_reference": "prompts:/unknown/1"}), default_mapping())
    assert result.record.linked_prompts is None
    assert [finding.kind for finding in result.findings] == []
    assert result.prompt_names == ("unknown",)


def test_the_record_says_what_the_registry_has_of_each_named_prompt() -> None:
    tags = {"prompt_reference": "prompts:/summary/1, prompts:/summary/2, prompts:/unknown/1"}
    result = normalize(inputs(version_tags=tags), default_mapping(), REGISTRY)
    links = result.record.linked_prompts
    assert isinstance(links, list)
    assert links[0] == {"name": "summary", "version": 1, "alias": None, "state": "found", "template_sha256": "aa"}
    assert [(finding.kind, finding.field) for finding in result.findings] == [
        ("deleted prompt", "prompt_reference"),
        ("prompt not in the registry", "prompt_reference"),
    ]
    assert result.origins["linked_prompts"] == result.origins["prompt_reference"]


def test_a_version_that_names_thousands_of_prompts_has_a_bounded_record() -> None:
    text = ", ".join(f"prompts:/unknown/{number}" for number in range(900))
    assert len(prompt_links(text, REGISTRY)) == MAX_LINKS


def test_only_named_prompts_decide_whether_a_record_is_pending() -> None:
    assert possible_names("prompts:/summary/1, letter v2, see the wiki") == ("letter", "summary")
    assert newest_revision(("letter", "summary"), REGISTRY) == 7
    assert newest_revision(("letter",), REGISTRY) is None
    assert newest_revision(("summary",), None) is None
