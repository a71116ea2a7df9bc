"""An environment that lacks the library that loads the model is not reproducible."""

from __future__ import annotations

import pytest
import yaml

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.normalizer.manifest_json import environment_json


def environment(requirements: str, *flavors: str) -> dict[str, object]:
    """Return the record's environment of a model with these requirements and flavors."""
    mlmodel: dict[str, dict[str, dict[str, str]]] = {
        "flavors": {flavor: {} for flavor in ("python_function", *flavors)}
    }
    return {
        **environment_json(
            read_environment(
                {
                    "MLmodel": yaml.safe_dump(mlmodel).encode(),
                    "python_env.yaml": b"python: 3.11.9\n",
                    "requirements.txt": requirements.encode(),
                }
            )
        )
    }


@pytest.mark.parametrize(
    ("requirements", "flavors", "missing"),
    [
        ("numpy==1.0.0", ["sklearn"], ["scikit-learn"]),
        ("scikit-learn==1.9.1", ["sklearn"], []),
        ("scikit_learn==1.9.1", ["sklearn"], []),
        ("sklearn==0.0", ["sklearn"], ["scikit-learn"]),
        ("scikit-learn==1.9.1", ["sklearn", "xgboost"], ["xgboost"]),
        ("torch==2.9.0", ["pytorch"], []),
        ("tensorflow-cpu==2.20.0", ["tensorflow"], []),
        ("numpy==1.0.0", [], []),
        ("numpy==1.0.0", ["a_flavor_of_tomorrow"], []),
    ],
)
def test_the_library_of_each_flavor_is_needed(requirements: str, flavors: list[str], missing: list[str]) -> None:
    found = environment(requirements, *flavors)

    assert (found["missing_pins"], found["reproducible"]) == (missing, not missing)


def test_an_environment_without_packages_is_reported_once() -> None:
    assert environment("", "sklearn")["missing_pins"] == ["no packages named"]
