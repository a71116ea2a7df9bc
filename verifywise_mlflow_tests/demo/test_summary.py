"""The summary shows names without markup, and the worst verdicts."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from verifywise_mlflow.compliance.gap_urgency import Gap, UrgentGap
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.demo.summary import (
    most_urgent_per_model,
    print_addresses,
    print_agents,
    print_failures,
    print_summary,
)
from verifywise_mlflow.demo.wait_for_syncs import SyncOutcome
from verifywise_mlflow.persistence.queries.overview import Overview
from verifywise_mlflow.services.agents import AgentRow


def recording_console() -> Console:
    return Console(file=io.StringIO(), width=80)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def urgent(model: str, rule: str, reason: str = "Not met.") -> UrgentGap:
    return UrgentGap(Severity.HIGH, Gap(rule, model, 1, None, "fail", reason, datetime(2026, 3, 1, tzinfo=UTC)))


def test_badges_are_counted_and_markup_in_names_is_escaped() -> None:
    console = recording_console()
    gaps = [urgent("[red]fraud[/red]", "owner", "MLflow shows [bold]nothing[/bold].")]
    print_summary(console, {"acme": Overview(4, 7, {"evidence complete": 3, "gaps": 2}, gaps)})
    lines = text(console).splitlines()
    assert lines[1].split() == ["acme", "4", "7", "3", "2", "0", "0"]
    assert "acme, [red]fraud[/red], version 1: high: fail: owner" in lines[-2]
    assert "[bold]nothing[/bold]" in lines[-1]


def test_each_model_appears_once_with_its_most_urgent_gap() -> None:
    gaps = [urgent("a", "privacy"), urgent("a", "owner"), urgent("b", "owner"), urgent("c", "owner")]
    assert [(entry.gap.model_name, entry.gap.rule_id) for entry in most_urgent_per_model(gaps, limit=2)] == [
        ("a", "privacy"),
        ("b", "owner"),
    ]


def test_a_failed_sync_is_shown_with_its_reason_and_its_page() -> None:
    console = recording_console()
    outcomes = [SyncOutcome("acme", "1234", None), SyncOutcome("globex", "5678", "[Errno 111] refused")]
    print_failures(console, outcomes, "http://127.0.0.1:3000")
    assert "globex failed: [Errno 111] refused" in text(console)
    assert "http://127.0.0.1:3000/runs/5678" in text(console)
    assert "1234" not in text(console)


def test_addresses_are_not_broken_over_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    print_addresses(console, "http://127.0.0.1:3000", "http://127.0.0.1:5000", ["a-tenant-with-a-long-name"])
    assert "http://127.0.0.1:5000/#/models?workspace=a-tenant-with-a-long-name\n" in text(console)


def test_an_agent_is_shown_with_its_prompts_and_what_was_registered() -> None:
    console = Console(file=io.StringIO(), width=200)
    agent = AgentRow(
        tenant="globex",
        agent_name="[red]writer[/red]",
        model_id="m-1",
        status="READY",
        experiment="Letters",
        source_run_id=None,
        prompts=("letter 2",),
        registered_as=(),
        parameters=(),
        metrics=(),
        tags=(),
        created_at=None,
        last_changed_at=datetime(2026, 3, 1, tzinfo=UTC),
        deleted_at=None,
    )
    print_agents(console, [agent])
    assert text(console) == "Agent [red]writer[/red] of globex: uses letter 2; registered as no version\n"
