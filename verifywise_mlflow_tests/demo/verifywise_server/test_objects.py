"""VerifyWise's behavior with its objects, including odd behavior that the delivery relies on."""

from __future__ import annotations

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.demo.verifywise_server.facts import A1, A2, EVERY, EVIDENCE, RISK, B
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD, Api, ApiAnswer


@pytest.mark.parametrize("dialect", [A1, B])
def test_an_external_key_is_unique_in_b_only(api: Api, dialect: Dialect) -> None:
    first = api.post("/modelInventory", {"external_key": "k", "model": "m", "intended_use": "u"})
    second = api.post("/modelInventory", {"external_key": "k", "model": "m"})

    assert first.status == 201
    assert second.status == (409 if dialect is B else 201)
    assert (first.row.get("external_key"), first.row.get("intended_use")) == (
        ("k", "u") if dialect is B else (None, None)
    )


@pytest.mark.parametrize("dialect", EVERY)
def test_a_patch_rewrites_the_row_and_leaves_history_only_of_changes(
    server: VerifyWiseServer, api: Api, ids: dict[str, int]
) -> None:
    path, history = f"/modelInventory/{ids['model']}", f"/model-inventory-change-history/{ids['model']}"
    before = api.get(path).row
    entries = len(_entries(api.get(history)))

    unchanged = api.patch(path, {"model": "m"})
    assert unchanged.row["updated_at"] != before["updated_at"]
    assert len(_entries(api.get(history))) == entries
    changed = api.patch(path, {"status": "Blocked"})

    assert (changed.row["status"], changed.row["status_date"]) == ("Blocked", before["status_date"])
    newest = _entries(api.get(history))[0]
    assert (newest["field_name"], newest["new_value"], newest["user_email"]) == ("status", "Blocked", EDITOR)
    assert server.mails() == {"model_added": 1, "model_updated": 2}


def _entries(answer: ApiAnswer) -> list[dict[str, object]]:
    entries = answer.row["data"]
    assert isinstance(entries, list)
    return entries


@pytest.mark.parametrize(("dialect", "mails"), [(A2, {}), (B, {"model_deployed": 1})])
def test_an_approval_sends_a_notice_in_b(
    server: VerifyWiseServer, api: Api, ids: dict[str, int], mails: dict[str, int]
) -> None:
    api.patch(f"/modelInventory/{ids['model']}", {"status": "Approved"})

    assert server.mails() == {"model_added": 1, "model_updated": 1, **mails}


@pytest.mark.parametrize("dialect", EVERY)
def test_a_deleted_risk_is_changed_and_stays_deleted(api: Api, ids: dict[str, int]) -> None:
    path = f"/modelRisks/{ids['risk']}"
    assert api.send("DELETE", path).status == 200

    assert api.patch(path, {"status": "Resolved"}).status == 200

    assert api.get(path).status == 404
    assert api.get("/modelRisks").rows == []
    (risk,) = api.get("/modelRisks?filter=all").rows
    assert (risk["is_deleted"], risk["status"]) == (True, "Resolved")


@pytest.mark.parametrize("dialect", EVERY)
def test_references_are_not_checked_across_organizations(server: VerifyWiseServer, ids: dict[str, int]) -> None:
    server.add_user("other@example.com", PASSWORD, organization=2)
    other = Api(server, "other@example.com")

    assert other.get(f"/modelInventory/{ids['model']}").status == 204
    assert other.post("/modelRisks", {**RISK, "model_id": ids["model"]}).status == 201


@pytest.mark.parametrize(("dialect", "kept"), [(A1, True), (A2, False), (B, True)])
def test_a2_drops_the_files_of_evidence(api: Api, ids: dict[str, int], kept: bool) -> None:
    created = api.post("/evidenceHub", {**EVIDENCE, "evidence_files": [{"id": ids["file"]}]})
    link = {"framework_type": "evidence_hub", "entity_type": "evidence", "file_id": ids["file"]}
    attached = [api.post("/files/attach", {**link, "entity_id": ids["evidence"]}).status for _ in range(2)]

    assert created.status == 201
    files = {row["id"]: row["evidence_files"] for row in api.get("/evidenceHub").rows}
    assert [bool(files[created.id]), bool(files[ids["evidence"]])] == [kept, kept]
    assert attached == ([201, 200] if kept else [500, 500])


@pytest.mark.parametrize(("dialect", "removals"), [(A1, 0), (A2, 1), (B, 1)])
def test_a_patch_without_models_logs_a_false_removal(api: Api, ids: dict[str, int], removals: int) -> None:
    api.patch(f"/evidenceHub/{ids['evidence']}", {"description": "new"})

    actions = [entry["action"] for entry in _entries(api.get(f"/model-inventory-change-history/{ids['model']}"))]
    assert actions.count("Evidence removed") == removals
    (row,) = api.get("/evidenceHub").rows
    assert row["mapped_model_ids"] == [ids["model"]]


@pytest.mark.parametrize("dialect", [B])
def test_custom_fields_are_defined_once_and_set_often(server: VerifyWiseServer, api: Api, ids: dict[str, int]) -> None:
    admin = Api(server, ADMIN)
    definition = {"entity_type": "model_inventory", "field_key": "badge", "label": "Badge", "field_type": "text"}
    created = admin.post("/custom-fields/definitions", definition)
    value = {"definition_id": created.id, "entity_id": ids["model"]}

    statuses = [
        admin.post("/custom-fields/definitions", definition).status,
        admin.post("/custom-fields/definitions", {**definition, "field_key": "Badge"}).status,
        api.send("PUT", "/custom-fields/values", {**value, "value": 3}).status,
        api.send("PUT", "/custom-fields/values", {**value, "value": "gaps"}).status,
        api.send("PUT", "/custom-fields/values", {**value, "value": "failing"}).status,
    ]

    assert statuses == [409, 400, 400, 200, 200]
    (row,) = api.get(f"/custom-fields/values/model_inventory/{ids['model']}").rows
    assert (row["definition_id"], row["value"]) == (created.id, "failing")


@pytest.mark.parametrize("dialect", [B])
def test_a_batch_with_a_duplicate_loses_its_new_points(server: VerifyWiseServer, api: Api) -> None:
    api.post("/modelInventory", {"external_key": "k/1"})
    machine = Api(server, None)
    machine.token = str(Api(server, ADMIN).post("/mrm/ingestion-tokens", {"name": "t"}).row["token"])
    path = "/mrm/models/k%2F1/metrics"
    first, second = ({"metric": name, "value": 0.5, "at": "2026-01-01T00:00:00Z"} for name in ("a", "b"))

    statuses = [
        _statuses(machine.post(path, first)),
        _statuses(machine.post(path, {"points": [first, second]})),
        _statuses(machine.post(path, second)),
    ]

    assert statuses == [["no_threshold"], ["duplicate", "no_threshold"], ["no_threshold"]]
    assert machine.post("/mrm/models/other/metrics", first).status == 404
    assert machine.post(path, {**first, "value": "0.5"}).status == 422
    assert api.post(path, first).status == 401


def _statuses(answer: ApiAnswer) -> list[object]:
    results = answer.row["results"]
    assert isinstance(results, list)
    return [result["status"] for result in results]
