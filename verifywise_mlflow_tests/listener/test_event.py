"""An event names the object to read again; the rest of the event is ignored."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities.webhook import WebhookEvent
from mlflow.webhooks.types import EVENT_TO_PAYLOAD_CLASS, get_example_payload_for_event

from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS
from verifywise_mlflow.listener.event import Event, MalformedEventError, read_event
from verifywise_mlflow.persistence.repositories.change_hints import REGISTRY, HintedObject, ObjectKind
from verifywise_mlflow.persistence.row_mapping import MAX_NAME_BYTES

MODEL, PROMPT = ObjectKind.MODEL, ObjectKind.PROMPT
OF_VERSION: dict[str, object] = {"name": "churn", "version": "3"}
OF_ITSELF: dict[str, object] = {"name": "churn"}


def event(entity: str, action: str, data: object, **more: object) -> Event:
    return read_event(json.dumps({"entity": entity, "action": action, "data": data, **more}).encode())


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("registered_model.created", OF_ITSELF, [(MODEL, "churn", 0)]),
        ("model_version.created", OF_VERSION, [(MODEL, "churn", 3)]),
        ("model_version_tag.set", OF_VERSION, [(MODEL, "churn", 3)]),
        ("model_version_tag.deleted", OF_VERSION, [(MODEL, "churn", 3)]),
        ("model_version_alias.created", OF_VERSION, [(MODEL, "churn", 0), (MODEL, "churn", 3)]),
        ("model_version_alias.deleted", OF_ITSELF, [(MODEL, "churn", 0)]),
        ("prompt.created", OF_ITSELF, [(PROMPT, "churn", 0)]),
        ("prompt_version.created", OF_VERSION, [(PROMPT, "churn", 3)]),
        ("prompt_tag.set", OF_ITSELF, [(PROMPT, "churn", 0)]),
        ("prompt_tag.deleted", OF_ITSELF, [(PROMPT, "churn", 0)]),
        ("prompt_version_tag.set", OF_VERSION, [(PROMPT, "churn", 3)]),
        ("prompt_version_tag.deleted", OF_VERSION, [(PROMPT, "churn", 3)]),
        ("prompt_alias.created", OF_VERSION, [(PROMPT, "churn", 0), (PROMPT, "churn", 3)]),
        ("prompt_alias.deleted", OF_ITSELF, [(PROMPT, "churn", 0)]),
    ],
)
def test_each_event_of_mlflow_names_its_object(
    name: str, data: dict[str, object], expected: list[tuple[ObjectKind, str, int]]
) -> None:
    entity, action = name.split(".")

    assert event(entity, action, data).objects == tuple(HintedObject(*named) for named in expected)


def test_the_table_above_has_every_event() -> None:
    (mark,) = test_each_event_of_mlflow_names_its_object.pytestmark  # type: ignore[attr-defined]  # set by the decorator

    assert {case[0] for case in mark.args[1]} == {*MODEL_EVENTS, *PROMPT_EVENTS}


@pytest.mark.parametrize(
    ("entity", "action", "data"),
    [
        ("registered_model", "deleted", OF_ITSELF),
        ("model_version", "deleted", OF_VERSION),
        ("registered_model_tag", "set", OF_ITSELF),
        ("logged_model", "created", {"model_id": "m-1"}),
        ("prompt_something", "set", {}),
        ("model_version", "created", OF_ITSELF),
        ("model_version", "created", {"name": 7, "version": "3"}),
        ("model_version_tag", "set", {"name": "churn", "version": "0"}),
        ("model_version_tag", "set", {"name": "churn", "version": "99999999999"}),
        ("model_version_tag", "set", {"name": "churn", "version": "²"}),
        ("model_version_tag", "set", {"name": "churn", "version": [3]}),
    ],
)
def test_what_a_later_release_may_send_about_models_lets_the_registry_be_listed(
    entity: str, action: str, data: dict[str, object]
) -> None:
    assert event(entity, action, data).objects == (REGISTRY,)


def test_a_version_may_be_a_number() -> None:
    assert event("model_version", "updated", {"name": "churn", "version": 3}).objects == (
        HintedObject(MODEL, "churn", 3),
    )


@pytest.mark.parametrize("entity", ["budget_policy", "experiment", ""])
def test_what_concerns_no_model_is_ignored(entity: str) -> None:
    assert event(entity, "exceeded", {"name": "churn"}) == Event()


@pytest.mark.parametrize("name", ["", "\u200b", "x" * (MAX_NAME_BYTES + 1), "é" * 1001])
def test_a_name_that_no_sync_stores_is_ignored(name: str) -> None:
    assert event("registered_model", "created", {"name": name}).objects == ()


@pytest.mark.parametrize("example", EVENT_TO_PAYLOAD_CLASS, ids=".".join)
def test_a_test_call_is_recognized_and_names_nothing(example: tuple[str, str]) -> None:
    entity, action = example
    data = get_example_payload_for_event(WebhookEvent(entity, action))

    read = event(str(entity), str(action), data)

    assert read.objects == ()
    assert read.is_test == (str(entity) != "budget_policy")


def test_a_model_that_is_named_as_in_the_test_call_is_no_test() -> None:
    read = event("registered_model", "created", {"name": "example_model", "tags": {}, "description": ""})

    assert read == Event((HintedObject(MODEL, "example_model"),))


def test_the_workspace_is_that_of_the_webhook() -> None:
    assert event("model_version", "created", OF_VERSION, workspace="team-a").workspace == "team-a"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"entity": "model_version", "action": "created"}',
        b'{"entity": "model_version", "action": "created", "data": []}',
        b'{"entity": 1, "action": "created", "data": {}}',
        b'{"entity": "registered_model", "action": "created", "data": {"name": "\\ud800"}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEventError):
        read_event(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    entity=st.sampled_from(["model_version", "registered_model", "prompt_alias"]) | JSON,
    action=st.sampled_from(["created", "deleted"]) | JSON,
    data=JSON | st.fixed_dictionaries({"name": JSON, "version": JSON}),
)
def test_no_content_raises_another_error_or_names_what_cannot_be_stored(
    entity: object, action: object, data: object
) -> None:
    try:
        objects = read_event(json.dumps({"entity": entity, "action": action, "data": data}).encode()).objects
    except MalformedEventError:
        return
    assert all(0 <= named.version_number < 2**31 and len(named.name.encode()) <= MAX_NAME_BYTES for named in objects)
