"""Texts from the manifest that a value source may name, such as ``{artifact: MLmodel flavors}``.

When a model is logged, MLflow's client writes a flavor such as ``openai`` and a task such as ``llm/v1/chat``. They show
that a version is generative even if no tag states this. ``mapping.yaml`` (``values.model_kind``) has the normal forms
of these texts. A text without a normal form, such as the flavor ``transformers``, shows no kind. No further file is
read, since the manifest has the texts.
"""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment

_CUSTOM_CODE: Final = frozenset({"python_function"})
"""The flavors of a model with the customer's own code. Only the packages show the kind of such a model."""


def artifact_texts(environment: RuntimeEnvironment, key: str) -> tuple[str, ...]:
    """Return the texts of an environment that the value source ``{artifact: key}`` names."""
    if key == "MLmodel flavors":
        return tuple(flavor for flavor in environment.flavors if flavor not in _CUSTOM_CODE)
    if key == "MLmodel tasks":
        return environment.tasks
    if key == "MLmodel prompts":
        return (", ".join(environment.prompts),) if environment.prompts else ()
    if key == "packages" and _CUSTOM_CODE.issuperset(environment.flavors):
        return tuple(dict.fromkeys(package.name for package in environment.packages))
    return ()
