"""Policies, waivers and badges on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.persistence.stored_states import NOON, day
from verifywise_mlflow_tests.pipeline.evaluation_fixtures import evaluate, rule_yaml, store_record, write_policy

runner = CliRunner(env={"COLUMNS": "200"})
OWNED = rule_yaml("owned", "owner == 'ada'", applies='lifecycle_stage == "production"')
NUMBERED = rule_yaml("numbered", "version_number < thresholds.most && created_at != today")
CODED = rule_yaml("coded", "code_commit != ''")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "ours.yaml", OWNED, NUMBERED, CODED, thresholds="{most: 10}")


@pytest.fixture
def judged(store: Store, database_url: str, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A model with two versions in production, evaluated by the tenant's own policy."""
    path = tmp_path / "tenants.yaml"
    path.write_text(
        f"tenants:\n  acme:\n    tracking_uri: https://mlflow.acme.example\n"
        f"    compliance: {{default_policy: false, policies: [{policy}]}}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    store_record(store, "fraud", 1, NOON, stage="Production", owner="ada")
    store_record(store, "fraud", 2, NOON, stage="Production", owner="bob")
    evaluate(load_tenants()["acme"], store, day(1))
    return store


def answer(*arguments: str, code: int = 0) -> dict[str, object]:
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_verdict_is_explained_by_its_rule_its_values_and_their_origins(judged: Store) -> None:
    told = answer("policy", "explain", "acme", "fraud", "2", "owned")

    assert (told["verdict"], told["is_reproduced"], told["problems"]) == ("fail", True, [])
    assert told["values"] == {"lifecycle_stage": "production", "owner": "bob"}
    origins = told["origins"]
    assert isinstance(origins, Mapping)
    assert origins["owner"] == {"source": "version tag", "key": "owner"}
    rule, again = told["rule"], told["recomputed"]
    assert isinstance(rule, Mapping)
    assert isinstance(again, Mapping)
    assert (rule["requires"], again["input_hash"]) == ("owner == 'ada'", told["input_hash"])


def test_the_text_output_explains_the_verdict_too(judged: Store) -> None:
    result = runner.invoke(app, ["policy", "explain", "acme", "fraud", "2", "owned"])

    assert result.exit_code == 0
    for words in ("fraud version 2: owned: fail", "owner == 'ada'", "version tag owner", "the same verdict"):
        assert words in result.stdout


def test_a_past_verdict_is_explained_by_the_policy_and_record_of_that_time(judged: Store, policy: Path) -> None:
    store_record(judged, "fraud", 2, day(2), stage="Production", owner="ada")
    evaluate(load_tenants()["acme"], judged, day(2))
    write_policy(policy, rule_yaml("owned", "owner == 'eve'", version=2), version=2)
    evaluate(load_tenants()["acme"], judged, day(3))

    told = [
        answer("policy", "explain", "acme", "fraud", "2", "owned", "--as-of", f"2026-03-0{number}T13:00")
        for number in (1, 2, 3)
    ]

    assert [(one["verdict"], one["is_reproduced"]) for one in told] == [("fail", True), ("pass", True), ("fail", True)]
    assert [one["rule"]["requires"] for one in told] == ["owner == 'ada'", "owner == 'ada'", "owner == 'eve'"]  # type: ignore[index]  # an object
    assert [one["values"]["owner"] for one in told] == ["bob", "ada", "ada"]  # type: ignore[index]  # an object


def test_thresholds_and_the_day_are_part_of_the_explanation(judged: Store) -> None:
    told = answer("policy", "explain", "acme", "fraud", "1", "numbered")

    assert (told["thresholds"], told["day"], told["is_reproduced"]) == ({"most": 10.0}, "2026-03-01", True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("verdict = 'pass', evaluated_at = evaluated_at + interval '1 second'", "evaluated again"),
        (
            "values = '{\"owner\": \"ada\"}', evaluated_at = evaluated_at + interval '1 second'",
            "the input hash does not match",
        ),
    ],
)
def test_a_verdict_that_was_tampered_with_is_not_reproduced(judged: Store, change: str, problem: str) -> None:
    with judged.begin_shared() as connection:
        # With another time, as a forger would who knows of the triggers.
        connection.execute(
            text(
                f"UPDATE verifywise_mlflow.compliance_results SET {change} "
                "WHERE rule_id = 'owned' AND version_number = 2"
            )
        )

    told = answer("policy", "explain", "acme", "fraud", "2", "owned", code=1)

    assert any(problem in str(one) for one in told["problems"])  # type: ignore[attr-defined]  # a list


