"""The commands on the page for auditors succeed in their order, in a folder with the items that the page lists."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.audit.manipulations.evidence import Evidence
from verifywise_mlflow_tests.audit.manipulations.instruments import run_script
from verifywise_mlflow_tests.support.documentation import ROOT, code_blocks, read_page

PAGE = read_page("how-to/check-us-without-trusting-us.md")
COMMANDS = [line for block in code_blocks(PAGE, "console") for line in block.splitlines()]
MAX_LINES = 192


def test_each_command_succeeds(examined: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source, name in {
        "public.pem": "public.pem",
        "acme.jsonl": "acme.jsonl",
        "witness-acme.jsonl": "kept.jsonl",
        "first-acme.jsonl": "last-year.jsonl",
    }.items():
        shutil.copy(examined.folder / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)

    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "python3":
            code, output = run_script(*arguments)
        else:
            result = CliRunner().invoke(app, arguments)
            code, output = result.exit_code, result.output
        assert code == 0, f"{command}: {output}"

    assert len(COMMANDS) == 7


def test_an_outsider_can_read_the_scripts() -> None:
    for name in ("verify_audit_export.py", "verify_proof.py"):
        assert f"`{name}`" in PAGE
        assert len((ROOT / "tools" / name).read_text(encoding="utf-8").splitlines()) < MAX_LINES
