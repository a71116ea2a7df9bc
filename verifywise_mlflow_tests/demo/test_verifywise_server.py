"""What VerifyWise was measured to answer, odd as it is: each row is one fact that the delivery relies on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import urllib3

from verifywise_mlflow.demo.servers.verifywise_server import files
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.support.fake_clock import FakeClock
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD, Api, ApiAnswer

A1, A2, B = Dialect
LONG = "x" * 256
RISK = {"risk_category": "Compliance", "risk_level": "High", "owner": None, "target_date": "2027-01-31"}
EVIDENCE = {"evidence_name": "e", "evidence_type": "Model Card", "description": ""}


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[Dialect, VerifyWiseServer]]:
    """A server of each dialect."""
    ticks = count(1_800_000_000_000)  # milliseconds: no two requests happen in the same one

    def clock() -> float:
        return next(ticks) / 1000

    with (
        VerifyWiseServer(A1, clock=clock) as a1,
        VerifyWiseServer(A2, clock=clock) as a2,
        VerifyWiseServer(B, clock=clock) as b,
    ):
        for server in (a1, a2, b):
            server.add_user(EDITOR, PASSWORD)
            server.add_user(ADMIN, PASSWORD, role="Admin")
        yield {A1: a1, A2: a2, B: b}


@pytest.fixture
def server(servers: Mapping[Dialect, VerifyWiseServer], dialect: Dialect) -> VerifyWiseServer:
    """An empty server of the test's dialect."""
    servers[dialect].clear()
    return servers[dialect]


@pytest.fixture
def api(server: VerifyWiseServer) -> Api:
    """An Editor's requests."""
    return Api(server)


@pytest.fixture
def ids(api: Api) -> dict[str, int]:
    """One object of each kind."""
    model = api.post("/modelInventory", {"provider": "p", "model": "m", "version": "1"}).id
    risk = api.post("/modelRisks", {**RISK, "model_id": model}).id
    file = api.upload("card.md", b"# Card", "text/markdown", model_id=str(model)).id
    evidence = api.post("/evidenceHub", {**EVIDENCE, "mapped_model_ids": [model]}).id
    return {"model": model, "risk": risk, "file": file, "evidence": evidence}


EVERY, A, NOT_A2 = (A1, A2, B), (A1, A2), (A1, B)

