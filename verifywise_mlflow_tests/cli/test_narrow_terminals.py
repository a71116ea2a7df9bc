"""No table cuts a name, a time or any other word, even in a narrow terminal."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.cli.display import MAX_DISPLAY_LENGTH, display, display_name
from verifywise_mlflow.cli.output import facts, table
from verifywise_mlflow.cli.whole_word_table import MAX_WHOLE_WORD
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.support.credit_tenant import (
    MODEL,
    WAIVED_RULE,
    CreditTenant,
    credit_tenant,
    write_tenants_file,
)
from verifywise_mlflow_tests.support.stored_states import NOON
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

VERSION = ("acme", MODEL, "champion")
COMMANDS = {
    "audit show": ["acme"],
    "compare": ["acme", MODEL, "champion", "challenger", "--all"],
    "db roles": [],
    "diff": ["acme", "--from", "2026-02-01", "--to", "2026-03-10"],
    "events": ["acme"],
    "frameworks": ["acme", "--framework", "EU AI Act"],
    "gaps": ["acme"],
    "history": [*VERSION, "--all"],
    "inventory": ["acme"],
    "lineage": ["acme", MODEL],
    "mapping": ["acme", "owner"],
    "policy diff": ["acme", "--threshold", "longest_days_since_approval=1"],
    "policy explain": [*VERSION, WAIVED_RULE],
    "policy gaps": ["acme"],
    "policy rule": ["acme", WAIVED_RULE],
    "policy rules": ["acme"],
    "policy waivers": ["acme"],
    "show": [*VERSION, "--all", "--as-of", "2026-03-10"],
    "systems": ["acme"],
    "tags": ["acme"],
    "tenants": [],
}
"""Each command with a table of what the database or tenants.yaml holds, with arguments that fill the table."""
WITHOUT_TABLE = {
    *("badge", "manifest", "demo", "worker", "metrics", "listen", "export", "report", "pack"),
    *("tenants erase", "db upgrade", "db check", "db revoke", "db grant pipeline", "db grant reader"),
    "db grant listener",
    *("policy waive", "policy unwaive", "audit verify", "audit checkpoint", "audit export", "audit new-key"),
    *("audit public-key", "audit rotate-key", "audit prove", "audit accept-states"),
    *("prompts", "agents"),  # indented lines
}
NEED_A_SERVER = {
    *("check", "sync", "deliver check", "deliver plan", "deliver run", "deliver status"),
    *("audit witness", "audit timestamps", "webhooks", "demo live"),
}
OF_OUR_OWN_WORDS = {"doctor", "policy check"}
FIXED_LAYOUT = {"inventory", "gaps"}
"""Lists with their own layout for 80 columns. On narrower terminals, they omit times or the terminal breaks lines."""
TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?")


@pytest.fixture(scope="module")
def acme(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CreditTenant, Path]]:
    with credit_tenant(postgres) as tenant:
        yield tenant, write_tenants_file(tmp_path_factory.mktemp("tenants"))


def printed(width: int, monkeypatch: pytest.MonkeyPatch, path: str, arguments: list[str]) -> str:
    set_terminal_width(monkeypatch, width)
    result = CliRunner().invoke(app, [*path.split(), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def words(text: str, width: int) -> Counter[str]:
    return Counter(word for word in text.split() if set(word) != {"─"} and len(word) <= min(MAX_WHOLE_WORD, width))


def test_every_command_is_tested_or_has_a_reason_not_to_be() -> None:
    known = {*COMMANDS, *WITHOUT_TABLE, *NEED_A_SERVER, *OF_OUR_OWN_WORDS}

    assert {path for path, _ in all_commands()} - known == set()


@pytest.mark.parametrize(
    ("path", "width"),
    [(path, width) for path in COMMANDS for width in (80, 50) if width == 80 or path not in FIXED_LAYOUT],
)
def test_a_narrow_terminal_shows_the_same_words_times_and_names(
    acme: tuple[CreditTenant, Path], monkeypatch: pytest.MonkeyPatch, path: str, width: int
) -> None:
    tenant, tenants_file = acme
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", tenant.url)
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tenants_file))

    wide, narrow = (printed(columns, monkeypatch, path, COMMANDS[path]) for columns in (2_000, width))

    assert words(wide, width) - words(narrow, width) == Counter()
    assert max(map(len, narrow.splitlines())) <= width
    in_tables = "\n".join(line for line in wide.splitlines() if "  " in line.rstrip())
    assert [time for time in TIME.findall(in_tables) if time not in narrow] == []
    if re.search(rf"(^|  ){MODEL}", wide, re.MULTILINE):
        assert MODEL in narrow


def test_an_explanation_has_the_whole_rationale_and_values_as_people_write_them(
    acme: tuple[CreditTenant, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", acme[0].url)
    (owner,) = (rule for rule in default_policy().rules if rule.id == "owner")

    lines = [
        " ".join(line.split()) for line in printed(80, monkeypatch, "policy explain", [*VERSION, "owner"]).splitlines()
    ]

    assert len(owner.rationale) > MAX_DISPLAY_LENGTH
    assert " ".join(owner.rationale.split()) in " ".join(lines)
    assert "stated.owner true" in lines
    assert [display(value).plain for value in (True, 500.0, 0.25)] == ["true", "500", "0.25"]


def rendered(width: int, *rows: object) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    for row in rows:
        console.print(row)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_columns_that_do_not_fit_become_a_list_of_headings_and_values() -> None:
    rows = table("seen (UTC)", "model", "reason")
    rows.add_row(display(NOON), display_name("credit default risk"), display("No owner is recorded."))
    rows.add_row(display(NOON), display_name("churn"), "")

    assert rendered(80, rows)[2] == "2026-03-01 12:00:00  credit default risk  No owner is recorded."
    assert rendered(40, rows) == [
        "seen (UTC)  2026-03-01 12:00:00",
        "model       credit default risk",
        "reason      No owner is recorded.",
        "",
        "seen (UTC)  2026-03-01 12:00:00",
        "model       churn",
    ]


def test_only_a_name_that_is_longer_than_the_terminal_is_broken() -> None:
    rows = table("model", "reason")
    rows.add_row(display_name("x" * 50), "short")

    assert rendered(40, rows) == ["model", "x" * 40, "x" * 10, "reason  short"]
    assert rendered(60, rows)[2] == f"{'x' * 50}  short"


def test_a_date_is_not_separated_from_its_time_within_a_sentence() -> None:
    rows = table("rule", "reason")
    rows.add_row("recent-training", Text.assemble(("Training ended on 2026-03-01 12:00 UTC", "bold"), ", in time."))
    rows.add_row("next", "Read at 2026-03-01 12:00:05 UTC.")

    lines = rendered(45, rows)

    assert [line for line in lines if "2026-03-01 12:00" in line] == [
        "                 2026-03-01 12:00 UTC, in",
        "next             Read at 2026-03-01 12:00:05",
    ]


def test_facts_keep_their_names_next_to_their_values() -> None:
    rows = facts()
    rows.add_row("input hash", "a" * 64)
    rows.add_row("policy", "the default one")

    assert rendered(70, rows) == ["input hash", "a" * 64, "policy      the default one"]


def test_wide_characters_count_twice() -> None:
    rows = table("model", "reason")
    rows.add_row(display_name("模型" * 8), "a reason with some words")

    assert max(map(len, rendered(50, rows))) <= 50
    assert any("模型" * 8 in line for line in rendered(40, rows))
