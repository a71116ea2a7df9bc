"""An export adds new and changed rows, misses no transaction, and leaves no partial file."""

from __future__ import annotations

import fcntl
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import insert, text

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.exports.warehouse.export import ExportResult, export_tenant
from verifywise_mlflow.exports.warehouse.layout import LAYOUTS
from verifywise_mlflow.exports.warehouse.state import ExportDirectoryError, FileFormat
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import lifecycle_events
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
HOSTILE = 'a\x00b\ud800c\u2400\u241b "quoted" \u202e'


@pytest.fixture
def tenant_store(store: Store) -> Store:
    """Two versions, one of them with verdicts."""
    with store.begin("acme") as session:
        tenancy.activate(session, "https://mlflow.acme.example", None, day(1))
    write_version(store, 3, "ada", day(1))
    write_version(store, 4, "ada", day(1))
    write_verdicts(store, {"a": Verdict.FAIL, "b": Verdict.PASS}, day(1))
    return store


def write_version(store: Store, number: int, owner: str, at: datetime, **other: str) -> None:
    version = ModelVersion("fraud", number, tags={"owner": owner}, **other)  # type: ignore[arg-type]  # texts
    write_record(store, RecordInputs(version=version), at)


def write_event(session: TenantSession, stage: str) -> None:
    """Insert an event without the log of states, since its lock would make a second transaction wait for the first."""
    row = {"tenant_id": "acme", "model_name": "fraud", "version_number": 3, "incarnation": 1, "kind": "stage"}
    session.execute(insert(lifecycle_events).values(row | {"value": stage, "seen_at": day(2), "sync_id": "a sync"}))


def export(
    store: Store, directory: Path, file_format: FileFormat = "parquet", now: datetime = NOW, tenant: str = "acme"
) -> ExportResult:
    """Export after the end of all transactions of other tests that are open on the server now."""
    with store.begin(tenant) as session:
        written = session.scalar(text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with store.begin(tenant) as session:
            if session.scalar(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")) >= written:
                break
        time.sleep(0.05)
    return export_tenant(store, tenant, directory, file_format, now)


def rows_of(directory: Path, table: str) -> list[dict[str, Any]]:  # Any: rows of all tables
    return [row for part in sorted((directory / table).glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def part_names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("part-*")}


def test_the_first_export_has_every_table_and_a_second_one_adds_nothing(tenant_store: Store, tmp_path: Path) -> None:
    first = export(tenant_store, tmp_path)
    parts = part_names(tmp_path)
    second = export(tenant_store, tmp_path)

    assert first.rows == {**dict.fromkeys(first.rows, 0), "records": 2, "verdicts": 2, "badges": 1, "gaps": 1}
    assert parts == {f"{layout.name}/part-000001.parquet" for layout in LAYOUTS}
    assert (second.reason_for_all, set(second.rows.values())) == (None, {0})
    assert part_names(tmp_path) == parts


def test_a_change_adds_the_new_state_and_the_end_of_the_former_one(tenant_store: Store, tmp_path: Path) -> None:
    export(tenant_store, tmp_path)
    write_version(tenant_store, 3, "grace", day(5))

    result = export(tenant_store, tmp_path)

    assert result.rows["records"] == 2
    states = [row for row in rows_of(tmp_path, "records") if row["version_number"] == 3 and row["export_number"] == 2]
    assert sorted((row["owner"], row["valid_from"], row["valid_to"]) for row in states) == [
        ("ada", day(1), day(5)),
        ("grace", day(5), None),
    ]


def test_a_transaction_that_commits_after_a_later_one_was_exported_is_not_missed(
    tenant_store: Store, tmp_path: Path
) -> None:
    with tenant_store.begin("acme") as early:
        write_event(early, "early")
        with tenant_store.begin("acme") as late:
            write_event(late, "late")
        export_tenant(tenant_store, "acme", tmp_path, "parquet", NOW)
        assert {row["value"] for row in rows_of(tmp_path, "lifecycle_events")} == {"late"}
    export(tenant_store, tmp_path)

    assert {row["value"] for row in rows_of(tmp_path, "lifecycle_events")} == {"early", "late"}


def test_what_an_interrupted_export_left_is_removed_and_exported_again(tenant_store: Store, tmp_path: Path) -> None:
    export(tenant_store, tmp_path)
    write_version(tenant_store, 3, "grace", day(5))
    (tmp_path / ".staging").mkdir()
    (tmp_path / ".staging" / "verdicts").write_bytes(b"PAR1 half")
    (tmp_path / "records" / "part-000002.parquet").write_bytes(b"PAR1 of an export that has no state")
    (tmp_path / "records" / "ours.txt").write_text("not an export's")

    export(tenant_store, tmp_path)

    assert len(rows_of(tmp_path, "records")) == 4
    assert not (tmp_path / ".staging").exists()
    assert (tmp_path / "records" / "ours.txt").exists()


def test_gaps_are_replaced_when_a_day_has_passed(tenant_store: Store, tmp_path: Path) -> None:
    export(tenant_store, tmp_path)

    export(tenant_store, tmp_path, now=NOW + timedelta(days=1))

    assert [path for path in part_names(tmp_path) if path.startswith("gaps")] == ["gaps/part-000002.parquet"]
    assert [(row["rule_id"], row["age_days"]) for row in rows_of(tmp_path, "gaps")] == [("a", 20)]


def test_after_a_restore_everything_is_exported_again_and_replaces_the_rest(
    tenant_store: Store, tmp_path: Path
) -> None:
    export(tenant_store, tmp_path)
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "database": "another"}))

    result = export(tenant_store, tmp_path)

    assert result.reason_for_all is not None
    assert "restored" in result.reason_for_all
    assert {row["export_number"] for row in rows_of(tmp_path, "records")} == {2}
    assert {Path(name).name for name in part_names(tmp_path)} == {"part-000002.parquet"}


