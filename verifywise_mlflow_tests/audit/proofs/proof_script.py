"""Runs ``tools/verify_proof.py`` in this process. A process for each of hundreds of manipulations takes a minute."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from verifywise_mlflow_tests.support.documentation import ROOT

SCRIPT: Final = ROOT / "tools" / "verify_proof.py"


def run_script(document: Any, file: Path, *arguments: str | Path) -> tuple[int, str]:  # Any: JSON
    """Return the script's exit code for a proof, and what it printed."""
    file.write_text(json.dumps(document))
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(printed):
        patched.setattr(sys, "argv", [str(SCRIPT), str(file), *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as error:
            return int(error.code or 0), printed.getvalue()
    return 0, printed.getvalue()
