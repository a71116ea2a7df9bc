"""Rules as asset checks: those of the tenant's own policies, with what is waived told apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from pathlib import Path

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.checks.rule_description import RuleDescription, check_name
from verifywise_mlflow.defs.checks.rule_results import rule_check_results
from verifywise_mlflow.defs.checks.rule_specs import rule_descriptions
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.services.compliance_summary import summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.version_page import version_page_url
from verifywise_mlflow_tests.persistence.kept_states import NOON, day
from verifywise_mlflow_tests.pipeline.evaluation_fixtures import described, judge, keep, written_policy, written_rule

OWNED = written_rule("owned", "owner == 'ada'", title="Ada has it")
OF_OTHERS = RuleDescription(default_policy().rules[0], default_policy())
"""What the check's page would say if another tenant had named a rule so."""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return written_policy(tmp_path / "ours.yaml", OWNED)


def owned(store: Store, tenant: Tenant, now: datetime) -> dg.AssetCheckEvaluation:
    """Return the result of the one check."""
    rules = load_rules(tenant)
    (result,) = rule_check_results(
        tenant, rules, summarize_compliance(store, "acme", rules, now), {"owned": OF_OTHERS}, now
    )
    return result


def test_a_check_counts_what_is_open_and_what_is_waived_apart(store: Store, policy: Path) -> None:
    tenant = described(default_policy=False, policies=[str(policy)], frameworks=["NIST AI RMF"])
    for model, owner in (("fraud", "bob"), ("churn", "bob"), ("risk", "ada")):
        keep(store, model, 1, NOON, owner=owner)
    judge(tenant, store, day(1))
    now = day(9)
    waiver = Waiver(
        rule="owned", model="churn", approver="Ada", reason="A pilot.", expires=(now + timedelta(days=2)).date()
    )

    before = owned(store, tenant, now)
    grant_waiver(store, tenant, waiver, now)
    after = owned(store, tenant, now)
    grant_waiver(store, tenant, waiver.model_copy(update={"model": "fraud"}), now)
    last = owned(store, tenant, now)

    assert [one.passed for one in (before, after, last)] == [False, False, True]
    assert after.description == "1 of 3 versions of acme need attention; 1 more are waived"
    figures = {name: after.metadata[name].value for name in ("fail", "pass", "open", "waived", "title", "policy")}
    assert figures == {"fail": 2, "pass": 1, "open": 1, "waived": 1, "title": "Ada has it", "policy": "ours 1"}
    assert after.metadata["severity"].value == "high"
    assert after.metadata["references"].value == "- [NIST AI RMF](https://doi.org/10.6028/NIST.AI.100-1) GOVERN 2.1"
    worst = after.metadata["versions"]
    assert isinstance(worst, dg.TableMetadataValue)
    assert [(row.data["version"], row.data["verdict"], row.data["days_open"]) for row in worst.records] == [
        ("fraud version 1", "fail", 8),
        ("churn version 1", "fail, waived", 8),
    ]


def test_a_result_holds_what_the_sync_found_and_the_checks_page_what_holds_for_all_syncs(
    store: Store, policy: Path
) -> None:
    tenant = described(default_policy=False, policies=[str(policy)])
    for number in range(7):
        keep(store, f"fraud-{number}", 1, NOON, owner="bob")
    judge(tenant, store, day(1))
    rules = load_rules(tenant)
    known = {"owned": RuleDescription(rules.rules[0], rules.policies[0])}

    (before,) = rule_check_results(tenant, rules, summarize_compliance(store, "acme", rules, day(1)), known, day(1))
    for number in range(7):
        keep(store, f"fraud-{number}", 1, day(1), owner="ada")
    judge(tenant, store, day(2))
    (after,) = rule_check_results(tenant, rules, summarize_compliance(store, "acme", rules, day(2)), known, day(2))

    assert set(before.metadata) == {"fail", "open", "oldest_gap_days", "versions", "pages"}
    assert len(before.metadata["versions"].value.records) == 5  # type: ignore[union-attr]  # a table's
    assert {name: one.value for name, one in after.metadata.items()} == {"pass": 7}
    rule, page = rules.rules[0], known["owned"].markdown
    assert [
        text for text in (rule.title, rule.rationale, rule.remedy, "ours 1", "Severity high") if text not in page
    ] == []
    assert "[NIST AI RMF](https://doi.org/10.6028/NIST.AI.100-1)" in page


def test_what_a_name_holds_does_nothing_in_a_check_and_its_link_leads_to_the_version(
    store: Store, policy: Path
) -> None:
    tenant = described(default_policy=False, policies=[str(policy)])
    hostile = "a/b](javascript:x) <img src=x> *b* `c` www.evil.example\n# \u202e|%2F"
    keep(store, hostile, 7, NOON, owner="bob")
    judge(tenant, store, day(1))

    result = owned(store, tenant, day(1))

    (row,) = result.metadata["versions"].value.records  # type: ignore[union-attr]  # a table's
    model = str(row.data["version"]).removesuffix(" version 7")
    assert model == hostile.replace("\n", r"\n").replace("\u202e", r"\u202e")
    page = version_page_url(tenant, hostile, 7)
    rendered = MarkdownIt("js-default").render(str(result.metadata["pages"].value))
    assert rendered == f'<ul>\n<li><a href="{page}">{escape(model)} version 7</a></li>\n</ul>\n'


def test_what_a_policy_says_is_text_on_its_checks_page(tmp_path: Path) -> None:
    hostile = '"![x](https://evil.example/t.png) [log in](https://evil.example) <b> `c`\\n\\n# *b*"'
    written = written_policy(tmp_path / "ours.yaml", written_rule("owned", "owner == 'ada'", title=hostile))
    rules = load_rules(described(default_policy=False, policies=[str(written)]))

    rendered = MarkdownIt("js-default").render(RuleDescription(rules.rules[0], rules.policies[0]).markdown)

    shown = "![x](https://evil.example/t.png) [log in](https://evil.example) <b> `c` # *b*."
    assert rendered.startswith(f"<p>{escape(shown)}</p>\n<p><strong>Why:</strong> Because.</p>\n")


def test_dagster_knows_the_rules_of_every_tenant_that_can_be_read(
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


def test_a_tenant_that_is_not_asked_the_rules_that_dagster_knows_is_judged_all_the_same(
    store: Store, database_url: str, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    asked = f"{{default_policy: false, policies: [{policy}]}}"
    path.write_text(f"tenants:\n  acme: {{tracking_uri: 'https://a.example', compliance: {asked}}}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    keep(store, "fraud", 1, NOON, owner="ada")

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key="acme", asset_selection=[dg.AssetKey("compliance_results")]
        )

    assert result.success
    # Dagster loaded the code before the tenant's policy was there, and wants an answer for each rule that it knows.
    answers = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert answers.keys() == {check_name(rule.id) for rule in default_policy().rules}
    assert {one.description for one in answers.values()} == {"no policy of acme asks for this: nothing was judged"}


def test_checks_alone_are_refused_before_anything_is_synced(
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
    assert "materialize compliance_results for a tenant" in str(failure.step_failure_data.error_display_string)
    with store.begin("acme") as session:
        assert audit_log.head(session) is None
