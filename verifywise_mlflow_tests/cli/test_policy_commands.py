"""Policies, waivers and badges on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import Connection, Engine, event, text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, rule_yaml, store_record, write_policy
from verifywise_mlflow_tests.support.forging import WITH_CELL
from verifywise_mlflow_tests.support.stored_states import NOON, day

runner = CliRunner(env={"COLUMNS": "200"})
OWNED = rule_yaml("owned", "owner == 'ada'", applies='lifecycle_stage == "production"')
NUMBERED = rule_yaml("numbered", "version_number < thresholds.most && created_at != today")
CODED = rule_yaml("coded", "code_commit != ''")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "ours.yaml", OWNED, NUMBERED, CODED, thresholds="{most: 10}")


@pytest.fixture
def evaluated_store(
    store: Store, database_url: str, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
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


def run_json(*arguments: str, code: int = 0) -> dict[str, object]:
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    output: dict[str, object] = json.loads(result.stdout)
    return output


def test_a_verdict_is_explained_by_its_rule_its_values_and_their_origins(evaluated_store: Store) -> None:
    explanation = run_json("policy", "explain", "acme", "fraud", "2", "owned")

    assert (explanation["verdict"], explanation["is_reproduced"], explanation["problems"]) == ("fail", True, [])
    assert explanation["values"] == {"lifecycle_stage": "production", "owner": "bob"}
    origins = explanation["origins"]
    assert isinstance(origins, Mapping)
    assert origins["owner"] == {"source": "version tag", "key": "owner"}
    rule, recomputed = explanation["rule"], explanation["recomputed"]
    assert isinstance(rule, Mapping)
    assert isinstance(recomputed, Mapping)
    assert (rule["requires"], recomputed["input_hash"]) == ("owner == 'ada'", explanation["input_hash"])


def test_a_verdict_on_a_text_that_is_no_value_is_reproduced_from_the_stored_origin(
    evaluated_store: Store, policy: Path
) -> None:
    denied = 'origins.compliance_approver.state in ["negative", "failed"]'
    write_policy(policy, rule_yaml("approved", f"""'!({denied}) && compliance_approver != ""'"""), version=2)
    store_record(evaluated_store, "fraud", 2, day(2), stage="Production", approved_by="rejected by Ada")
    evaluate(load_tenants()["acme"], evaluated_store, day(2))

    explanation = run_json("policy", "explain", "acme", "fraud", "2", "approved")

    assert (explanation["verdict"], explanation["is_reproduced"], explanation["problems"]) == ("fail", True, [])
    assert explanation["values"] == {"compliance_approver": None, "origins.compliance_approver.state": "negative"}
    assert explanation["origins"] == {
        "compliance_approver": {
            "source": "version tag",
            "key": "approved_by",
            "raw": "rejected by Ada",
            "state": "negative",
        }
    }
    assert str(explanation["reason"]).startswith("The version tag 'approved_by' is 'rejected by Ada', a negation, ")


def test_a_verdict_that_a_condition_decides_is_reproduced(evaluated_store: Store, policy: Path) -> None:
    condition = (
        """{holds: '!("owner" in origins.compliance_approver.same_person_as)', otherwise: fail, reason: The same.}"""
    )
    rule = rule_yaml("approved", """'compliance_approver != ""'""")
    write_policy(policy, f"{rule}    conditions: [{condition}]\n", version=2)
    store_record(evaluated_store, "fraud", 2, day(2), stage="Production", owner="ada", approved_by="Ada, 2026-02-01")
    evaluate(load_tenants()["acme"], evaluated_store, day(2))

    explanation = run_json("policy", "explain", "acme", "fraud", "2", "approved")
    text = runner.invoke(app, ["policy", "explain", "acme", "fraud", "2", "approved"]).stdout

    assert (explanation["verdict"], explanation["is_reproduced"], explanation["problems"]) == ("fail", True, [])
    assert explanation["reason"] == "The same."
    assert 'otherwise fail: !("owner" in' in text


def test_the_text_output_explains_the_verdict_too(evaluated_store: Store) -> None:
    result = runner.invoke(app, ["policy", "explain", "acme", "fraud", "2", "owned"])

    assert result.exit_code == 0
    for expected_text in ("fraud version 2: owned: fail", "owner == 'ada'", "version tag owner", "the same verdict"):
        assert expected_text in result.stdout


def test_a_past_verdict_is_explained_by_the_policy_and_record_of_that_time(
    evaluated_store: Store, policy: Path
) -> None:
    store_record(evaluated_store, "fraud", 2, day(2), stage="Production", owner="ada")
    evaluate(load_tenants()["acme"], evaluated_store, day(2))
    write_policy(policy, rule_yaml("owned", "owner == 'eve'", version=2), version=2)
    evaluate(load_tenants()["acme"], evaluated_store, day(3))

    explanations = [
        run_json("policy", "explain", "acme", "fraud", "2", "owned", "--as-of", f"2026-03-0{number}T13:00")
        for number in (1, 2, 3)
    ]

    assert [(explanation["verdict"], explanation["is_reproduced"]) for explanation in explanations] == [
        ("fail", True),
        ("pass", True),
        ("fail", True),
    ]
    assert [explanation["rule"]["requires"] for explanation in explanations] == [  # type: ignore[index]  # an object
        "owner == 'ada'",
        "owner == 'ada'",
        "owner == 'eve'",
    ]
    assert [explanation["values"]["owner"] for explanation in explanations] == ["bob", "ada", "ada"]  # type: ignore[index]  # an object


def test_thresholds_and_the_day_are_part_of_the_explanation(evaluated_store: Store) -> None:
    output = run_json("policy", "explain", "acme", "fraud", "1", "numbered")

    assert (output["thresholds"], output["day"], output["is_reproduced"]) == ({"most": 10.0}, "2026-03-01", True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("verdicts[{place}] = 'pass'", "evaluated again"),
        (
            'values = pg_temp.with_cell(values, {place}, \'{{"owner": "ada"}}\')',
            "the input hash does not match",
        ),
    ],
)
def test_a_verdict_that_was_tampered_with_is_not_reproduced(evaluated_store: Store, change: str, problem: str) -> None:
    place = "array_position(rule_ids, 'owned')"
    with evaluated_store.begin_shared() as connection:
        # With another time, as a forger would write it who knows the triggers.
        connection.exec_driver_sql(
            f"{WITH_CELL}; UPDATE verifywise_mlflow.version_verdicts SET {change.format(place=place)}, "
            f"evaluated_at[{place}] = evaluated_at[{place}] + interval '1 second' WHERE version_number = 2"
        )

    output = run_json("policy", "explain", "acme", "fraud", "2", "owned", code=1)

    assert any(problem in str(found_problem) for found_problem in output["problems"])  # type: ignore[attr-defined]  # a list


def test_a_verdict_that_never_existed_cannot_be_explained(evaluated_store: Store) -> None:
    output = run_json("policy", "explain", "acme", "fraud", "2", "owned", "--as-of", "2026-02-01", code=1)

    assert "there is no verdict of 'owned'" in str(output["error"])


def test_diff_shows_what_a_policy_would_change_and_changes_nothing(evaluated_store: Store, tmp_path: Path) -> None:
    proposed = write_policy(
        tmp_path / "new.yaml",
        rule_yaml("owned", "owner in ['ada', 'bob']", version=2),
        rule_yaml("purposed", "business_purpose != ''"),
        version=2,
    )
    with evaluated_store.begin("acme") as session:
        before = session.execute(text("SELECT * FROM verifywise_mlflow.compliance_results ORDER BY 1, 2, 3, 4")).all()

    output = run_json("policy", "diff", "acme", "--policy", str(proposed))

    changes = output["changes"]
    assert isinstance(changes, list)
    assert {(change["rule_id"], change["before"], change["after"], change["versions"]) for change in changes} == {
        (None, "failing", "gaps", 1),
        ("owned", "fail", "pass", 1),
        ("purposed", None, "not evidenced", 2),
        ("coded", "not evidenced", None, 2),
        ("numbered", "not evidenced", None, 2),
    }
    assert output["judged"] == 2
    owned = next(change for change in changes if change["rule_id"] == "owned")
    assert owned["examples"] == [{"model_name": "fraud", "version_number": 2}]
    with evaluated_store.begin("acme") as session:
        after = session.execute(text("SELECT * FROM verifywise_mlflow.compliance_results ORDER BY 1, 2, 3, 4")).all()
    assert before == after
    assert "owned" in runner.invoke(app, ["policy", "diff", "acme", "--policy", str(proposed)]).stdout


def test_diff_with_the_current_policy_finds_no_change(evaluated_store: Store, policy: Path) -> None:
    output = run_json("policy", "diff", "acme", "--policy", str(policy), "--alone")

    assert (output["changes"], output["not_judged_as_they_are"]) == ([], 0)


def test_diff_rejects_an_invalid_policy(evaluated_store: Store, tmp_path: Path) -> None:
    output = run_json("policy", "diff", "acme", "--policy", str(tmp_path / "none.yaml"), code=2)

    assert "none.yaml" in str(output["error"])


def test_a_waiver_is_granted_listed_shown_with_the_verdict_and_withdrawn(evaluated_store: Store) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    arguments = ["--approver", "Ada [CISO]", "--reason", "A pilot until spring.", "--expires", last_day]

    granted = run_json("policy", "waive", "acme", "owned", "fraud", "--version", "2", *arguments)

    assert (granted["outcome"], granted["gaps_now"]) == ("granted", 1)
    listed = run_json("policy", "waivers", "acme")["waivers"]
    assert isinstance(listed, list)
    assert [(waiver["rule"], waiver["model"], waiver["version"], waiver["approver"]) for waiver in listed] == [
        ("owned", "fraud", 2, "Ada [CISO]")
    ]
    explained = run_json("policy", "explain", "acme", "fraud", "2", "owned")
    assert explained["verdict"] == "fail"
    assert [waiver["approver"] for waiver in explained["waivers"]] == ["Ada [CISO]"]  # type: ignore[attr-defined]  # a list
    output = runner.invoke(app, ["show", "acme", "fraud", "2", "--all"]).stdout
    row = " ".join(output[output.index("owned: ") : output.index("coded: ")].split())  # the gap, with its waiver
    assert "owned: fail since" in row
    assert "Found: owner is" in row
    assert "waived: accepted by Ada [CISO] through" in row
    assert output.count("waived: ") == 1
    history = run_json("history", "acme", "fraud", "2")["history"]
    assert [waiver["outcome"] for waiver in history if waiver["what"] == "waiver"] == ["granted"]  # type: ignore[attr-defined]  # a list
    printed = runner.invoke(app, ["policy", "waivers", "acme"], env={"COLUMNS": "80"}).stdout
    assert f"   through {last_day}, 1 gap now, granted by command\n   Ada [CISO]: A pilot" in printed
    withdrawal = run_json("policy", "unwaive", "acme", str(listed[0]["waiver_id"]))
    assert withdrawal["outcome"] == "withdrawn"
    assert run_json("policy", "waivers", "acme")["waivers"] == []
    all_waivers = run_json("policy", "waivers", "acme", "--all")["waivers"]
    assert isinstance(all_waivers, list)
    assert [(waiver["holds"], waiver["ended"], waiver["gaps_now"]) for waiver in all_waivers] == [
        (False, "withdrawn", 1)
    ]
    history = run_json("history", "acme", "fraud", "2")["history"]
    assert [waiver["outcome"] for waiver in history if waiver["what"] == "waiver"] == ["granted", "withdrawn"]  # type: ignore[attr-defined]  # a list
    assert not any(waiver["what"] == "waiver" for waiver in run_json("history", "acme", "fraud", "1")["history"])  # type: ignore[attr-defined]  # a list


@pytest.mark.parametrize(
    ("rule", "expires", "complaint"),
    [
        ("owned", "2020-01-01", "is in the past"),
        ("owned", "soon", "expires: 'soon' is not a date: write it like 2026-12-31"),
        ("owned", "9999-12-31", "expires: this is the last day of the calendar: write an earlier date"),
        ("owned", "2999-12-31", "days, and the tenant's waivers end within 365: write 20"),
    ],
)
def test_an_invalid_waiver_is_rejected(evaluated_store: Store, rule: str, expires: str, complaint: str) -> None:
    arguments = ["--approver", "Ada", "--reason", "A pilot until spring.", "--expires", expires]

    output = run_json("policy", "waive", "acme", rule, "fraud", *arguments, code=2)

    assert complaint in str(output["error"])


def test_all_errors_of_a_waiver_are_reported_at_once(evaluated_store: Store) -> None:
    arguments = ["--approver", "\u200b", "--reason", " ", "--expires", "2099-01-01", "--version", "2147483648"]

    output = run_json("policy", "waive", "acme", "owned", "fraud", *arguments, code=2)

    assert [line.partition(":")[0] for line in str(output["error"]).splitlines()] == ["version", "approver", "reason"]


def test_granting_a_waiver_that_covers_no_gap_prints_a_warning(evaluated_store: Store) -> None:
    expires = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    arguments = ["--approver", "Ada", "--reason", "A pilot until spring.", "--expires", expires]

    result = runner.invoke(app, ["policy", "waive", "acme", "owned", "Fraud", *arguments])

    assert result.exit_code == 0
    assert "It covers no gap at present: check the spelling of the model's name" in result.stdout


def test_diff_tries_thresholds_or_the_current_files(evaluated_store: Store, policy: Path) -> None:
    with_threshold = run_json("policy", "diff", "acme", "--threshold", "most=1")
    with_current_files = run_json("policy", "diff", "acme")
    write_policy(policy, OWNED, CODED, version=2)
    edited = run_json("policy", "diff", "acme")

    assert {(change["rule_id"], change["before"], change["after"]) for change in with_threshold["changes"]} == {  # type: ignore[attr-defined]  # a list
        ("numbered", "not evidenced", "fail"),
        (None, "gaps", "failing"),
    }
    assert with_current_files["changes"] == []
    assert [change["rule_id"] for change in edited["changes"]] == ["numbered"]  # type: ignore[attr-defined]  # a list


def test_diff_says_that_it_understood_a_threshold_as_the_level_of_a_metric(
    evaluated_store: Store, tmp_path: Path
) -> None:
    measured = write_policy(
        tmp_path / "measured.yaml", rule_yaml("measured", "size(measures.performance) > 0"), policy_id="m"
    )
    arguments = ["policy", "diff", "acme", "--policy", str(measured), "--threshold", "most_days=90"]

    assert run_json(*arguments)["levels"] == {"most_days": 90}
    printed = runner.invoke(app, arguments).stdout
    assert "most_days: no rule compares with it, so the metric days is to be at most 90\n" in printed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--threshold", "most"], "write --threshold most=90"),
        (["--threshold", "most=nan"], "write --threshold most=90"),
        (["--threshold", "moat=1"], "no policy has the threshold 'moat' (defined: most): did you mean 'most'?"),
        (["--alone"], "--alone requires --policy"),
    ],
)
def test_diff_rejects_invalid_options(evaluated_store: Store, arguments: list[str], complaint: str) -> None:
    assert complaint in str(run_json("policy", "diff", "acme", *arguments, code=2)["error"])


def test_the_badge_of_a_model_is_the_worst_of_its_versions_in_production(evaluated_store: Store) -> None:
    badges = {
        name: json.loads(runner.invoke(app, ["badge", "acme", "fraud", *version, "--format", "json"]).stdout)
        for name, version in {"model": (), "first": ("1",), "second": ("2",)}.items()
    }

    assert {name: badge_output["badge"] for name, badge_output in badges.items()} == {
        "model": "failing",
        "first": "gaps",
        "second": "failing",
    }
    assert badges["model"]["counted_versions"] == [2, 1]
    assert "the worst badge of the versions that count" in badges["model"]["rule"]
    assert "failing if a rule failed" in badges["first"]["rule"]
    assert sum(badges["model"]["verdicts"].values()) == 6


def test_a_badge_and_its_verdicts_are_of_one_state_of_the_database(evaluated_store: Store) -> None:
    store_record(evaluated_store, "fraud", 1, NOON, stage="Production", owner="bob")
    tables_read: list[str] = []

    def evaluate_between(_: Connection, _cursor: object, statement: str, *_others: object) -> None:
        """Make a sync write another badge and other verdicts immediately after the command has read the badge."""
        if "compliance_badges" in statement and not tables_read:
            tables_read.append(statement)
            evaluate(load_tenants()["acme"], evaluated_store, day(2))

    event.listen(Engine, "after_cursor_execute", evaluate_between)
    try:
        during = run_json_badge("1")
    finally:
        event.remove(Engine, "after_cursor_execute", evaluate_between)
    after = run_json_badge("1")

    assert tables_read
    assert (during["badge"], during["verdicts"]) == ("gaps", {"not evidenced": 2, "pass": 1})
    assert (after["badge"], after["verdicts"]) == ("failing", {"fail": 1, "not evidenced": 2})


def run_json_badge(version: str) -> dict[str, object]:
    output: dict[str, object] = json.loads(
        runner.invoke(app, ["badge", "acme", "fraud", version, "--format", "json"]).stdout
    )
    return output


def test_a_badge_is_printed_as_an_image(evaluated_store: Store) -> None:
    result = runner.invoke(app, ["badge", "acme", "fraud", "2", "--format", "svg"])

    assert result.exit_code == 0
    assert ElementTree.fromstring(result.stdout).attrib["aria-label"] == "fraud v2: failing"  # our own


def test_a_version_without_verdicts_has_no_badge(evaluated_store: Store) -> None:
    store_record(evaluated_store, "churn", 1, NOON)

    result = runner.invoke(app, ["badge", "acme", "churn", "1", "--format", "json"])

    assert result.exit_code == 1
    assert "nothing was judged" in json.loads(result.stdout)["error"]
