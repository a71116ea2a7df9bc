"""Files of tenants for tests, and the errors that loading them raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants

PASTED = "hunter2-pasted-secret"


def tenants_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def error_of(path: Path) -> str:
    with pytest.raises(TenantsFileError) as caught:
        load_tenants(path)
    return str(caught.value)
