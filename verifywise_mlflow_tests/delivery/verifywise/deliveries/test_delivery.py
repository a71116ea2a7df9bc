"""What a delivery writes to VerifyWise, in each dialect; and what it leaves to people."""

from __future__ import annotations

from collections import Counter

import pytest

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import (
    MODEL,
    ONE_SERVER,
    OWNER_RULE,
    PURPOSE_RULE,
    Delivering,
    writes,
)
from verifywise_mlflow_tests.support.stored_states import NOON, write_record
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, Api

one_server = pytest.mark.parametrize("delivering", ONE_SERVER, indirect=True)
ALL_TAGS = {"owner": "Ada", "business_purpose": "Finds fraud"}


def test_a_version_gets_one_entry_with_a_risk_for_each_failed_rule(delivering: Delivering) -> None:
    delivering.seed(3)

    report = delivering.deliver()

    entry = delivering.entry()
    assert report.outcome == "delivered"
    assert (entry.fields["model"], entry.fields["version"]) == (delivering.model, "3")
    assert entry.fields["status"] == "Pending"
    assert str(entry.fields["reference_link"]).endswith(f"/#/models/{delivering.model}/versions/3")
    risks = delivering.risks()
    assert [risk.fields["status"] for risk in risks] == ["Open", "Open"]
    assert {str(risk.fields["risk_name"]) for risk in risks} == {
        f"{delivering.model} version 3: Somebody answers for the model",
        f"{delivering.model} version 3: The purpose is stated",
    }
    assert {risk.fields["risk_level"] for risk in risks} == {"High"}
    assert delivering.outbox().pending == 0


def test_the_evidence_is_one_file_of_the_record_with_verdicts(delivering: Delivering) -> None:
    delivering.seed()

    report = delivering.deliver()

    (file,) = delivering.files()
    assert file.filename.startswith(f"mlflow-{delivering.model}-v1-")
    assert file.review_status in (None, "pending_review")
    (item,) = delivering.evidence()
    assert item.fields["evidence_name"] == f"MLflow governance evidence: {delivering.model} version 1"
    assert item.mapped_model_ids == (delivering.entry().id,)
    assert file.id in item.file_ids or any("does not keep the link" in remark for remark in report.remarks)


