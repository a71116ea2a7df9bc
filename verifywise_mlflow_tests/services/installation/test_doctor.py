"""``doctor`` on a real installation: sound, and with each problem provoked once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.installation.broker import check_broker
from verifywise_mlflow.services.installation.database import check_database
from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.services.installation.run_queue import check_queue
from verifywise_mlflow.services.installation.software import check_disk, check_packages, check_sandbox, check_telemetry
from verifywise_mlflow.services.installation.tenants import check_keys, check_secrets, check_servers
from verifywise_mlflow.services.metrics.collector import QueueUnreadableError
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.distributed.brokers import Redis
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response, respond_with
from verifywise_mlflow_tests.support.login_roles import execute, login_role, new_name


def of_subject(findings: Iterator[Finding] | list[Finding], subject: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.subject == subject]
    return finding


def diagnosed(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    document = json.loads(result.stdout)
    return result.exit_code, {check["subject"]: check for check in document["checks"]}


@pytest.fixture
def pipeline_url(store: Store, database_url: str) -> Iterator[str]:
    """The URL of a role as an operator sets it up."""
    with login_role(database_url, new_name("sync")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, datetime.now(UTC))
        yield role.url


def test_a_sound_installation_has_no_problem(
    tenants_file: Path, pipeline_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", pipeline_url)

    exit_code, checks = diagnosed()

    assert {subject: check for subject, check in checks.items() if check["outcome"] == "problem"} == {}
    assert exit_code == 0
    assert {"packages", "secrets", "database", "role", "locks", "clock of Postgres", "server of acme"} <= set(checks)
    assert checks["role"]["outcome"] == "ok"
    assert "MLflow 3." in checks["server of acme"]["detail"]


def test_without_any_setting_each_missing_one_is_named() -> None:
    exit_code, checks = diagnosed()

    assert exit_code == 1
    assert "VERIFYWISE_TENANTS" in checks["tenants.yaml"]["detail"]
    assert "VERIFYWISE_DATABASE_URL" in checks["database"]["detail"]
    assert checks["dagster"]["outcome"] == "skipped"


def test_people_read_a_table_with_what_to_do() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    output = " ".join(result.stdout.split())  # it wraps

    assert result.exit_code == 1
    assert "set this environment variable to the path of your tenants.yaml" in output
    assert output.endswith("2 problems")


def test_a_database_without_the_schema(empty_database_url: str) -> None:
    finding = of_subject(check_database(empty_database_url), "database")

    assert finding.outcome == "problem"
    assert "verifywise-mlflow db upgrade" in finding.detail


def test_a_database_that_does_not_respond() -> None:
    finding = of_subject(check_database("postgresql://nobody:s3cret@127.0.0.1:1/none"), "database")

    assert "cannot be reached" in finding.detail
    assert "s3cret" not in finding.detail


def test_a_role_that_owns_the_schema_is_a_warning(database_url: str) -> None:
    assert of_subject(check_database(database_url), "role").outcome == "warning"


def test_a_role_that_lacks_a_privilege(pipeline_url: str, database_url: str) -> None:
    name = pipeline_url.split("//")[1].partition(":")[0]
    execute(database_url, f"REVOKE INSERT ON verifywise_mlflow.audit_trail FROM {name}")

    finding = of_subject(check_database(pipeline_url), "role")

    assert finding.outcome == "problem"
    assert "INSERT on audit_trail" in finding.detail
    assert finding.remedy
    assert f"db grant pipeline {name}" in finding.remedy


def test_a_reader_with_excess_rights(store: Store, database_url: str) -> None:
    with login_role(database_url, new_name("reader"), "CONNECTION LIMIT 3") as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "acme", datetime.now(UTC))
        warnings = [finding for finding in check_database(database_url) if finding.subject == "readers"]

    assert any(role.name in finding.detail and "large objects" in finding.detail for finding in warnings)


@contextmanager
def open_transaction(url: str) -> Iterator[int]:
    """Hold a lock on one of our tables."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE verifywise_mlflow.waivers IN SHARE MODE; SELECT pg_backend_pid()")
        yield int(cursor.fetchone()[0])


def test_a_lock_that_is_held_for_too_long(store: Store, database_url: str) -> None:
    with open_transaction(database_url) as process:
        time.sleep(0.2)
        old = list(check_database(database_url, max_transaction_age=timedelta(seconds=0.1)))
        recent = list(check_database(database_url))

    finding = of_subject(old, "locks")
    assert finding.outcome == "problem"
    assert "waits for its client" in finding.detail
    assert finding.remedy
    assert f"pg_terminate_backend({process})" in finding.remedy
    assert of_subject(recent, "locks").outcome == "ok"


@pytest.mark.parametrize(("minutes", "direction"), [(3, "180 s behind ours"), (-3, "180 s ahead of ours")])
def test_a_postgres_whose_clock_differs_from_ours(minutes: int, direction: str, database_url: str) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=minutes)

    finding = of_subject(check_database(database_url, now=now), "clock of Postgres")

    assert finding.outcome == "problem"
    assert direction in finding.detail


def test_a_server_whose_clock_differs_from_ours(tenant: Tenant) -> None:
    response = make_response("3.17.2", content_type="text/plain", headers={"Date": "Tue, 03 Mar 2020 12:00:00 GMT"})
    with hostile_server(respond_with(response)) as server:
        late = tenant.model_copy(update={"tracking_uri": server.uri})
        (finding,) = check_servers({"acme": late}, lambda: datetime(2020, 3, 3, 12, 1, tzinfo=UTC))

    assert finding.outcome == "problem"
    assert finding.detail == "MLflow 3.17.2; its clock is 59 s behind ours"


