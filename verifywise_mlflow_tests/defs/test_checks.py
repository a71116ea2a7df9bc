"""Rules as asset checks: those of the tenant's own policies, with what is waived told apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.check_results import check_results
from verifywise_mlflow.defs.checks import known_rules
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.policies import rules_of
from verifywise_mlflow.pipeline.standing import standing
from verifywise_mlflow.pipeline.waivers import grant_by_command
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.persistence.kept_states import NOON, day
from verifywise_mlflow_tests.pipeline.judging import described, judge, keep, written_policy, written_rule

OWNED = written_rule("owned", "owner == 'ada'", title="Ada has it")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return written_policy(tmp_path / "ours.yaml", OWNED)


def owned(store: Store, tenant: Tenant, now: datetime) -> dg.AssetCheckResult:
    """Return the result of the one check."""
    rules = rules_of(tenant)
    (result,) = check_results(tenant, rules, standing(store, "acme", rules, now), {"owned"}, now)
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
    grant_by_command(store, tenant, waiver, now)
    after = owned(store, tenant, now)
    grant_by_command(store, tenant, waiver.model_copy(update={"model": "fraud"}), now)
    last = owned(store, tenant, now)

    assert [one.passed for one in (before, after, last)] == [False, False, True]
    assert after.description == "1 of 3 versions of acme need attention; 1 more are waived"
    figures = {name: after.metadata[name].value for name in ("fail", "pass", "open", "waived", "severity", "policy")}
    assert figures == {"fail": 2, "pass": 1, "open": 1, "waived": 1, "severity": "high", "policy": "ours 1"}
    assert after.metadata["references"].value == "- [NIST AI RMF](https://doi.org/10.6028/NIST.AI.100-1) GOVERN 2&#46;1"
    worst = after.metadata["versions"]
    assert isinstance(worst, dg.TableMetadataValue)
    assert [(row.data["model"], row.data["waived"], row.data["days_open"]) for row in worst.records] == [
        ("fraud", False, 8),
        ("churn", True, 8),
    ]


def test_what_a_name_holds_does_nothing_in_a_check_and_its_link_leads_to_the_version(
    store: Store, policy: Path
) -> None:
    tenant = described(default_policy=False, policies=[str(policy)])
    hostile = "a/b](javascript:x) <img src=x> *b* `c` www.evil.example\n# \u202e|%2F"
    keep(store, hostile, 7, NOON, owner="bob")
    judge(tenant, store, day(1))

    result = owned(store, tenant, day(1))

    (row,) = result.metadata["versions"].value.records  # type: ignore[union-attr]  # a table's
    assert row.data["model"] == hostile.replace("\n", r"\n").replace("\u202e", r"\u202e")
    page = f"https://mlflow.acme.example/#/models/{quote(hostile, safe='')}/versions/7"
    assert row.data["page"] == page
    rendered = MarkdownIt("js-default").render(str(result.metadata["pages"].value))
    assert rendered == f'<ul>\n<li><a href="{page}">{escape(row.data["model"])} version 7</a>: fail</li>\n</ul>\n'


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

    rules = known_rules()

    assert rules.keys() == {*(rule.id for rule in default_policy().rules), "owned"}
    assert rules["owned"].title == "Ada has it"


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
    assert answers.keys() == {rule.id.replace("-", "_") for rule in default_policy().rules}
    assert {one.description for one in answers.values()} == {"no policy of acme asks for this: nothing was judged"}
