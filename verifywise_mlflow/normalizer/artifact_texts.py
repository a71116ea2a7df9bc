"""The texts of MLmodel and of the packages that a value source may name, such as ``{artifact: MLmodel flavors}``.

MLflow's client writes a flavor such as ``openai`` and a task such as ``llm/v1/chat`` when a model is logged, so that a
version counts as generative though no tag says so. The forms are in ``mapping.yaml`` (``values.model_kind``); what has
none there, like the flavor ``transformers``, says nothing. Nothing is read for this: the texts are in the manifest.
"""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment

_CUSTOM_CODE: Final = frozenset({"python_function"})
"""The flavors of a model of the customer's own code, whose packages are all that is known of its kind."""


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
