"""The colors of ``show``: nothing is green if the record could not be read completely."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from verifywise_mlflow.cli.commands import show
from verifywise_mlflow.persistence.queries.history import BadgeState, Validity, VerdictState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = Validity(NOON, "sync", None, None)
GREEN, RED = "\x1b[32m", "\x1b[31m"


def printed(monkeypatch: pytest.MonkeyPatch, badge: str, *, is_complete: bool) -> str:
    """Return what a terminal gets for a version with a badge, one rule that passes and one that fails."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    monkeypatch.setattr(show, "out", console)
    verdicts = [
        VerdictState(rule, 1, verdict, "Because.", {}, "ours", "1", {}, {}, None, "", SPAN)
        for rule, verdict in (("owned", "pass"), ("hashed", "fail"))
    ]
    show._print_verdicts(BadgeState(badge, NOON, SPAN), verdicts, [], is_complete=is_complete)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("badge", ["evidence complete", "incomplete", "failing"])
def test_nothing_is_green_on_an_incomplete_record(monkeypatch: pytest.MonkeyPatch, badge: str) -> None:
    text = printed(monkeypatch, badge, is_complete=False)

    assert GREEN not in text
    assert f"{RED}fail" in text


def test_a_pass_and_complete_evidence_are_green_on_a_complete_record(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, "evidence complete", is_complete=True)

    assert f"{GREEN}evidence complete" in text
    assert f"{GREEN}pass" in text
    assert "A version is failing if a rule failed" in text
