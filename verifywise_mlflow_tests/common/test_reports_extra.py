"""The error about a missing library of the extra states what to install; a missing module of ours is a defect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verifywise_mlflow.common.reports_extra import explain_missing


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("vl_convert", ["report", "acme", "--output", "report"]),
        ("typst", ["pack", "acme", "fraud", "3", "--output", "fraud.zip"]),
        ("xlsxwriter", ["gaps", "acme", "--output", "gaps.xlsx"]),
    ],
)
def test_commands_without_the_extra_say_what_to_install(missing: str, arguments: list[str], tmp_path: Path) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from verifywise_mlflow.cli import app; app()"
    environment = {**os.environ, "VERIFYWISE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )

    assert result.returncode == 2, result.stderr
    said = " ".join(result.stderr.split())
    assert f"needs {missing}, which is not installed: pip install 'verifywise-mlflow[reports]'" in said
    assert list(tmp_path.iterdir()) == []


def test_a_missing_module_of_ours_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError):
        explain_missing(ModuleNotFoundError(name="verifywise_mlflow.documents.gone"), "the report")
