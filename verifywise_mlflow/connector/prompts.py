"""Converts rows of the registry's searches to prompts. Pure. The text of a prompt goes no further than this module.

A prompt is a registered model with a tag. The prompt's text and its configuration are tags of a model version (MLflow's
``prompt/constants.py``). The text may contain secrets and is intellectual property, so only its digest, its length and
the names of its variables are passed on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from sys import getsizeof
from typing import Final

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.hidden_models import PROMPT_SOURCES
from verifywise_mlflow.connector.models import ModelVersion, Prompt, PromptVersion, RegisteredModel
from verifywise_mlflow.connector.text_intake import MAX_SHARED_LENGTH, TextIntake

IS_PROMPT: Final = "mlflow.prompt.is_prompt"
_TEXT: Final = "mlflow.prompt.text"
_TYPE: Final = "_mlflow_prompt_type"
_RESPONSE_FORMAT: Final = "_mlflow_prompt_response_format"
_MODEL_CONFIG: Final = "_mlflow_prompt_model_config"
_OWN_TAGS: Final = frozenset({IS_PROMPT, _TEXT, _TYPE, _RESPONSE_FORMAT, _MODEL_CONFIG})

_CONFIG_FIELDS: Final = frozenset(
    {
        *("provider", "model_name", "temperature", "max_tokens", "top_p", "top_k", "frequency_penalty"),
        *("presence_penalty", "stop_sequences"),
    }
)
"""The parameters that MLflow's ``PromptModelConfig`` defines. All other parameters are specific to a provider."""

MAX_VARIABLES: Final = 100
"""The maximum number of variables of a version, and of parameters of its model. The first ones by name are kept."""
_MAX_NAME: Final = 200
"""The maximum number of characters in the name of a variable or parameter, or in a parameter's value. Longer texts are
cut."""
NOT_KEPT: Final = "(not kept)"
"""Replaces a value that is left out."""

_VARIABLE: Final = re.compile(r"\{\{\s{0,20}([a-zA-Z_][a-zA-Z0-9_]{0,199}(?:\.[a-zA-Z_][a-zA-Z0-9_]*)*)\s{0,20}\}\}")


def is_prompt_version(version: ModelVersion) -> bool:
    """Return whether a version belongs to a prompt. Anyone may set the prompt tag, but no model has such a source."""
    return version.source in PROMPT_SOURCES and version.tags.get(IS_PROMPT) == "true"


def to_prompt(model: RegisteredModel) -> Prompt:
    """Return a row of the model search as a prompt."""
    return Prompt(
        model.name,
        model.description,
        {key: value for key, value in model.tags.items() if key not in _OWN_TAGS},
        model.aliases,
        model.created_at,
        model.last_updated_at,
        model.problems,
    )


def to_prompt_version(version: ModelVersion) -> PromptVersion:
    """Return a row of the version search as a version of a prompt."""
    tags, text = version.tags, version.tags.get(_TEXT)
    return PromptVersion(
        version.model_name,
        version.version_number,
        version.created_at,
        version.last_updated_at,
        version.description,
        tags.get(_TYPE),
        None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        None if text is None else len(text),
        variables(text or ""),
        _RESPONSE_FORMAT in tags,
        model_config(tags.get(_MODEL_CONFIG)),
        {key: value for key, value in tags.items() if key not in _OWN_TAGS},
        version.problems,
    )


def parse_tagged_version(value: object, intake: TextIntake) -> ModelVersion | PromptVersion:
    """Parse a row of the search for versions with the prompt tag: a prompt's version, or a hidden model's version."""
    version = parsing.model_version(value, intake)
    if not is_prompt_version(version):
        return version
    text = version.tags.get(_TEXT, "")
    if len(text) > MAX_SHARED_LENGTH:  # a shorter text may be shared, and then was counted only once
        intake.retained_bytes -= getsizeof(text)  # counted as retained memory, but dropped here
    return to_prompt_version(version)


def tagged_version_key(version: ModelVersion | PromptVersion) -> tuple[str, int]:
    """Return the key that identifies a version on its server."""
    name = version.model_name if isinstance(version, ModelVersion) else version.prompt_name
    return name, version.version_number


def variables(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a template, sorted. MLflow writes the names in double braces."""
    return tuple(sorted({name[:_MAX_NAME] for name in _VARIABLE.findall(text)})[:MAX_VARIABLES])


def model_config(text: str | None) -> dict[str, str]:
    """Return the model and its parameters from the tag's JSON; an empty dictionary if the text is not such JSON.

    The values of parameters that MLflow does not define may be credentials, so they are left out.
    """
    try:
        config = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(config, dict):
        return {}
    return {name[:_MAX_NAME]: _config_value(name, config[name]) for name in sorted(config)[:MAX_VARIABLES]}


def _config_value(name: str, value: object) -> str:
    if name in _CONFIG_FIELDS and isinstance(value, str | int | float | bool):
        return str(value)[:_MAX_NAME]
    is_stop_sequence = name == "stop_sequences" and isinstance(value, list)
    return json.dumps(value, ensure_ascii=False)[:_MAX_NAME] if is_stop_sequence else NOT_KEPT


def is_prompt_model(tags: Mapping[str, str]) -> bool:
    """Return whether a model has the prompt tag."""
    return tags.get(IS_PROMPT) == "true"