ANSWERS = [
    # Model inventory
    ("GET", "/modelInventory/999", None, EVERY, 204, "a missing model is 204"),
    ("GET", "/modelInventory/x", None, EVERY, 500, "an id that is not a number is 500"),
    ("PATCH", "/modelInventory/999", {}, EVERY, 404, "a missing model cannot be changed"),
    ("PUT", "/modelInventory/{model}", {}, EVERY, 404, "there is no PUT"),
    ("POST", "/modelInventory", {}, EVERY, 201, "nothing is required"),
    ("POST", "/modelInventory", {"unknown": 1}, EVERY, 201, "unknown fields are ignored"),
    ("POST", "/modelInventory", {"provider": "p", "model": "m", "version": "1"}, EVERY, 201, "duplicates are accepted"),
    ("POST", "/modelInventory", {"reference_link": LONG}, EVERY, 500, "256 characters are 500"),
    ("POST", "/modelInventory", {"capabilities": LONG}, EVERY, 201, "capabilities have no limit"),
    ("POST", "/modelInventory", {"status": "Unknown"}, EVERY, 500, "an unknown status is 500"),
    ("POST", "/modelInventory", {"status": "Rejected"}, (A2,), 201, "A2 has Rejected"),
    ("POST", "/modelInventory", {"status": "Rejected"}, NOT_A2, 500, "others have not"),
    ("POST", "/modelInventory", {"status": "Retired"}, (B,), 201, "B has Retired"),
    ("POST", "/modelInventory", {"status": "Retired"}, A, 500, "A has not"),
    ("POST", "/modelInventory", {"approver": 999}, EVERY, 500, "an unknown approver is 500"),
    ("POST", "/modelInventory", {"frameworks": [1]}, EVERY, 500, "a framework without a project is 500"),
    # Model risks
    ("POST", "/modelRisks", RISK, EVERY, 201, "an owner may be null"),
    ("POST", "/modelRisks", {k: v for k, v in RISK.items() if k != "owner"}, EVERY, 400, "but must be there"),
    ("POST", "/modelRisks", {**RISK, "owner": "Ann"}, EVERY, 400, "an owner is no text"),
    ("POST", "/modelRisks", {**RISK, "model_id": 999}, EVERY, 400, "an unknown model is 400"),
    ("POST", "/modelRisks", {**RISK, "risk_category": "Other"}, EVERY, 400, "categories are fixed"),
    ("POST", "/modelRisks", {**RISK, "risk_name": LONG}, EVERY, 400, "a name of 256 characters is 400"),
    ("GET", "/modelRisks/999", None, EVERY, 404, "a missing risk is 404"),
    # Evidence and files
    ("POST", "/evidenceHub", {"evidence_name": "e"}, A, 500, "A requires the description's key"),
    ("POST", "/evidenceHub", {"evidence_name": "e"}, (B,), 201, "B does not"),
    ("POST", "/evidenceHub", {**EVIDENCE, "evidence_name": LONG}, EVERY, 500, "256 characters are 500 here, too"),
    ("PATCH", "/evidenceHub/{evidence}", {"evidence_files": [{"id": 1}]}, (A2,), 500, "A2 cannot add files"),
    ("GET", "/file-manager/{file}", None, A, 403, "an Editor may not download in A"),
    ("PATCH", "/file-manager/{file}/metadata", {"review_status": "superseded"}, EVERY, 200, "a file is superseded"),
    ("PATCH", "/file-manager/{file}/metadata", {"review_status": "old"}, EVERY, 400, "review statuses are fixed"),
    ("PATCH", "/file-manager/{file}/metadata", {"version": "2"}, EVERY, 400, "a version is X.Y"),
    # Releases and rights
    ("GET", "/version", None, (A1,), 404, "A1 has no version"),
    ("GET", "/version", None, (A2, B), 200, "A2 says one"),
    ("GET", "/custom-fields/definitions/model_inventory", None, A, 404, "the probe: not in A"),
    ("GET", "/custom-fields/definitions/model_inventory", None, (B,), 200, "the probe: in B"),
    ("POST", "/custom-fields/definitions", {}, (B,), 403, "an Editor defines no custom field"),
    ("POST", "/tokens", {"name": "t", "expires_in_days": 30}, EVERY, 403, "an Editor makes no token"),
    ("GET", "/users", None, EVERY, 200, "an Editor lists users"),
]


@pytest.mark.parametrize(
    ("dialect", "method", "path", "content", "status"),
    [
        pytest.param(dialect, *row[:3], row[4], id=f"{dialect}: {row[5]}: {number}")
        for number, row in enumerate(ANSWERS)
        for dialect in row[3]
    ],
)
def test_a_request_is_answered_as_measured(
    api: Api, ids: dict[str, int], method: str, path: str, content: object, status: int
) -> None:
    assert api.send(method, path.format(**ids), content).status == status


@pytest.mark.parametrize("dialect", EVERY)
def test_errors_have_an_envelope(api: Api) -> None:
    assert set(api.get("/modelRisks/999").content) == {"message", "data"}
    assert set(api.post("/modelInventory", {"status": "?"}).content) == {"message", "error"}


@pytest.mark.parametrize("dialect", EVERY)
def test_a_session_is_refused_in_three_ways(server: VerifyWiseServer) -> None:
    anonymous = Api(server, None)
    statuses = [anonymous.get("/modelInventory").status]
    user = Api(server)
    user.token += "x"
    statuses.append(user.get("/modelInventory").status)
    user = Api(server)
    server.add_user(EDITOR, PASSWORD, role="Reviewer")
    statuses.append(user.get("/modelInventory").status)
    server.add_user(EDITOR, PASSWORD)

    assert statuses == [400, 401, 403]


def test_a_session_ends_after_an_hour() -> None:
    clock = FakeClock()
    with VerifyWiseServer(A1, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server)
        header, claims, _ = api.token.split(".")

        clock.now += 3_599
        assert api.get("/modelInventory").status == 200
        clock.now += 2
        assert api.get("/modelInventory").status == 406

    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert {"id", "roleName", "organizationId", "email"} <= json.loads(base64.urlsafe_b64decode(claims + "==")).keys()


