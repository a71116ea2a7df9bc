"""``show`` prints the most important facts about a version on one page, and all facts with ``--all``."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner, Result

from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.support.credit_tenant import CHALLENGER, MODEL, WAIVED_RULE, CreditTenant
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

PAGE_LINES = 60
"""The number of lines that fit on a printed page and on a large screen."""


@pytest.fixture(autouse=True)
def _reader(acme: CreditTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", acme.url)
    set_terminal_width(monkeypatch, 80)


def show(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["show", "acme", MODEL, *arguments])


def test_the_page_of_a_typical_version_has_at_most_sixty_lines() -> None:
    lines = [len(show(version).stdout.splitlines()) for version in ("champion", "challenger", "1")]

    assert all(20 < count <= PAGE_LINES for count in lines), lines


def test_what_matters_comes_first() -> None:
    page = show("@champion").stdout

    headings = (
        f"{MODEL} version 3",
        "stage production, @champion, @eu",
        "badge: failing since 2026-03-02",
        "Open gaps: ",
    )
    people = ("What it is", "Who answers for it", "What it was trained on", "Files and packages", "Everything: ")
    places = [page.index(words) for words in (*headings, *people)]
    assert places == sorted(places)


def test_gaps_have_severity_title_and_clauses_the_worst_first() -> None:
    page = show("champion").stdout

    gaps = page[page.index("Open gaps") : page.index("What it is")]
    assert gaps.index("critical  ") < gaps.index("high  ")
    assert "production-privacy-assessment: not evidenced since 2026-03-02" in gaps
    assert "EU AI Act" in gaps
    assert "1 more is waived" in " ".join(gaps.split())
    assert WAIVED_RULE not in gaps
    assert re.search(r"\nand [a-z-]+, .* and \d+ more\.", gaps.replace(", \n", ", "))


def test_missing_people_are_named_as_missing() -> None:
    page = show("champion").stdout

    people = page[page.index("Who answers") : page.index("What it was trained")]
    assert re.search(r"owner +Ada Lovelace +version tag owner", people)
    assert people.count("not recorded") == 2


def test_all_prints_every_field_and_verdict_with_reasons_and_waivers() -> None:
    page, details = show("champion").stdout, show("champion", "--all").stdout

    words = " ".join(details.split())
    assert len(details.splitlines()) > 4 * len(page.splitlines())
    assert "waived: accepted by Grace Hopper through 2099-12-31" in words
    assert "fundamental_rights_assessment_status" in details
    assert "Add the tag `privacy_assessment_status` to the version." in words
    assert "A version is failing if a rule failed;" in words
    assert "privacy_assessment_status" not in page


def test_an_alias_means_the_version_that_had_it_at_the_time() -> None:
    now, then = (
        json.loads(show("challenger", *when, "--json").stdout)["record"]["business_purpose"]
        for when in ((), ("--as-of", "2026-03-04"))
    )

    assert (now, then) == ("A challenger.", None)


def test_each_verdict_has_its_title_severity_and_clauses_as_json() -> None:
    verdicts = json.loads(show(str(CHALLENGER), "--json").stdout)["verdicts"]

    assert all(verdict["title"] and verdict["severity"] and verdict["clauses"] for verdict in verdicts)


def test_before_the_first_record_the_page_says_when_records_begin() -> None:
    result = show("3", "--as-of", "2026-02-01")

    assert result.exit_code == 1
    assert "as of 2026-02-01 00:00:00 UTC; nothing was recorded before 2026-03-01 12:00:00 UTC" in " ".join(
        result.stderr.split()
    )


def test_a_time_to_come_is_refused() -> None:
    result = show("3", "--as-of", "2999-01-01Z")

    assert result.exit_code == 2
    assert "2999-01-01 00:00:00 UTC is still to come" in " ".join(result.stderr.replace("│", " ").split())