def test_a_verdict_that_never_existed_cannot_be_explained(judged: Store) -> None:
    told = answer("policy", "explain", "acme", "fraud", "2", "owned", "--as-of", "2026-02-01", code=1)

    assert "there is no verdict of 'owned'" in str(told["error"])


def test_diff_shows_what_a_policy_would_change_and_changes_nothing(judged: Store, tmp_path: Path) -> None:
    proposed = write_policy(
        tmp_path / "new.yaml",
        rule_yaml("owned", "owner in ['ada', 'bob']", version=2),
        rule_yaml("purposed", "business_purpose != ''"),
        version=2,
    )
    with judged.begin("acme") as session:
        before = session.execute(text("SELECT * FROM verifywise_mlflow.compliance_results ORDER BY 1, 2, 3, 4")).all()

    told = answer("policy", "diff", "acme", "--policy", str(proposed))

    changes = told["changes"]
    assert isinstance(changes, list)
    assert {(one["rule_id"], one["before"], one["after"], one["versions"]) for one in changes} == {
        (None, "non-compliant", "gaps", 1),
        ("owned", "fail", "pass", 1),
        ("purposed", None, "not evidenced", 2),
        ("coded", "not evidenced", None, 2),
        ("numbered", "not evidenced", None, 2),
    }
    assert told["judged"] == 2
    owned = next(one for one in changes if one["rule_id"] == "owned")
    assert owned["examples"] == [{"model_name": "fraud", "version_number": 2}]
    with judged.begin("acme") as session:
        after = session.execute(text("SELECT * FROM verifywise_mlflow.compliance_results ORDER BY 1, 2, 3, 4")).all()
    assert before == after
    assert "owned" in runner.invoke(app, ["policy", "diff", "acme", "--policy", str(proposed)]).stdout


def test_diff_with_the_current_policy_finds_no_change(judged: Store, policy: Path) -> None:
    told = answer("policy", "diff", "acme", "--policy", str(policy), "--alone")

    assert (told["changes"], told["not_judged_as_they_are"]) == ([], 0)


def test_diff_rejects_an_invalid_policy(judged: Store, tmp_path: Path) -> None:
    told = answer("policy", "diff", "acme", "--policy", str(tmp_path / "none.yaml"), code=2)

    assert "none.yaml" in str(told["error"])


def test_a_waiver_is_granted_listed_shown_with_the_verdict_and_withdrawn(judged: Store) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    arguments = ["--approver", "Ada [CISO]", "--reason", "A pilot.", "--expires", last_day]

    granted = answer("policy", "waive", "acme", "owned", "fraud", "--version", "2", *arguments)

    assert (granted["outcome"], granted["gaps_now"]) == ("granted", 1)
    listed = answer("policy", "waivers", "acme")["waivers"]
    assert isinstance(listed, list)
    assert [(one["rule"], one["model"], one["version"], one["approver"]) for one in listed] == [
        ("owned", "fraud", 2, "Ada [CISO]")
    ]
    explained = answer("policy", "explain", "acme", "fraud", "2", "owned")
    assert explained["verdict"] == "fail"
    assert [one["approver"] for one in explained["waivers"]] == ["Ada [CISO]"]  # type: ignore[attr-defined]  # a list
    shown = runner.invoke(app, ["show", "acme", "fraud", "2"]).stdout
    row = " ".join(
        shown[shown.index("owned  ") : shown.index("coded  ")].split()
    )  # the row of the gap, next to its verdict
    assert "owned fail Found: owner is" in row
    assert "waived: accepted by Ada [CISO] through" in row
    assert shown.count("waived: ") == 1
    became = answer("history", "acme", "fraud", "2")["history"]
    assert [one["outcome"] for one in became if one["what"] == "waiver"] == ["granted"]  # type: ignore[attr-defined]  # a list
    assert "Ada [CISO]" in runner.invoke(app, ["policy", "waivers", "acme"]).stdout
    ended = answer("policy", "unwaive", "acme", str(listed[0]["waiver_id"]))
    assert ended["outcome"] == "withdrawn"
    assert answer("policy", "waivers", "acme")["waivers"] == []
    kept = answer("policy", "waivers", "acme", "--all")["waivers"]
    assert isinstance(kept, list)
    assert [(one["holds"], one["ended"], one["gaps_now"]) for one in kept] == [(False, "withdrawn", 1)]
    became = answer("history", "acme", "fraud", "2")["history"]
    assert [one["outcome"] for one in became if one["what"] == "waiver"] == ["granted", "withdrawn"]  # type: ignore[attr-defined]  # a list
    assert not any(one["what"] == "waiver" for one in answer("history", "acme", "fraud", "1")["history"])  # type: ignore[attr-defined]  # a list


