"""The colors of ``show --all``: nothing is green if the record could not be read completely."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from verifywise_mlflow.cli import version_details, version_page
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_dossier import dossier
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

GREEN = "\x1b[32m"
BOLD_GREEN, BOLD_RED = "\x1b[1;32m", "\x1b[1;31m"


def printed(store: Store, monkeypatch: pytest.MonkeyPatch, verdicts: dict[str, Verdict], read_error: str | None) -> str:
    """Return the terminal output for a version with these verdicts."""
    version = ModelVersion("fraud", 3, run_id="a" * 32 if read_error else None)
    write_record(
        store, RecordInputs(version=version, model=RegisteredModel("fraud"), run_read_error=read_error), day(1)
    )
    write_verdicts(store, verdicts, day(1))
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    for module in (version_details, version_page):
        monkeypatch.setattr(module, "out", console)
    with store.begin("acme") as session:
        known = dossier(session, ("fraud", 3), day(2))
    assert known is not None
    version_details.print_details(known, None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_green_on_an_incomplete_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(store, monkeypatch, {"owned": Verdict.PASS, "hashed": Verdict.FAIL}, "403")

    assert GREEN not in text
    assert BOLD_GREEN not in text
    assert f"{BOLD_RED}fail" in text


def test_a_pass_and_complete_evidence_are_green_on_a_complete_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(store, monkeypatch, {"owned": Verdict.PASS}, None)

    assert f"{BOLD_GREEN}evidence complete" in text
    assert f"{BOLD_GREEN}pass" in text
    assert "A version is failing if a rule failed" in text