@pytest.mark.parametrize(("dialect", "status"), [(A1, 200), (A2, 200), (B, 401)])
def test_a_deleted_token_works_on_in_a(server: VerifyWiseServer, status: int) -> None:
    admin = Api(server, ADMIN)
    token = admin.post("/tokens", {"name": "t", "expires_in_days": 30})
    user = Api(server, None)
    user.token = str(token.row["token"])
    assert user.get("/modelInventory").status == 200

    assert admin.send("DELETE", f"/tokens/{token.id}").status == 200

    assert user.get("/modelInventory").status == status


def test_five_logins_a_minute_are_allowed() -> None:
    clock = FakeClock()
    with VerifyWiseServer(A1, clock=clock) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server, None)
        statuses = [api.log_in(EDITOR).status for _ in range(6)]
        clock.now += 60
        statuses.append(api.log_in(EDITOR).status)

    assert statuses == [202] * 5 + [429, 202]


@pytest.mark.parametrize("dialect", EVERY)
def test_file_requests_are_limited_together(api: Api) -> None:
    answers = [api.get("/file-manager") for _ in range(101)]

    assert [answer.status for answer in answers] == [200] * 100 + [429]
    assert answers[0].headers["RateLimit-Remaining"] == "99"
    assert 890 <= int(answers[-1].headers["Retry-After"]) <= 900
    assert set(answers[-1].content) == {"message", "statusCode"}
    assert api.get("/file-manager/1/metadata").status == 429
    assert api.get("/modelInventory").status == 200


@pytest.mark.parametrize(("dialect", "allowed"), [(A1, 301), (A2, 301), (B, 299)])
def test_b_limits_all_requests(api: Api, allowed: int) -> None:
    statuses = [api.get("/modelInventory/999").status for _ in range(301)]

    assert statuses.count(204) == allowed  # the login was the first


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


UPLOADS = [
    ("card.md", b"# Card", "text/markdown", 201),
    ("card.PDF", b"%PDF", "application/pdf", 201),
    ("table.csv", b"a,b", "text/csv", 201),
    ("card.md", b"", "text/markdown", 400),
    ("card.md", b"# Card", "application/pdf", 415),
    ("facts.json", b"{}", "application/json", 415),
    ("card.txt", b"card", "text/plain", 415),
    ("card.zip", b"PK", "application/zip", 415),
    ("large.md", b"x" * 1_001, "text/markdown", 413),
]


@pytest.mark.parametrize("dialect", [B])
@pytest.mark.parametrize(("filename", "content", "media_type", "status"), UPLOADS)
def test_a_file_is_accepted_by_its_extension_and_media_type(
    api: Api, monkeypatch: pytest.MonkeyPatch, filename: str, content: bytes, media_type: str, status: int
) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1_000)  # it is 30 MiB
    answer = api.upload(filename, content, media_type, model_id="7", source="File Manager")

    assert answer.status == status
    if status == 201:
        assert (answer.row["filename"], answer.row["size"], answer.row["modelId"]) == (filename, len(content), 7)


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


@pytest.mark.parametrize("dialect", [B])
def test_planned_faults_happen_once(server: VerifyWiseServer, api: Api) -> None:
    server.faults.answer_next(503, headers={"Retry-After": "7"})
    assert api.get("/modelInventory").headers["Retry-After"] == "7"

    server.faults.lose_request(method="POST")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.post("/modelInventory", {"model": "lost"})
    server.faults.lose_answer(method="POST")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        api.post("/modelInventory", {"model": "stored"})

    assert [row["model"] for row in api.get("/modelInventory").rows] == ["stored"]
    logged = [(request.method, request.path, request.status) for request in server.requests]
    assert logged[1:] == [
        ("GET", "/modelInventory", 503),
        ("POST", "/modelInventory", None),
        ("POST", "/modelInventory", 201),
        ("GET", "/modelInventory", 200),
    ]


def test_a_restart_keeps_what_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "verifywise.db"
    with VerifyWiseServer(B, file=file) as server:
        server.add_user(EDITOR, PASSWORD)
        api = Api(server)
        model = api.post("/modelInventory", {"model": "m"}).id
        server.restart()
        assert api.get(f"/modelInventory/{model}").status == 200
        api.send("DELETE", f"/modelInventory/{model}")

    with VerifyWiseServer(B, file=file) as server:
        assert Api(server).post("/modelInventory", {"model": "m"}).id == model + 1
