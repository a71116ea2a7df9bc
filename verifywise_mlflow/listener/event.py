"""Determines from an event of MLflow which objects to read again. No I/O.

Apart from the objects' names, only the event's workspace is used, and whether the event is a test. All other texts are
untrusted, and the registry itself has the current state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from verifywise_mlflow.persistence.repositories.change_hints import REGISTRY, HintedObject, ObjectKind
from verifywise_mlflow.persistence.row_mapping import fits_in_key

_MAX_VERSION_NUMBER: Final = 2**31 - 1
_VERSION_NUMBER: Final = re.compile(r"[0-9]{1,10}")

_ENTITIES: Final[Mapping[str, ObjectKind]] = {
    "registered_model": ObjectKind.MODEL,
    "model_version": ObjectKind.MODEL,
    "model_version_tag": ObjectKind.MODEL,
    "model_version_alias": ObjectKind.MODEL,
    "prompt": ObjectKind.PROMPT,
    "prompt_version": ObjectKind.PROMPT,
    "prompt_tag": ObjectKind.PROMPT,
    "prompt_version_tag": ObjectKind.PROMPT,
    "prompt_alias": ObjectKind.PROMPT,
}
_DELETABLE: Final = frozenset({"registered_model", "model_version", "prompt", "prompt_version"})
"""MLflow 3.17 reports no deletion of these objects. If a later release does, a listing must confirm the deletion."""
_ALIASES: Final = frozenset({"model_version_alias", "prompt_alias"})
"""MLflow stores aliases with the model or prompt, so the model or prompt is read again, too."""
_VERSIONED: Final = frozenset({"model_version", "model_version_tag", "prompt_version", "prompt_version_tag"})

_TAGS: Final = {"example_key": "example_value"}
_TAG: Final = {"key": "example_key", "value": "example_value"}
_MODEL: Final = {"name": "example_model"}
_MODEL_VERSION: Final = {**_MODEL, "version": "1"}
_PROMPT: Final = {"name": "example_prompt"}
_PROMPT_VERSION: Final = {**_PROMPT, "version": "1"}
_EXAMPLES: Final[Mapping[tuple[str, str], Mapping[str, object]]] = {
    ("registered_model", "created"): {**_MODEL, "tags": _TAGS, "description": "An example registered model"},
    ("model_version", "created"): {
        **_MODEL_VERSION,
        "source": "models:/123",
        "run_id": "abcd1234abcd5678",
        "tags": _TAGS,
        "description": "An example model version",
    },
    ("model_version_tag", "set"): {**_MODEL_VERSION, **_TAG},
    ("model_version_tag", "deleted"): {**_MODEL_VERSION, "key": "example_key"},
    ("model_version_alias", "created"): {**_MODEL_VERSION, "alias": "example_alias"},
    ("model_version_alias", "deleted"): {**_MODEL, "alias": "example_alias"},
    ("prompt", "created"): {**_PROMPT, "tags": _TAGS, "description": "An example prompt"},
    ("prompt_version", "created"): {
        **_PROMPT_VERSION,
        "template": "Hello {{name}}!",
        "tags": _TAGS,
        "description": "An example prompt version",
    },
    ("prompt_tag", "set"): {**_PROMPT, **_TAG},
    ("prompt_tag", "deleted"): {**_PROMPT, "key": "example_key"},
    ("prompt_version_tag", "set"): {**_PROMPT_VERSION, **_TAG},
    ("prompt_version_tag", "deleted"): {**_PROMPT_VERSION, "key": "example_key"},
    ("prompt_alias", "created"): {**_PROMPT_VERSION, "alias": "example_alias"},
    ("prompt_alias", "deleted"): {**_PROMPT, "alias": "example_alias"},
}
"""The ``data`` that MLflow sends when a webhook is tested. Nothing else marks a test."""


class MalformedEventError(ValueError):
    """The body is not an event of MLflow."""


@dataclass(frozen=True, slots=True)
class Event:
    """The parts of an event that are used."""

    objects: tuple[HintedObject, ...] = ()
    """The objects to read again; empty for a test, and if the event concerns no registry object that can be stored."""
    is_test: bool = False
    """Whether the event has the data of MLflow's test call."""
    workspace: str | None = None
    """On a server with workspaces, the workspace of the webhook."""


def read_event(body: bytes) -> Event:
    """Parse an event.

    Raises:
        MalformedEventError: the body is not a JSON object with an entity, an action and data.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedEventError("it is not JSON") from None
    if not isinstance(content, dict):
        raise MalformedEventError("it is not a JSON object")
    entity, action, data = content.get("entity"), content.get("action"), content.get("data")
    if not isinstance(entity, str) or not isinstance(action, str) or not isinstance(data, dict):
        raise MalformedEventError("entity, action or data is missing")
    workspace = content.get("workspace")
    is_test = _EXAMPLES.get((entity, action)) == data
    return Event(
        () if is_test else _objects(entity, action, data), is_test, workspace if isinstance(workspace, str) else None
    )


def _objects(entity: str, action: str, data: Mapping[str, object]) -> tuple[HintedObject, ...]:
    kind = _ENTITIES.get(entity)
    if kind is None:
        # The entity is unknown: it is from a later release of MLflow. A sync may read objects of this kind.
        return (REGISTRY,) if "model" in entity or "prompt" in entity else ()
    name, number = data.get("name"), _version_number(data.get("version"))
    is_unclear = not isinstance(name, str) or (entity in _VERSIONED and not number)
    if is_unclear or (action == "deleted" and entity in _DELETABLE):
        return (REGISTRY,)
    assert isinstance(name, str)
    if not fits_in_key(name):
        return ()  # no sync stores such an object
    of_itself = (HintedObject(kind, name),) if entity in _ALIASES or not number else ()
    return (*of_itself, *((HintedObject(kind, name, number),) if number else ()))


def _version_number(value: object) -> int | None:
    text = str(value) if isinstance(value, str | int) else ""
    number = int(text) if _VERSION_NUMBER.fullmatch(text) else 0
    return number if 0 < number <= _MAX_VERSION_NUMBER else None
