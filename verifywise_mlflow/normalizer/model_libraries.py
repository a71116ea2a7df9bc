"""The library that loads a model. The environment must name this library: a model does not run with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment

PACKAGES_BY_FLAVOR: Final[Mapping[str, tuple[str, ...]]] = {
    "catboost": ("catboost",),
    "diffusers": ("diffusers",),
    "dspy": ("dspy", "dspy-ai"),
    "fastai": ("fastai",),
    "h2o": ("h2o",),
    "keras": ("keras", "tensorflow"),
    "langchain": ("langchain", "langchain-core", "langgraph"),
    "lightgbm": ("lightgbm",),
    "llama_index": ("llama-index", "llama-index-core"),
    "onnx": ("onnx", "onnxruntime", "onnxruntime-gpu"),
    "openai": ("openai",),
    "paddle": ("paddlepaddle", "paddlepaddle-gpu"),
    "pmdarima": ("pmdarima",),
    "prophet": ("prophet",),
    "pytorch": ("torch", "pytorch", "pytorch-cpu", "pytorch-gpu"),
    "sentence_transformers": ("sentence-transformers",),
    "sklearn": ("scikit-learn",),
    "spacy": ("spacy",),
    "spark": ("pyspark", "databricks-connect"),
    "statsmodels": ("statsmodels",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos"),
    "transformers": ("transformers",),
    "xgboost": ("xgboost", "xgboost-cpu", "py-xgboost"),
}
"""MLflow's name of a flavor to the packages that can load it. One of them suffices; messages name the first package."""


def missing_libraries(environment: RuntimeEnvironment) -> list[str]:
    """Return the library of each flavor of a model that its environment files do not name."""
    if not environment.packages:
        return []  # the missing environment is reported elsewhere
    named = {package.name for package in environment.packages}
    libraries = (PACKAGES_BY_FLAVOR.get(flavor, ()) for flavor in sorted(environment.flavors))
    return [packages[0] for packages in libraries if packages and named.isdisjoint(packages)]