def test_a_server_that_refuses_the_credentials(tenant: Tenant) -> None:
    with hostile_server(respond_with(make_response("no", 401))) as server:
        (finding,) = check_servers(
            {"acme": tenant.model_copy(update={"tracking_uri": server.uri})}, lambda: datetime.now(UTC)
        )

    assert finding.outcome == "problem"
    assert finding.remedy == "run verifywise-mlflow check acme"


def test_a_secret_that_cannot_be_resolved(tenants_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tenants_file.write_text(
        "tenants:\n"
        "  acme: {tracking_uri: 'https://mlflow.acme.example', auth: {kind: bearer, token: 'env:ACME_TOKEN'}}\n"
        "  globex: {tracking_uri: 'https://mlflow.globex.example', auth: {kind: bearer, token: 'env:GLOBEX_TOKEN'}}\n"
    )
    monkeypatch.setenv("GLOBEX_TOKEN", "a-token-of-globex")
    monkeypatch.delenv("ACME_TOKEN", raising=False)

    findings = list(check_secrets(load_tenants()))

    assert [(finding.subject, finding.outcome) for finding in findings] == [("secrets of acme", "problem")]
    assert "ACME_TOKEN" in findings[0].detail
    assert "a-token-of-globex" not in str(findings)


def test_keys_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERIFYWISE_AUDIT_SIGNING_KEY", f"file:{tmp_path / 'missing.pem'}")
    monkeypatch.setenv("VERIFYWISE_AUDIT_PREVIOUS_SIGNING_KEY", "env:ABSENT_KEY")
    monkeypatch.setenv("VERIFYWISE_AUDIT_PUBLIC_KEYS", str(tmp_path / "missing.pub"))

    findings = list(check_keys())

    assert [(finding.subject, finding.outcome) for finding in findings] == [
        ("signing key", "problem"),
        ("previous signing key", "problem"),
        ("public keys", "problem"),
    ]
    assert "missing.pub: No such file" in findings[2].detail


def test_packages_that_are_missing_or_too_old() -> None:
    needed = ["psycopg2-binary>=99", "no-such-package>=1", "orjson>=3", 'pandas>=99; extra == "pandas"']
    finding = check_packages(needed)

    assert finding.outcome == "problem"
    assert "psycopg2-binary is" in finding.detail
    assert "no-such-package is not installed" in finding.detail
    assert not {"orjson", "pandas"} & set(finding.detail.split())


def test_a_full_disk_and_a_missing_directory(tmp_path: Path) -> None:
    directories = {"runs": tmp_path, "Dagster": tmp_path / "missing"}

    full, missing = check_disk(directories, min_free_bytes=2**62)

    assert (full.outcome, missing.outcome) == ("problem", "problem")
    assert [finding.outcome for finding in check_disk({"runs": tmp_path}, min_free_bytes=1)] == ["ok"]


def test_a_sandbox_that_isolates_nothing_is_a_problem_where_a_tenant_requires_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "verifywise_mlflow.services.installation.software.Sandbox.unblocked_attempts", ("network",)
    )  # as in a container whose profile refuses seccomp

    assert check_sandbox(is_required=True).outcome == "problem"
    assert check_sandbox(is_required=False).outcome == "warning"


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "ok"),
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "problem"),
    ],
)
def test_telemetry_that_cannot_be_exported(
    variables: dict[str, str], outcome: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert {finding.subject: finding.outcome for finding in check_telemetry()}.get("telemetry: traces") == outcome


def unreadable() -> QueueState:
    raise QueueUnreadableError("Dagster's instance cannot be read (OperationalError)")


def test_a_queue_that_cannot_be_read_daemons_that_are_silent_and_a_run_that_waits() -> None:
    silent = QueueState({"queued": 4, "started": 8}, 3600, {"SENSOR": False, "BACKFILL": True})
    well = QueueState({"queued": 0, "started": 1}, 0, {"SENSOR": True})

    assert [finding.outcome for finding in check_queue(unreadable)] == ["problem"]
    assert [(finding.subject, finding.outcome) for finding in check_queue(lambda: silent)] == [
        ("daemons", "problem"),
        ("run queue", "warning"),
    ]
    assert {finding.outcome for finding in check_queue(lambda: well)} == {"ok"}


def test_a_broker_that_is_missing_or_refuses_the_password(tmp_path: Path) -> None:
    with Redis(tmp_path / "redis") as broker:
        found = [
            *check_broker({"VERIFYWISE_BROKER_URL": broker.url}),
            *check_broker({"VERIFYWISE_BROKER_URL": broker.url.replace(broker.password, "hunter2-hunter2")}),
        ]
    found += check_broker({"VERIFYWISE_BROKER_URL": broker.url})
    found += check_broker({"VERIFYWISE_LAUNCHER": "celery"})

    assert [finding.outcome for finding in found] == ["ok", "problem", "problem", "problem"]
    assert "VERIFYWISE_BROKER_URL is not set" in found[-1].detail
    assert "hunter2" not in str(found)
    assert broker.password not in str(found)
    assert list(check_broker({})) == [], "runs are processes of the code server"


def test_a_broken_dagster_home_is_a_problem(
    tenants_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "missing"))

    exit_code, checks = diagnosed("--no-servers")

    assert exit_code == 1
    assert checks["dagster"]["outcome"] == "problem"
    assert "server of acme" not in checks
