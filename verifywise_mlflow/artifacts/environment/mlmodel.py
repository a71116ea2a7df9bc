"""Parses MLmodel, the file in which MLflow describes a model. Only facts about its environment are used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from verifywise_mlflow.artifacts.environment.environment_file import parse_python_version
from verifywise_mlflow.artifacts.environment.untrusted_yaml import UnsafeYamlError, YamlValue, parse_yaml_mapping

MAX_TEXT_CHARS = 200
"""Characters. Versions and format names are short."""
MAX_FLAVORS = 50
MAX_PROMPTS = 50
SIGNATURE_PARTS = ("inputs", "outputs", "params")


@dataclass(frozen=True, slots=True)
class MLmodel:
    """The facts about a model's environment that its MLmodel states."""

    mlflow_version: str | None = None
    python_version: str | None = None
    flavors: dict[str, str | None] = field(default_factory=dict)
    """Flavor to the version of its library; None for a flavor without a version, like python_function."""
    tasks: tuple[str, ...] = ()
    """The model's tasks, such as ``llm/v1/chat``: first the tasks of the metadata, then the tasks of the flavors."""
    prompts: tuple[str, ...] = ()
    """The URIs of the prompts that were logged with the model."""
    serialization_format: str | None = None
    model_size_bytes: int | None = None
    signature: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()


def parse_mlmodel(content: bytes, name: str) -> MLmodel:
    """Parse an MLmodel. Never raises: unusable content becomes a problem."""
    try:
        document = parse_yaml_mapping(content)
    except UnsafeYamlError as refusal:
        return MLmodel(problems=(f"{name}: {refusal}",))
    listed = document.get("flavors", {})
    if not isinstance(listed, dict):
        return MLmodel(_text(document.get("mlflow_version")), problems=(f"{name}: flavors is not a mapping",))
    flavors: dict[str, dict[str, YamlValue]] = {}
    for flavor, options in listed.items():
        if _text(flavor) and len(flavors) < MAX_FLAVORS:
            flavors[flavor] = options if isinstance(options, dict) else {}
    problems = (f"{name}: {len(listed) - len(flavors)} flavors are not listed",) if len(flavors) < len(listed) else ()
    # python_function first: MLflow itself loads and serves a model through it.
    ordered = sorted(flavors, key=lambda flavor: (flavor != "python_function", flavor))
    return MLmodel(
        mlflow_version=_text(document.get("mlflow_version")),
        python_version=parse_python_version(_first_text(flavors, ordered, "python_version") or ""),
        flavors={flavor: _library_version(flavor, flavors[flavor]) for flavor in sorted(flavors)},
        tasks=_tasks(document.get("metadata"), flavors.values()),
        prompts=_prompts(document.get("prompts")),
        serialization_format=_first_text(flavors, ordered, "serialization_format"),
        model_size_bytes=_size(document.get("model_size_bytes")),
        signature=_signature(document.get("signature")),
        problems=problems,
    )


def _tasks(metadata: YamlValue | None, flavors: Iterable[dict[str, YamlValue]]) -> tuple[str, ...]:
    # MLflow reads both places to decide how to serve the model, so the name has the same meaning in both places.
    places = [metadata, *flavors] if isinstance(metadata, dict) else flavors
    return tuple(dict.fromkeys(text for place in places if (text := _text(place.get("task")))))


def _prompts(value: YamlValue | None) -> tuple[str, ...]:
    listed = value[:MAX_PROMPTS] if isinstance(value, list) else []
    return tuple(dict.fromkeys(text for prompt in listed if (text := _text(prompt))))


def _size(value: YamlValue | None) -> int | None:
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def _signature(value: YamlValue | None) -> tuple[str, ...] | None:
    if not isinstance(value, dict):
        return None
    return tuple(part for part in SIGNATURE_PARTS if value.get(part) not in (None, "", "null", "~", "[]", {}, []))


def _library_version(flavor: str, options: dict[str, YamlValue]) -> str | None:
    if flavor == "python_function":  # python_version and cloudpickle_version are not the version of a flavor
        return None
    # Usually sklearn_version and the like, but xgboost writes xgb_version and lightgbm lgb_version.
    names = sorted(key for key in options if key.endswith("_version") and key != "python_version")
    own = f"{flavor}_version"
    return next((text for key in [own, *names] if (text := _text(options.get(key)))), None)


def _first_text(flavors: dict[str, dict[str, YamlValue]], ordered: list[str], key: str) -> str | None:
    return next((text for flavor in ordered if (text := _text(flavors[flavor].get(key)))), None)


def _text(value: YamlValue | None) -> str | None:
    if (
        not isinstance(value, str)
        or value in ("", "null", "~")
        or len(value) > MAX_TEXT_CHARS
        or not value.isprintable()
    ):
        return None
    return value
