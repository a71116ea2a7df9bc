"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.artifacts.sandbox.client import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with its real processes, for whoever does not harm them."""
    with Sandbox() as sandbox:
        yield sandbox
