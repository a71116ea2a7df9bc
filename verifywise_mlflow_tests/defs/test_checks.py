"""Rules as asset checks, including those of a tenant's own policies; waived gaps are counted separately."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.checks.rule_description import RuleDescription, check_name
from verifywise_mlflow.defs.checks.rule_results import rule_check_results
from verifywise_mlflow.defs.checks.rule_specs import rule_descriptions
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.services.compliance_summary import summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.mlflow_links import version_page_url
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record

OWNED = rule_yaml("owned", "owner == 'ada'", title="Ada has it")
OTHER_DESCRIPTION = RuleDescription(default_policy().rules[0], default_policy())
"""The check's page if another tenant's policy had a rule with the same ID."""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "ours.yaml", OWNED)


def owned_result(store: Store, tenant: Tenant, now: datetime) -> dg.AssetCheckEvaluation:
    """Return the result of the check `owned`."""
    rules = load_rules(tenant)
    (result,) = rule_check_results(
        tenant, rules, summarize_compliance(store, "acme", rules, now), {"owned": OTHER_DESCRIPTION}, now
    )
    return result


def test_a_check_counts_open_and_waived_gaps_separately(store: Store, policy: Path) -> None:
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)], frameworks=["NIST AI RMF"])
    for model, owner in (("fraud", "bob"), ("churn", "bob"), ("risk", "ada")):
        store_record(store, model, 1, NOON, owner=owner)
    evaluate(tenant, store, day(1))
    now = day(9)
    waiver = Waiver(
        rule="owned",
        model="churn",
        approver="Ada",
        reason="A pilot until spring.",
        expires=(now + timedelta(days=2)).date(),
    )

    before = owned_result(store, tenant, now)
    grant_waiver(store, tenant, waiver, now)
    after = owned_result(store, tenant, now)
    grant_waiver(store, tenant, waiver.model_copy(update={"model": "fraud"}), now)
    last = owned_result(store, tenant, now)

    assert [result.passed for result in (before, after, last)] == [False, False, True]
    assert after.description == "1 of 3 versions of acme need attention; 1 more are waived"
    metadata = {name: after.metadata[name].value for name in ("fail", "pass", "open", "waived", "title", "policy")}
    assert metadata == {"fail": 2, "pass": 1, "open": 1, "waived": 1, "title": "Ada has it", "policy": "ours 1"}
    assert after.metadata["severity"].value == "high"
    link = "[NIST AI RMF](https://doi.org/10.6028/NIST.AI.100-1)"
    assert after.metadata["references"].value == f"- {link} GOVERN 2.1, confidence high"
    worst = after.metadata["versions"]
    assert isinstance(worst, dg.TableMetadataValue)
    assert [(row.data["version"], row.data["verdict"], row.data["days_open"]) for row in worst.records] == [
        ("fraud version 1", "fail", 8),
    ]


def test_a_check_warns_about_versions_that_could_not_be_read_without_calling_them_gaps(
    store: Store, policy: Path
) -> None:
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    store_record(store, "risk", 1, NOON, owner="ada")
    write_record(store, RecordInputs(version=ModelVersion("fraud", 1)), NOON)  # its model could not be read
    evaluate(tenant, store, day(1))

    result = owned_result(store, tenant, day(1))

    assert not result.passed
    assert result.description == (
        "0 of 2 versions of acme need attention; 1 more are undecided, since they could not be read completely"
    )
    assert (result.metadata["not read"].value, "open" in result.metadata) == (1, False)


def test_a_result_holds_only_what_the_sync_found_and_the_description_holds_the_rest(store: Store, policy: Path) -> None:
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    for number in range(7):
        store_record(store, f"fraud-{number}", 1, NOON, owner="bob")
    evaluate(tenant, store, day(1))
    rules = load_rules(tenant)
    descriptions = {"owned": RuleDescription(rules.rules[0], rules.policies[0])}

    (before,) = rule_check_results(
        tenant, rules, summarize_compliance(store, "acme", rules, day(1)), descriptions, day(1)
    )
    for number in range(7):
        store_record(store, f"fraud-{number}", 1, day(1), owner="ada")
    evaluate(tenant, store, day(2))
    (after,) = rule_check_results(
        tenant, rules, summarize_compliance(store, "acme", rules, day(2)), descriptions, day(2)
    )

    assert set(before.metadata) == {"fail", "open", "oldest_gap_days", "versions", "pages"}
    assert len(before.metadata["versions"].value.records) == 5  # type: ignore[union-attr]  # a table's
    assert {name: entry.value for name, entry in after.metadata.items()} == {"pass": 7}
    rule, page = rules.rules[0], descriptions["owned"].markdown
    assert [
        text for text in (rule.title, rule.rationale, rule.remedy, "ours 1", "Severity high") if text not in page
    ] == []
    assert "[NIST AI RMF](https://doi.org/10.6028/NIST.AI.100-1)" in page


def without_code(rendered: str) -> str:
    """Return HTML without the marks of code, which words with a URL have."""
    return rendered.replace("<code>", "").replace("</code>", "")


def test_a_hostile_name_is_inert_in_a_check_and_its_link_leads_to_the_version(store: Store, policy: Path) -> None:
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    hostile = "a/b](javascript:x) <img src=x> *b* `c` www.evil.example\n# \u202e|%2F"
    store_record(store, hostile, 7, NOON, owner="bob")
    evaluate(tenant, store, day(1))

    result = owned_result(store, tenant, day(1))

    (row,) = result.metadata["versions"].value.records  # type: ignore[union-attr]  # a table's
    model = str(row.data["version"]).removesuffix(" version 7")
    assert model == hostile.replace("\n", r"\n").replace("\u202e", r"\u202e")
    page = version_page_url(tenant, hostile, 7)
    rendered = MarkdownIt("js-default").render(str(result.metadata["pages"].value))
    assert without_code(rendered) == f'<ul>\n<li><a href="{page}">{escape(model)} version 7</a></li>\n</ul>\n'


def test_text_of_a_policy_is_escaped_on_its_checks_page(tmp_path: Path) -> None:
    hostile = '"![x](https://evil.example/t.png) [log in](https://evil.example) <b> `c`\\n\\n# *b*"'
    policy_file = write_policy(tmp_path / "ours.yaml", rule_yaml("owned", "owner == 'ada'", title=hostile))
    rules = load_rules(tenant_with_policies(default_policy=False, policies=[str(policy_file)]))

    rendered = MarkdownIt("js-default").render(RuleDescription(rules.rules[0], rules.policies[0]).markdown)

    visible = "![x](https://evil.example/t.png) [log in](https://evil.example) <b> `c` # *b*."
    assert without_code(rendered).startswith(f"<p>{escape(visible)}</p>\n<p><strong>Why:</strong> Because.</p>\n")


def test_dagster_gets_a_check_for_the_rules_of_every_readable_policy(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(
        "tenants:\n"
        f"  acme: {{tracking_uri: 'https://a.example', compliance: {{policies: [{policy}]}}}}\n"
        f"  globex: {{tracking_uri: 'https://b.example', compliance: {{policies: [{tmp_path}/none.yaml]}}}}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))

    rules = rule_descriptions()

    assert rules.keys() == {*(check_name(rule.id) for rule in default_policy().rules), "owned"}
    assert rules["owned"].rule.title == "Ada has it"


def test_a_check_whose_rule_is_in_no_policy_of_the_tenant_passes_as_not_evaluated(
    store: Store, database_url: str, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    compliance = f"{{default_policy: false, policies: [{policy}]}}"
    path.write_text(f"tenants:\n  acme: {{tracking_uri: 'https://a.example', compliance: {compliance}}}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    store_record(store, "fraud", 1, NOON, owner="ada")

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key="acme", asset_selection=[dg.AssetKey("compliance_results")]
        )

    assert result.success
    # Dagster loaded the code before the tenant's policy existed and expects a result for each check that it knows.
    results = {result.check_name: result for result in result.get_asset_check_evaluations()}
    assert results.keys() == {check_name(rule.id) for rule in default_policy().rules}
    assert {result.description for result in results.values()} == {
        "Not evaluated: no policy of acme contains this rule"
    }


def test_executing_checks_alone_fails_before_anything_is_synced(
    store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants:\n  acme: {tracking_uri: 'https://a.example'}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    owner = dg.AssetCheckKey(dg.AssetKey("compliance_results"), "owner")

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        result = dg.materialize(
            [stage_assets[-1]],
            selection=dg.AssetSelection.checks(owner),
            instance=instance,
            resources={"tenant_sync": TenantSync()},
            raise_on_error=False,
        )

    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "Materialize compliance_results for a tenant" in str(failure.step_failure_data.error_display_string)
    with store.begin("acme") as session:
        assert audit_log.head(session) is None
