"""The rules on the command line: listed with their gaps, printed in full, and checked before they are used."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, rule_yaml, store_record, write_policy
from verifywise_mlflow_tests.support.stored_states import NOON, day

runner = CliRunner(env={"COLUMNS": "80"})
WITH_EXAMPLES = (
    rule_yaml("owned", "owner == 'ada'")
    + """\
    examples:
      - {record: {owner: ada}, verdict: pass}
      - {record: {owner: bob}, verdict: fail}
"""
)


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy file that the tenant uses with its own threshold."""
    rules = (WITH_EXAMPLES, rule_yaml("numbered", "version_number < thresholds.most"))
    path = write_policy(tmp_path / "ours.yaml", *rules, thresholds="{most: 10}")
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text(
        "tenants:\n  acme:\n    tracking_uri: https://mlflow.acme.example\n"
        f"    compliance: {{default_policy: false, policies: [{path}], thresholds: {{most: 20}}, "
        "waiver_limits: {allow_patterns: true}}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tenants))
    return path


def test_rules_are_listed_with_open_and_waived_gaps(
    policy: Path, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    for name, owner in (("fraud", "ada"), ("churn", "bob"), ("pilot", "bob")):
        store_record(store, name, 1, NOON, owner=owner)
    evaluate(load_tenants()["acme"], store, day(1))
    now = datetime.now(UTC)
    waiver = Waiver(
        rule="owned",
        model="pil?t",
        approver="Ada",
        reason="A pilot until spring.",
        expires=(now + timedelta(days=2)).date(),
    )
    grant_waiver(store, load_tenants()["acme"], waiver, now)
    write_policy(policy, WITH_EXAMPLES, rule_yaml("newer", "owner != ''"))
    policy.with_name("tenants.yaml").write_text(
        policy.with_name("tenants.yaml").read_text().replace(", thresholds: {most: 20}", "")
    )

    listed = json.loads(runner.invoke(app, ["policy", "rules", "acme", "--json"]).stdout)["rules"]

    counts_by_rule = {rule["rule_id"]: (rule["judged"], rule["open"], rule["waived"]) for rule in listed}
    assert counts_by_rule == {"owned": (3, 1, 1), "newer": (None, None, None)}
    output = runner.invoke(app, ["policy", "rules", "acme"]).stdout
    assert "owned  high      ours       1       1       3" in output
    assert "newer  high      ours       -       -       -" in output


def test_the_gaps_that_most_need_a_person_are_listed_without_waived_ones(
    policy: Path, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    for name, stage in (("fraud", None), ("churn", "Production"), ("pilot", "Production")):
        store_record(store, name, 1, NOON, stage=stage, owner="bob")
    tenant = load_tenants()["acme"]
    evaluate(tenant, store, day(1))
    now = datetime.now(UTC)
    reason = "A pilot until spring."
    waiver = Waiver(
        rule="owned", model="pilot", approver="Ada", reason=reason, expires=(now + timedelta(days=2)).date()
    )
    grant_waiver(store, tenant, waiver, now)

    listed = json.loads(runner.invoke(app, ["policy", "gaps", "acme", "--json"]).stdout)["gaps"]
    output = runner.invoke(app, ["policy", "gaps", "acme", "--limit", "1"]).stdout

    assert [(gap["severity"], gap["model_name"], gap["verdict"]) for gap in listed] == [
        ("high", "churn", "fail"),
        ("high", "fraud", "fail"),
    ]
    assert listed[0]["days_open"] == (now - day(1)).days
    assert "churn 1" in output
    assert "fraud" not in output


def test_tenants_reports_waivers_beyond_the_limits_with_their_line(policy: Path) -> None:
    waivers = policy.with_name("waivers.yaml")
    waivers.write_text(
        "waivers:\n  - {tenant: acme, rule: owned, model: a, approver: n/a, reason: TBD, expires: 2099-01-01}\n"
    )

    result = runner.invoke(app, ["tenants", "--json"])

    assert result.exit_code == 2
    lines = json.loads(result.stdout)["error"].splitlines()
    assert [line.removeprefix(f"{waivers}:2: waiver 1: ").partition(":")[0] for line in lines] == [
        "approver",
        "reason",
        "expires",
    ]


def test_a_rule_is_printed_with_the_tenants_threshold(policy: Path) -> None:
    as_json = json.loads(runner.invoke(app, ["policy", "rule", "acme", "numbered", "--json"]).stdout)
    output = runner.invoke(app, ["policy", "rule", "acme", "owned"]).stdout

    assert (as_json["requires"], as_json["thresholds"]) == ("version_number < thresholds.most", {"most": 20})
    for expected_text in ("owner == 'ada'", "Because.", "Do it.", "NIST AI RMF GOVERN 2.1", '{"owner": "bob"}', "fail"):
        assert expected_text in output


def test_an_unknown_rule_is_reported_with_the_known_ones(policy: Path) -> None:
    result = runner.invoke(app, ["policy", "rule", "acme", "ownd", "--json"])

    assert result.exit_code == 3
    assert "its rules are: owned, numbered. Did you mean 'owned'?" in json.loads(result.stdout)["error"]


def test_policy_check_runs_the_examples_without_tenants_and_database(tmp_path: Path) -> None:
    good = write_policy(tmp_path / "good.yaml", WITH_EXAMPLES, rule_yaml("bare", "owner != ''"))
    (tmp_path / "more.yaml").write_text("rules:" + WITH_EXAMPLES.replace("bob}, verdict: fail", "bob}, verdict: pass"))
    bad = tmp_path / "bad.yaml"
    bad.write_text("id: bad\nversion: 1\ntitle: Bad\nfiles: [more.yaml]\n")
    unusable = write_policy(tmp_path / "unusable.yaml", WITH_EXAMPLES.replace("owner ==", "ownr =="))

    results = {
        path.stem: (result.exit_code, json.loads(result.stdout))
        for path in (good, bad, unusable)
        if (result := runner.invoke(app, ["policy", "check", str(path), "--json"]))
    }

    code, output = results["good"]
    assert (code, output["outcome"], output["rules"], output["examples"]) == (0, "passed", 2, 2)
    assert output["rules_without_examples"] == ["bare"]
    code, output = results["bad"]
    assert (code, output["outcome"]) == (1, "failed")
    (error,) = output["errors"]
    assert error.startswith(
        f"{tmp_path}/more.yaml:13: rule 'owned': example 2 expects 'pass', and the rule gives 'fail'"
    )
    code, output = results["unusable"]
    assert (code, output["outcome"]) == (1, "unusable")
    assert "rule 'owned': requires: undeclared reference to 'ownr'" in output["errors"][0]


def test_policy_check_prints_errors_with_their_lines(tmp_path: Path) -> None:
    bad = write_policy(tmp_path / "bad.yaml", WITH_EXAMPLES.replace("bob}, verdict: fail", "bob}, verdict: pass"))

    result = runner.invoke(app, ["policy", "check", str(bad)])

    assert result.exit_code == 1
    assert f"{bad}:17: rule 'owned': example 2 expects 'pass'" in result.stdout


def test_tenants_also_validates_the_policies_and_waivers(policy: Path) -> None:
    good = runner.invoke(app, ["tenants"])
    policy.with_name("waivers.yaml").write_text("waivers:\n  - {tenant: acme, rule: owned}\n")
    waivers = json.loads(runner.invoke(app, ["tenants", "--json"]).stdout)
    policy.write_text("rules: [\n")
    policies = json.loads(runner.invoke(app, ["tenants", "--json"]).stdout)

    assert good.exit_code == 0
    assert "waivers.yaml:2: waiver 1: model: this field i" in waivers["error"]
    assert "tenant 'acme', compliance: " in policies["error"]
    assert "ours.yaml:2: is not YAML" in policies["error"]


def test_tenants_also_validates_the_copy_of_vulnerabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tenants.yaml"
    compliance = f"{{vulnerability_copy: {tmp_path}/nowhere.zip}}"
    path.write_text(f"tenants: {{acme: {{tracking_uri: https://m.example}}}}\ndefaults: {{compliance: {compliance}}}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))

    missing = runner.invoke(app, ["tenants", "--json"])
    (tmp_path / "nowhere.zip").mkdir()
    empty = runner.invoke(app, ["tenants", "--json"])

    assert (missing.exit_code, empty.exit_code) == (2, 2)
    assert "nowhere.zip cannot be read as a copy of OSV: No such file" in json.loads(missing.stdout)["error"]
    assert "it has no entry about PyPI" in json.loads(empty.stdout)["error"]
