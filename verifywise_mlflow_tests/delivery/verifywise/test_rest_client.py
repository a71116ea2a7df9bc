"""What the client reads and writes, in each dialect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.delivery.verifywise.errors import ConflictError, RefusedError
from verifywise_mlflow.delivery.verifywise.remote import (
    FileUpload,
    InventoryEntry,
    MetricPoint,
    Release,
    RemoteFile,
    VerifyWise,
)
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.http.errors import ForbiddenError, InvalidSettingsError
from verifywise_mlflow_tests.delivery.verifywise.clients import client_for
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, Api

every_dialect = pytest.mark.parametrize("verifywise", Dialect, indirect=True)
FIELDS = {
    "provider": "MLflow: acme",
    "model": "credit",
    "version": "3",
    "status": "Pending",
    "reference_link": "https://mlflow.example.com/#/models/credit/versions/3",
    "capabilities": "tabular, sklearn",
}
RISK = {"risk_name": "r", "risk_category": "Compliance", "risk_level": "High", "target_date": "2027-01-31"}
CARD = b"# Evidence\n"


@pytest.fixture
def client(verifywise: VerifyWiseServer, monkeypatch: pytest.MonkeyPatch) -> VerifyWise:
    return client_for(verifywise, monkeypatch)


@pytest.mark.parametrize(
    ("verifywise", "release"),
    [
        (Dialect.A1, Release("A1", False, False, False, links_files_on_create=True)),
        (Dialect.A2, Release("A2", False, False, False, links_files_on_create=False)),
        (Dialect.B, Release("B", True, True, True, links_files_on_create=True)),
    ],
    indirect=["verifywise"],
)
def test_the_release_is_probed_once(verifywise: VerifyWiseServer, client: VerifyWise, release: Release) -> None:
    assert client.release() == release
    requests = len(verifywise.requests)
    client.release()

    assert len(verifywise.requests) == requests == client.requests


@every_dialect
def test_the_token_says_who_we_are(client: VerifyWise) -> None:
    account = client.account()

    assert (account.organization, account.role, account.email) == ("1", "Editor", EDITOR)
    assert client.requests == 1


@every_dialect
def test_an_entry_is_created_changed_and_read_back(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    created = client.create_inventory_entry(FIELDS, "acme-credit-3")
    client.update_inventory_entry(created.id, {"status": "Restricted"})

    (listed,) = client.inventory()
    assert listed == client.inventory_entry(created.id)
    assert listed.external_key == ("acme-credit-3" if verifywise.dialect is Dialect.B else None)
    assert {name: listed.fields[name] for name in FIELDS} == {**FIELDS, "status": "Restricted"}
    assert client.inventory_entry(created.id + 1) is None


def test_a_taken_external_key_is_a_conflict(client: VerifyWise) -> None:
    client.create_inventory_entry(FIELDS, "k")

    with pytest.raises(ConflictError, match="external key already exists"):
        client.create_inventory_entry(FIELDS, "k")


@every_dialect
def test_a_refused_entry_names_the_value_that_is_too_long(client: VerifyWise) -> None:
    with pytest.raises(RefusedError) as caught:
        client.create_inventory_entry({**FIELDS, "reference_link": "x" * 300}, None)

    assert "500" in str(caught.value)
    assert "reference_link has 300 characters, and VerifyWise stores at most 255." in str(caught.value)


def test_a_refused_entry_names_the_limits_if_none_is_exceeded(client: VerifyWise) -> None:
    with pytest.raises(RefusedError) as caught:
        client.create_inventory_entry({**FIELDS, "status": "Unknown"}, None)

    assert "status Approved, Restricted, Pending or Blocked" in str(caught.value)
    assert "invalid input value for enum" in str(caught.value)


@every_dialect
def test_risks_are_listed_with_deleted_ones(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    entry = client.create_inventory_entry(FIELDS, "k")
    kept, deleted = (client.create_risk(entry.id, {**RISK, "risk_name": name}) for name in ("kept", "deleted"))
    Api(verifywise).send("DELETE", f"/modelRisks/{deleted.id}")

    client.update_risk(deleted.id, {"status": "Resolved"})
    client.update_risk(kept.id, {"risk_level": "Low"})

    risks = {risk.id: risk for risk in client.risks()}
    assert (kept.model_id, kept.is_deleted, kept.fields["target_date"]) == (entry.id, False, "2027-01-31")
    assert risks[kept.id] == replace(kept, fields={**kept.fields, "risk_level": "Low"})
    assert (risks[deleted.id].is_deleted, risks[deleted.id].fields["status"]) == (True, "Resolved")


def test_a_refused_risk_is_an_error(client: VerifyWise) -> None:
    with pytest.raises(RefusedError, match="foreign key constraint on model_id"):
        client.create_risk(999, RISK)


def _upload(client: VerifyWise, entry: InventoryEntry, name: str = "credit-3.md") -> RemoteFile:
    return client.upload_file(FileUpload(name, "text/markdown", CARD, entry.id))


@every_dialect
def test_a_file_becomes_evidence_where_the_release_links_it(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    entry = client.create_inventory_entry(FIELDS, "k")
    file = _upload(client, entry)
    client.update_file_metadata(file.id, {"review_status": "superseded", "version": "2.0"})

    item = client.create_evidence({"evidence_name": "e", "evidence_type": "Model Card"}, [entry.id], [file])

    assert (file.filename, file.size, file.model_id) == ("credit-3.md", len(CARD), entry.id)
    (listed,) = client.files()
    assert (listed.id, listed.review_status) == (file.id, "superseded")
    (read,) = client.evidence()
    assert (read.id, read.mapped_model_ids) == (item.id, (entry.id,))
    assert (read.file_ids == (file.id,)) == client.release().links_files_on_create
    (stored,) = verifywise.stored("file")
    assert (stored["content"], stored["source"], stored["version"]) == (CARD.decode(), "File Manager", "2.0")


@pytest.mark.parametrize("verifywise", [Dialect.A1, Dialect.B], indirect=True)
def test_a_file_is_attached_as_often_as_asked(client: VerifyWise) -> None:
    entry = client.create_inventory_entry(FIELDS, "k")
    item = client.create_evidence({"evidence_name": "e"}, [entry.id], [])
    file = _upload(client, entry)

    client.attach_file(file.id, item.id)
    client.attach_file(file.id, item.id)
    client.update_evidence(item.id, {"description": "new"}, [entry.id])

    (read,) = client.evidence()
    assert (read.file_ids, read.fields["description"]) == ((file.id,), "new")


@pytest.mark.parametrize("verifywise", [Dialect.A2], indirect=True)
def test_a2_attaches_no_file(client: VerifyWise) -> None:
    entry = client.create_inventory_entry(FIELDS, None)
    item = client.create_evidence({"evidence_name": "e"}, [entry.id], [])

    with pytest.raises(RefusedError):
        client.attach_file(_upload(client, entry).id, item.id)


def test_a_file_of_another_type_is_refused(client: VerifyWise) -> None:
    with pytest.raises(RefusedError, match="415"):
        client.upload_file(FileUpload("facts.json", "application/json", b"{}", 1))


def test_more_files_than_one_listing_has_are_read_in_pages(verifywise: VerifyWiseServer, client: VerifyWise) -> None:
    file = {"filename": "a.md", "size": 1, "mimetype": "text/markdown", "upload_date": "", "uploaded_by": 1}
    verifywise.add("file", [{**file, "review_status": "draft"}] * 1_230)

    files = client.files()

    assert len({file.id for file in files}) == 1_230
    assert sum(request.path == "/file-manager" for request in verifywise.requests) == 1 + 3


def test_only_an_admin_defines_custom_fields_and_an_editor_sets_them(
    verifywise: VerifyWiseServer, client: VerifyWise, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = client.create_inventory_entry(FIELDS, "k")
    with pytest.raises(ForbiddenError, match="Admin"):
        client.create_custom_field("badge", "Badge", "text")
    admin = client_for(verifywise, monkeypatch, email=ADMIN)
    badge = admin.create_custom_field("badge", "Badge", "select", ["gaps", "failing"])

    client.set_custom_field(badge.id, entry.id, "gaps")
    client.set_custom_field(badge.id, entry.id, "failing")

    assert client.custom_field_definitions() == [badge]
    assert client.custom_field_values(entry.id) == {"badge": "failing"}
    with pytest.raises(ConflictError):
        admin.create_custom_field("badge", "Badge", "text")


@pytest.mark.parametrize("verifywise", [Dialect.A1, Dialect.A2], indirect=True)
def test_a_has_no_custom_fields(client: VerifyWise) -> None:
    assert client.custom_field_definitions() == []
    assert client.custom_field_values(1) == {}


def test_metrics_are_posted_with_a_token_of_their_own(
    verifywise: VerifyWiseServer, client: VerifyWise, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_inventory_entry(FIELDS, "acme/credit")
    token = str(Api(verifywise, ADMIN).post("/mrm/ingestion-tokens", {"name": "t"}).row["token"])
    point = MetricPoint("auc", 0.91, datetime(2026, 11, 1, tzinfo=UTC), {"run": "abc"})
    machine = client_for(verifywise, monkeypatch, metrics_token=token)

    results = [machine.post_metric("acme/credit", point), machine.post_metric("acme/credit", point)]

    assert results == ["no_threshold", "duplicate"]
    assert machine.requests == 2
    with pytest.raises(InvalidSettingsError, match="metrics_token"):
        client.post_metric("acme/credit", point)