def test_json_lines_have_values_where_parquet_has_json_and_keep_hostile_texts(
    tenant_store: Store, tmp_path: Path
) -> None:
    write_version(tenant_store, 5, "ada", day(2), description=HOSTILE)
    export(tenant_store, tmp_path / "lines", "jsonl")
    export(tenant_store, tmp_path / "parquet")

    lines = [json.loads(line) for line in (tmp_path / "lines/records/part-000001.jsonl").read_text().splitlines()]
    of_lines = {line["version_number"]: line for line in lines}
    of_parquet = {row["version_number"]: row for row in rows_of(tmp_path / "parquet", "records")}
    assert of_lines[5]["origins"]["owner"]["key"] == "owner"
    assert json.loads(of_parquet[5]["origins"]) == of_lines[5]["origins"]
    readable = HOSTILE.replace("\ud800", "\\ud800")
    assert {of_lines[5]["description"], of_parquet[5]["description"]} == {readable}
    assert of_lines[5]["origins"]["description"]["raw"].startswith("a\x00b")


def test_a_reader_exports_its_tenant_and_cannot_export_another(
    tenant_store: Store, database_url: str, tmp_path: Path
) -> None:
    with tenant_store.begin("globex") as session:
        tenancy.activate(session, "https://mlflow.globex.example", None, day(1))
    with login_role(database_url, new_name("reader")) as role:
        with tenant_store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "acme", day(1))
        with Store(role.url) as reader:
            assert export(reader, tmp_path / "acme").rows["records"] == 2
            with pytest.raises(LookupError, match="globex"):
                export(reader, tmp_path / "globex", tenant="globex")


@pytest.mark.parametrize(("tenant", "file_format"), [("globex", "parquet"), ("acme", "jsonl")])
def test_a_directory_holds_one_tenant_in_one_format(
    tenant_store: Store, tmp_path: Path, tenant: str, file_format: FileFormat
) -> None:
    with tenant_store.begin("globex") as session:
        tenancy.activate(session, "https://mlflow.globex.example", None, day(1))
    export(tenant_store, tmp_path)

    with pytest.raises(ExportDirectoryError, match="directory of its own"):
        export(tenant_store, tmp_path, file_format, tenant=tenant)


def test_two_exports_to_a_directory_do_not_run_together(tenant_store: Store, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(ExportDirectoryError, match="another export"):
            export_tenant(tenant_store, "acme", tmp_path, "parquet", NOW)


def test_the_schema_describes_every_column_of_every_file(tenant_store: Store, tmp_path: Path) -> None:
    export(tenant_store, tmp_path)

    described = json.loads((tmp_path / "schema.json").read_text())["tables"]
    for table in described:
        columns = pq.read_schema(tmp_path / table["name"] / "part-000001.parquet").names
        assert [column["name"] for column in table["columns"]] == columns
        assert all(column["description"] for column in table["columns"]), table["name"]
        assert set(table["key"]) <= set(columns)
