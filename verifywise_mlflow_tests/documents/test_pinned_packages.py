"""What a page says about pinned packages agrees with the table of packages below it."""

from __future__ import annotations

import pytest

from verifywise_mlflow.documents.version.training import describe_pins
from verifywise_mlflow.services.record_parts import Environment, Package

SKLEARN = Package("scikit-learn", "==1.9.1", "conda.yaml", True)
PIP = Package("pip", "<=23.2.1", "conda.yaml", False)
NUMPY = Package("numpy", ">=2", "conda.yaml", False)


@pytest.mark.parametrize(
    ("packages", "missing_pins", "sentence"),
    [
        ((SKLEARN,), (), "Every package is pinned to one version."),
        (
            (SKLEARN, PIP),
            (),
            "Every package that runs with the model is pinned to one version. The exceptions are build tools, or "
            "another file pins them: pip.",
        ),
        ((SKLEARN, NUMPY, PIP), ("numpy",), "Not every part is pinned: numpy."),
    ],
)
def test_no_package_is_called_pinned_that_is_not(
    packages: tuple[Package, ...], missing_pins: tuple[str, ...], sentence: str
) -> None:
    environment = Environment(
        "3.11", "3.17", packages, ("conda.yaml",), {}, (), None, None, not missing_pins, missing_pins, ()
    )

    assert describe_pins(environment) == sentence
