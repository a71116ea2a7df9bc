"""The archive has equal bytes for equal states, the promised files, and the state that was known on a day."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from datetime import datetime

from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.documents.pack.archive import build_pack, pack_files
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.documents.pack.packed_versions import (
    CHURN,
    FRAUD,
    WAIVED_RULE,
    PackedTenant,
    contents_of,
    files_of,
    json_of,
    packed,
)
from verifywise_mlflow_tests.support.stored_states import day


def test_the_same_state_gives_the_same_bytes_even_from_another_connection(packed_tenant: PackedTenant) -> None:
    once = build_pack(contents_of(packed_tenant.store, FRAUD), [shipped_catalog()["EU AI Act"]])
    with Store(packed_tenant.url) as other:
        again = build_pack(contents_of(other, FRAUD), [shipped_catalog()["EU AI Act"]])

    assert once == again
    with zipfile.ZipFile(io.BytesIO(once)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 3, 5, 12, 0, 0)}
        assert archive.testzip() is None


def test_a_pack_has_its_files_and_their_checksums(fraud_files: Mapping[str, bytes]) -> None:
    assert list(fraud_files) == [
        *("README.txt", "index.html", "index.pdf", "model-card.md", "model-card.json", "bom.cdx.json", "spdx.json"),
        *("manifest.oms.json", "record.json", "verdicts.json", "history.jsonl", "events.jsonl", "proof.json"),
        *("state-proof.json", "verify.py", "verify_proof.py", "SHA256SUMS"),
    ]
    lines = fraud_files["SHA256SUMS"].decode().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {
        name: hashlib.sha256(content).hexdigest() for name, content in fraud_files.items() if name != "SHA256SUMS"
    }


def test_a_framework_adds_its_document(packed_tenant: PackedTenant) -> None:
    contents = contents_of(packed_tenant.store, FRAUD)

    files = files_of(build_pack(contents, [shipped_catalog()["EU AI Act"]]))

    assert {"annex-iv.html", "annex-iv.md"} <= files.keys()
    assert "annex-iv.html" in files["README.txt"].decode()


def test_frameworks_of_any_name_have_documents_of_their_own_and_replace_no_file(
    packed_tenant: PackedTenant, fraud_files: Mapping[str, bytes]
) -> None:
    contents = contents_of(packed_tenant.store, FRAUD)
    gdpr = shipped_catalog()["GDPR"]
    small = gdpr.model_copy(update={"clauses": gdpr.clauses[:2]})
    names = ["Index", "readme", "Annex IV", "社内規程", "политика", "A B", "A/B"]

    files = pack_files(contents, [small.model_copy(update={"name": name}) for name in names])

    assert len(files) == len(fraud_files) + 2 * len(names)
    assert len({name.casefold() for name in files}) == len(files)
    assert b"Team Fraud" in files["index.html"]


def test_a_pack_of_a_day_has_what_was_known_then(packed_tenant: PackedTenant) -> None:
    early, late = packed(packed_tenant.store, FRAUD, 2), packed(packed_tenant.store, FRAUD)

    assert json_of(early, "record.json")["record"]["owner"] == "Team Risk"
    assert json_of(late, "record.json")["record"]["owner"] == "Team Fraud"
    assert datetime.fromisoformat(json_of(late, "record.json")["as_of"]) == day(5)
    assert early["events.jsonl"] == b""
    assert len(late["events.jsonl"].splitlines()) == 3
    assert json_of(early, "verdicts.json")["waivers"] == []
    assert [waiver["rule"] for waiver in json_of(late, "verdicts.json")["waivers"]] == [WAIVED_RULE]
    # On day 2, nobody knew that the record would end on day 5.
    assert all(b'"valid_to": null' in line for line in early["history.jsonl"].splitlines())
    assert any(b'"valid_to": "2026-03-05' in line for line in late["history.jsonl"].splitlines())


def test_a_statement_on_the_files_is_left_out_with_its_reason_unless_it_covers_all(packed_tenant: PackedTenant) -> None:
    files = packed(packed_tenant.store, CHURN)

    assert "manifest.oms.json" not in files
    readme = " ".join(files["README.txt"].decode().split())
    assert "NOT IN THIS PACK manifest.oms.json" in readme
    assert "1 file is too large" in readme