def test_a_new_state_is_a_new_file_and_the_former_one_is_superseded(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.seed(**ALL_TAGS)

    delivering.deliver()

    former, current = delivering.files()
    assert (former.review_status, current.review_status) == ("superseded", "pending_review")
    assert len(delivering.evidence()) == 1


@one_server
def test_the_file_of_a_state_that_returns_is_current_again(delivering: Delivering) -> None:
    for risk_category in ("limited", "high", "limited"):
        delivering.seed(**ALL_TAGS, risk_category=risk_category)
        delivering.deliver()

    returned, former = delivering.files()
    assert (returned.review_status, former.review_status) == ("pending_review", "superseded")
    (item,) = delivering.evidence()
    assert returned.id in item.file_ids


@one_server
def test_a_file_that_a_person_approved_is_not_superseded(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver()
    (file,) = delivering.files()
    delivering.client.update_file_metadata(file.id, {"review_status": "approved"})
    delivering.seed(**ALL_TAGS)

    delivering.deliver()

    assert [file.review_status for file in delivering.files()] == ["approved", "pending_review"]


def test_a_delivery_without_a_change_sends_nothing(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.later(days=1)
    delivering.evaluate()

    assert delivering.drain().is_due() is False
    assert delivering.deliver().outcome == "nothing due"


def test_a_plan_lists_what_the_run_then_writes(delivering: Delivering) -> None:
    delivering.seed(1)
    delivering.seed(2, **ALL_TAGS)
    first_plan = delivering.plan()
    assert delivering.entries() == []
    first = delivering.deliver()
    delivering.later(hours=1)
    delivering.seed(1, **ALL_TAGS)
    second_plan = delivering.plan()

    second = delivering.deliver()

    assert first_plan.new_entries == 2
    assert Counter(first_plan.counts()) == writes(first)
    assert second_plan.new_entries == 0
    assert second_plan.counts()["resolve risk"] == 2
    assert Counter(second_plan.counts()) == writes(second)


def test_a_risk_is_resolved_when_its_rule_passes_and_another_opened_when_it_fails_again(
    delivering: Delivering,
) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    delivering.later(days=1)
    delivering.seed(**ALL_TAGS)
    delivering.deliver()
    resolved = delivering.risk_statuses()
    delivering.later(days=1)
    delivering.seed(business_purpose="Finds fraud")

    delivering.deliver()

    assert resolved == ["Resolved"]
    assert delivering.risk_statuses() == ["Resolved", "Open"]


@one_server
def test_versions_out_of_scope_get_no_entry_and_keep_one_that_they_have(delivering: Delivering) -> None:
    delivering.seed(1, stage="Staging")
    delivering.seed(2)
    delivering.deliver()
    only = [entry.fields["version"] for entry in delivering.entries()]
    delivering.later(days=1)
    delivering.seed(2, stage="Archived", **ALL_TAGS)

    delivering.deliver()

    assert only == ["2"]
    assert [entry.fields["version"] for entry in delivering.entries()] == ["2"]
    assert set(delivering.risk_statuses()) == {"Resolved"}


@one_server
@pytest.mark.parametrize(("versions", "numbers"), [("in_use", ["1", "2"]), ("all", ["1", "2", "3"])])
def test_a_wider_scope_delivers_more_versions(delivering: Delivering, versions: str, numbers: list[str]) -> None:
    delivering.seed(1)
    delivering.seed(2, stage="Staging")
    delivering.seed(3, stage="None")

    delivering.deliver(versions=versions)

    assert [entry.fields["version"] for entry in delivering.entries()] == numbers


@one_server
def test_a_large_first_delivery_waits_for_a_person(delivering: Delivering) -> None:
    for number in (1, 2, 3):
        delivering.seed(number)
    waiting = delivering.deliver(confirm_above=2)
    there = delivering.entries()
    is_due = delivering.drain(confirm_above=2).is_due()
    delivering.deliver(confirm_above=2, confirmed=True)
    delivering.seed(4)
    delivering.seed(5)
    delivering.seed(6)

    later = delivering.deliver(confirm_above=2)

    assert (waiting.outcome, there, is_due) == ("waiting", [], False)
    assert "--yes" in str(waiting.reason)
    assert later.outcome == "delivered"
    assert len(delivering.entries()) == 6


@one_server
def test_long_and_hostile_texts_are_cut_and_inert(delivering: Delivering) -> None:
    model = "<img src=x onerror=alert(1)> " + "m" * 300
    delivering.seed(model=model, owner="[click](https://evil.example) `x` <script>")

    report = delivering.deliver()

    entry = delivering.entry()
    assert report.versions == {"delivered": 1}
    assert len(str(entry.fields["model"])) == 255
    assert str(entry.fields["model"]).endswith("[…]")
    values = [*entry.fields.values(), *(value for risk in delivering.risks() for value in risk.fields.values())]
    texts = [str(value) for value in values]
    assert not [text for text in texts if "<" in text]


def test_a_newer_release_gets_custom_fields(admin_delivering: Delivering) -> None:
    delivering = admin_delivering
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    entry = delivering.entry()
    first = delivering.client.custom_field_values(entry.id)
    delivering.later(days=1)
    delivering.seed(**ALL_TAGS)

    report = delivering.deliver()

    assert entry.fields["intended_use"] == "Finds fraud"
    assert first["mlflow_badge"] == "failing"
    assert first["mlflow_failed_rules"] == OWNER_RULE
    assert first["mlflow_policy"] == "ours 1"
    assert str(first["mlflow_judged_at"])[:10] == "2026-03-01"
    second = delivering.client.custom_field_values(entry.id)
    assert (second["mlflow_badge"], second["mlflow_failed_rules"] or "") == ("evidence complete", "")
    assert writes(report)["define custom field"] == 0


@pytest.mark.parametrize("delivering", [Dialect.B], indirect=True)
def test_an_account_that_may_not_define_custom_fields_delivers_all_else(delivering: Delivering) -> None:
    delivering.seed(1)
    delivering.seed(2)

    report = delivering.deliver()

    assert report.versions == {"delivered": 2}
    assert len(delivering.risks()) == 4
    (remark,) = (remark for remark in report.remarks if "define custom field" in remark)  # not one for each version
    assert "only an Admin may define mlflow_badge, mlflow_failed_rules" in remark


def test_the_metrics_of_a_version_are_sent_once(
    admin_delivering: Delivering, b_server: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivering = admin_delivering
    token = str(Api(b_server, ADMIN).post("/mrm/ingestion-tokens", {"name": "t"}).row["token"])
    monkeypatch.setenv("VERIFYWISE_TEST_METRICS_TOKEN", token)
    metrics_token = SecretReference("env:VERIFYWISE_TEST_METRICS_TOKEN")
    version = ModelVersion(MODEL, 1, created_at=NOON, stage="Production", tags=ALL_TAGS)
    inputs = RecordInputs(version=version, model=RegisteredModel(MODEL))
    write_record(delivering.store, inputs, NOON, metrics={"auc": 0.91, "loss": float("nan")})
    delivering.evaluate()
    first = delivering.deliver(metrics_token=metrics_token)
    write_record(delivering.store, inputs, NOON, metrics={"auc": 0.91, "f1": 0.5})
    delivering.evaluate()

    second = delivering.deliver(metrics_token=metrics_token)

    assert (writes(first)["send metric"], writes(second)["send metric"]) == (1, 1)
    points = [(point["metric"], point["value"]) for point in b_server.stored("point")]
    assert sorted(points) == [("auc", 0.91), ("f1", 0.5)]


@pytest.mark.parametrize("delivering", [Dialect.A1, Dialect.B], indirect=True)
def test_a_version_that_mlflow_no_longer_has_is_retired_where_that_exists(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed()
    delivering.deliver()
    version = ModelVersion(MODEL, 1, stage="Production", tags={"owner": "Bob", "business_purpose": "Something"})
    inputs = RecordInputs(version=version, model=RegisteredModel(MODEL))
    write_record(delivering.store, inputs, NOON, deleted_at=NOON)
    delivering.evaluate()

    delivering.deliver()

    assert delivering.entry().fields["status"] == ("Retired" if server.dialect is Dialect.B else "Pending")
    assert delivering.risk_statuses() == ["Open", "Open"]


@pytest.mark.parametrize("delivering", [Dialect.A1, Dialect.B], indirect=True)
def test_a_version_that_was_deleted_and_created_again_gets_an_entry_of_its_own(
    delivering: Delivering, server: VerifyWiseServer
) -> None:
    delivering.seed()
    delivering.deliver()
    delivering.recreate(1)
    delivering.seed(business_purpose="Finds fraud")

    delivering.deliver()

    statuses = [entry.fields["status"] for entry in delivering.entries()]
    assert statuses == ["Retired" if server.dialect is Dialect.B else "Pending", "Pending"]
    assert len({entry.fields["provider_model"] for entry in delivering.entries()}) == 2


@one_server
def test_a_waiver_is_named_in_its_risk(delivering: Delivering) -> None:
    delivering.seed(business_purpose="Finds fraud")
    delivering.deliver()
    delivering.grant_waiver(OWNER_RULE)

    delivering.deliver()

    (risk,) = delivering.risks()
    assert risk.fields["status"] == "Open"
    assert "Waived in the pipeline" in str(risk.fields["mitigation_plan"])
    assert "Grace" in str(risk.fields["mitigation_plan"])


@one_server
def test_rules_without_evidence_open_a_risk_only_if_the_settings_say_so(delivering: Delivering) -> None:
    delivering.seed(owner="")
    delivering.deliver()
    failed_only = {str(risk.fields["risk_name"]) for risk in delivering.risks()}

    delivering.deliver(risks="open")

    assert failed_only == {f"{delivering.model} version 1: The purpose is stated"}
    assert len(delivering.risks()) == 2


@one_server
def test_each_batch_is_one_entry_of_the_audit_trail(delivering: Delivering) -> None:
    delivering.seed()
    delivering.deliver()

    (entry,) = delivering.entries_of_trail()
    counts = entry["counts"]
    assert isinstance(counts, dict)
    assert entry["outcome"] == "complete"
    assert counts["create entry"] == 1
    assert counts["open risk"] == 2
    assert counts["versions"] == {"delivered": 1}
    assert str(entry["credential_identity"]).startswith("login ")
    assert PURPOSE_RULE not in str(counts)