@pytest.mark.parametrize(
    ("rule", "expires", "complaint"),
    [
        ("ownd", "2099-01-01", "no policy of 'acme' has the rule 'ownd'; its rules are: owned, numbered, coded"),
        ("owned", "2020-01-01", "is in the past"),
        ("owned", "soon", "expires: 'soon' is not a date: write it like 2026-12-31"),
        ("owned", "9999-12-31", "expires: this is the last day of the calendar: write an earlier date"),
    ],
)
def test_an_invalid_waiver_is_rejected(judged: Store, rule: str, expires: str, complaint: str) -> None:
    arguments = ["--approver", "Ada", "--reason", "A pilot.", "--expires", expires]

    told = answer("policy", "waive", "acme", rule, "fraud", *arguments, code=2)

    assert complaint in str(told["error"])


def test_all_errors_of_a_waiver_are_reported_at_once(judged: Store) -> None:
    arguments = ["--approver", "\u200b", "--reason", " ", "--expires", "2099-01-01", "--version", "2147483648"]

    told = answer("policy", "waive", "acme", "owned", "fraud", *arguments, code=2)

    assert [line.partition(":")[0] for line in str(told["error"]).splitlines()] == ["version", "approver", "reason"]


def test_granting_a_waiver_that_covers_no_gap_prints_a_warning(judged: Store) -> None:
    arguments = ["--approver", "Ada", "--reason", "A pilot.", "--expires", "2099-01-01"]

    result = runner.invoke(app, ["policy", "waive", "acme", "owned", "Fraud*", *arguments])

    assert result.exit_code == 0
    assert "It covers no gap at present: check the spelling of the model's name" in result.stdout


def test_diff_tries_thresholds_or_the_current_files(judged: Store, policy: Path) -> None:
    tried = answer("policy", "diff", "acme", "--threshold", "most=1")
    present = answer("policy", "diff", "acme")
    write_policy(policy, OWNED, CODED, version=2)
    edited = answer("policy", "diff", "acme")

    assert {(one["rule_id"], one["before"], one["after"]) for one in tried["changes"]} == {  # type: ignore[attr-defined]  # a list
        ("numbered", "not evidenced", "fail"),
        (None, "gaps", "non-compliant"),
    }
    assert present["changes"] == []
    assert [one["rule_id"] for one in edited["changes"]] == ["numbered"]  # type: ignore[attr-defined]  # a list


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--threshold", "most"], "write --threshold most=90"),
        (["--threshold", "most=nan"], "write --threshold most=90"),
        (["--threshold", "moat=1"], "no policy has the threshold 'moat'"),
        (["--alone"], "--alone requires --policy"),
    ],
)
def test_diff_rejects_invalid_options(judged: Store, arguments: list[str], complaint: str) -> None:
    assert complaint in str(answer("policy", "diff", "acme", *arguments, code=2)["error"])


def test_the_badge_of_a_model_is_the_worst_of_its_versions_in_production(judged: Store) -> None:
    told = {
        name: json.loads(runner.invoke(app, ["badge", "acme", "fraud", *version, "--format", "json"]).stdout)
        for name, version in {"model": (), "first": ("1",), "second": ("2",)}.items()
    }

    assert {name: one["badge"] for name, one in told.items()} == {
        "model": "non-compliant",
        "first": "gaps",
        "second": "non-compliant",
    }
    assert told["model"]["counted_versions"] == [2, 1]
    assert "the worst badge of the versions that count" in told["model"]["rule"]
    assert "non-compliant if a rule failed" in told["first"]["rule"]
    assert sum(told["model"]["verdicts"].values()) == 6


def test_a_badge_is_printed_as_an_image(judged: Store) -> None:
    result = runner.invoke(app, ["badge", "acme", "fraud", "2", "--format", "svg"])

    assert result.exit_code == 0
    assert ElementTree.fromstring(result.stdout).attrib["aria-label"] == "fraud v2: non-compliant"  # our own


@pytest.mark.parametrize("arguments", [["churn"], ["fraud", "9"]])
def test_a_version_without_verdicts_has_no_badge(judged: Store, arguments: list[str]) -> None:
    result = runner.invoke(app, ["badge", "acme", *arguments, "--format", "json"])

    assert result.exit_code == 1
    assert "nothing was judged" in json.loads(result.stdout)["error"]
