"""VerifyWise's responses to single requests, including odd responses: the delivery relies on the fact in each row."""

from __future__ import annotations

import pytest

from verifywise_mlflow.demo.servers.verifywise_server import files
from verifywise_mlflow_tests.demo.verifywise_server.facts import A1, A2, EVERY, EVIDENCE, LONG, NOT_A2, RISK, A, B
from verifywise_mlflow_tests.support.verifywise_api import Api

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
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1_000)  # the limit is 30 MiB
    answer = api.upload(filename, content, media_type, model_id="7", source="File Manager")

    assert answer.status == status
    if status == 201:
        assert (answer.row["filename"], answer.row["size"], answer.row["modelId"]) == (filename, len(content), 7)
