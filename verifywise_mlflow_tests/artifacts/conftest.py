"""Fixtures of the artifact tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.artifacts.sandbox.client import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Share one sandbox with real workers among the tests that do not damage them."""
    with Sandbox() as sandbox:
        yield sandbox
