"""No secret is stored or shown: secrets are planted, sent to echoing servers, and searched for in all output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import dagster as dg
import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package
import psycopg2
import pytest
import yaml
from dagster_shared.serdes import serialize_value
from psycopg2 import sql
from typer.testing import CliRunner

from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.cli import app
from verifywise_mlflow.dagster_yaml import COMPUTE_LOG_DIR, instance_config, to_yaml
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.witnesses.settings import WitnessesFile, load_witnesses
from verifywise_mlflow_tests.defs.production import set_dagster_database
from verifywise_mlflow_tests.listener.signing import headers_of, post, tag_event
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server
from verifywise_mlflow_tests.support.planted_secret_tenants import (
    echoing,
    prefixes,
    received_data,
    tenants_with_secrets,
    witnesses,
)
from verifywise_mlflow_tests.support.planted_secrets import (
    Canaries,
    all_below,
    all_of_a_database,
    fields_for_secrets,
    fields_with_secrets,
    leaked_canaries,
)
from verifywise_mlflow_tests.support.proxy import Fault, FaultContext, proxy_before
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.running_listener import RunningListener

NEVER_SENT = {
    *("s3 secret_access_key", "sigv4 secret_access_key", "azure account_key", "gcs service_account"),
    *("tls client_key", "audit signing key", "database password", "dagster's database password"),
    *("webhook signing_secret", "verifywise metrics_token", "kafka password", "report secret_access_key"),
    *("witness signing_secret", "witness secret_access_key", "webhooks path", "webhooks secret"),
}
"""Credentials that sign requests, belong to servers that do not echo, or are sent only after a login."""


@dataclass(slots=True)
class SecretEnvironment:
    """A configuration full of planted secrets, and its servers."""

    canaries: Canaries
    echo: HostileServer
    tenants: dict[str, dict[str, object]]
    database_url: str
    dagster_url: str
    dagster_home: Path
    command_outputs: list[bytes] = field(default_factory=list)
    """The output of commands."""


@pytest.fixture
def environment(
    registry: Registry,
    mlflow_uri: str,
    workspace: str,
    postgres: EmbeddedPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SecretEnvironment]:
    canaries = Canaries()

    def secret(purpose: str, value: str | None = None) -> str:
        name = "SECRET_" + purpose.upper().replace(" ", "_")
        monkeypatch.setenv(name, canaries.new(purpose) if value is None else value)
        return f"env:{name}"

    with ExitStack() as servers:
        script = cast("Callable[[HostileServer, object], bytes]", echoing(canaries.new("issued token")))
        echo = servers.enter_context(hostile_server(script))
        authority = make_authority(tmp_path)
        private = servers.enter_context(
            hostile_server(script, authority.server_context(requires_client_certificate=True))
        )
        tenants = tenants_with_secrets(secret, canaries, echo, private, tmp_path)
        proxy = servers.enter_context(proxy_before(mlflow_uri))
        proxy.fault = lambda _: renamed(tenants)
        tenants["acme"] |= {"tracking_uri": proxy.uri, "workspace": workspace}
        for tenant in tenants.values():
            tenant |= {"allow_private_network": True, "limits": {"max_attempts": 1, "request_timeout_seconds": 10}}
        (tmp_path / "tenants.yaml").write_text(yaml.safe_dump({"tenants": tenants}))
        monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))
        content = {"witnesses": witnesses(secret, canaries, echo)}
        (tmp_path / "witnesses.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(tmp_path / "witnesses.yaml"))
        key = SigningKey.generate().pem().decode()
        monkeypatch.setenv("VERIFYWISE_AUDIT_SIGNING_KEY", secret("audit", canaries.key("audit signing key", key)))
        our_url, dagster_url = (
            database(postgres, canaries, database_name) for database_name in ("database", "dagster's database")
        )
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", our_url)
        home = tmp_path / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(to_yaml(instance_config({COMPUTE_LOG_DIR: str(home / "compute_logs")})))
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        set_dagster_database(dagster_url, monkeypatch)
        yield SecretEnvironment(canaries, echo, tenants, our_url, dagster_url, home)


def database(postgres: EmbeddedPostgres, canaries: Canaries, purpose: str) -> str:
    """Create a database and its owner, whose password is a planted secret; return its URL."""
    name = f"canary_{uuid.uuid4().hex}"
    password = canaries.new(f"{purpose} password")
    postgres.create_database(name)
    connection = psycopg2.connect(postgres.url(name))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            role = sql.Identifier(name)
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(role), [password])
            cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(role, role))
            cursor.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))
    finally:
        connection.close()
    return f"postgresql://{name}:{password}@127.0.0.1:{postgres.port}/{name}"


@pytest.mark.slow(seconds=35)
def test_no_secret_reaches_the_store_dagster_logs_outputs_or_the_process_list(
    environment: SecretEnvironment,
    registry: Registry,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = [*load_tenants().values(), *load_witnesses()]
    fields = {secret_field for section in settings for secret_field in fields_with_secrets(section)}
    all_fields = fields_for_secrets(Tenant) | fields_for_secrets(WitnessesFile)
    assert fields == all_fields, "a field for a secret has no canary"
    registry.trained_version("trained")  # its files are hashed in the sandbox
    for number, _ in enumerate(prefixes(environment.tenants)):
        registry.version("stored", source=f"s3://stand-in-{number}/model")

    sync_as_process(environment)
    run_commands(environment, monkeypatch)
    receive_webhooks(environment)
    run_in_dagster(environment)
    environment.command_outputs += [text.encode() for text in capfd.readouterr()]

    sent_purposes = environment.canaries.purposes_found_in(received_data(environment.echo))
    assert sent_purposes == {*environment.canaries.marker_by_purpose} - NEVER_SENT, "else nobody was tempted"
    assert [path for path in (environment.dagster_home / "compute_logs").rglob("*") if path.is_file()], (
        "nothing to look at"
    )
    outputs_by_place = {
        "the store": all_of_a_database(environment.database_url),
        "Dagster's event log and run storage": all_of_a_database(environment.dagster_url),
        "compute logs": all_below(environment.dagster_home),
        "outputs": environment.command_outputs,
    }
    assert {
        place: secrets
        for place, outputs in outputs_by_place.items()
        if (secrets := leaked_canaries(environment.canaries, outputs))
    } == {}


def renamed(tenants: Mapping[str, Mapping[str, object]]) -> Fault:
    """Set the stores as sources of versions in the real MLflow. Some sources need the permission of its operator."""

    def fault(context: FaultContext) -> None:
        response = context.forward()
        body = response.body
        for number, prefix in enumerate(prefixes(tenants)):
            body = body.replace(f"s3://stand-in-{number}/".encode(), f"{prefix}/".encode())
        context.reply(replace(response, body=body))

    return fault


def sync_as_process(environment: SecretEnvironment) -> None:
    """Sync as a user does, and inspect the process list during the sync."""
    process_info: dict[int, tuple[str, dict[str, str]]] = {}
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme"]
    with subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            family = psutil.Process(process.pid)
            for member in (family, *family.children(recursive=True)):
                try:
                    process_info[member.pid] = (" ".join(member.cmdline()), member.environ())
                except psutil.Error:  # the process exited during the inspection
                    continue
            time.sleep(0.05)  # each process lives much longer; without a pause, the inspection costs more than the sync
        assert process.stdout is not None
        environment.command_outputs.append(process.stdout.read())
    assert process.returncode == 0, environment.command_outputs[-1].decode()
    assert (
        leaked_canaries(environment.canaries, [command_line.encode() for command_line, _ in process_info.values()])
        == set()
    )
    sandboxed = {
        pid: environ
        for pid, (command_line, environ) in process_info.items()
        if "sandbox" in command_line and pid != process.pid
    }
    assert sandboxed, "no worker of the sandbox was seen"
    assert (
        leaked_canaries(environment.canaries, [json.dumps(environ).encode() for environ in sandboxed.values()]) == set()
    )


def run_commands(environment: SecretEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each command for each tenant, also with a database that refuses the login."""
    commands = [["tenants"], ["tenants", "--json"], ["db", "upgrade"]]
    commands += [[command, name] for name in environment.tenants for command in ("check", "sync")]
    commands += [["sync", name, "--json"] for name in ("basic", "acme")]
    commands += [["deliver", action, "acme"] for action in ("check", "plan", "run", "status")]
    commands += [["deliver", "check", "basic", "--target", "verifywise"], ["audit", "witness", "acme"]]
    for command in commands:
        environment.command_outputs.append(CliRunner().invoke(app, command).output.encode())
    for other in (":1/", "@no-such-host.invalid:5432/", "x@127.0.0.1:5432/", "@127.0.0.1:port/"):
        password = environment.canaries.marker_by_purpose["database password"]
        with monkeypatch.context() as patched:
            patched.setenv("VERIFYWISE_DATABASE_URL", f"postgresql://us:{password}{other}ours")
            result = CliRunner().invoke(app, ["sync", "acme"])
        assert result.exit_code == 1, result.output
        environment.command_outputs.append(result.output.encode())


def receive_webhooks(environment: SecretEnvironment) -> None:
    """Let the listener answer deliveries of all kinds, and collect its log, its responses and its metrics."""
    path, secret = (environment.canaries.marker_by_purpose[f"webhooks {part}"] for part in ("path", "secret"))
    body = tag_event("trained", "1")
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "listen", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        output = process.stderr.readline()
        while not (started := re.search(r"http://127.0.0.1:(\d+)/", output)):
            output += process.stderr.readline()
        listener = RunningListener(int(started[1]))
        deliveries = {
            202: headers_of(secret, body),
            401: headers_of(secret, body, signed_seconds_ago=1_000),
            415: headers_of(secret, body) | {"Content-Type": "text/plain"},
        }
        for status, headers in deliveries.items():
            response = post(f"{listener.url}/mlflow/{path}", body, headers)
            assert response.status == status, response.data
            environment.command_outputs.append(response.data)
        environment.command_outputs.append(listener.get("/metrics").data)
        process.terminate()
        environment.command_outputs.append((output + process.stderr.read()).encode())


def run_in_dagster(environment: SecretEnvironment) -> None:
    """Run syncs that succeed and that fail on an instance as it is deployed."""
    job = defs.resolve_job_def("sync_tenant")
    with dg.DagsterInstance.get() as instance:
        # This is what Dagster puts into the command lines of the processes that it starts.
        environment.command_outputs.append(serialize_value(instance.get_ref()).encode())
        instance.add_dynamic_partitions("tenants", [*environment.tenants])
        for name in ("acme", "basic", "issuer-post", "bearer-naming", "proxied"):
            result = job.execute_in_process(instance=instance, partition_key=name, raise_on_error=False)
            assert result.success == (name == "acme")
        for name in ("deliver_tenant", "report_tenant"):
            after_sync = defs.resolve_job_def(name)
            after_sync.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False)
        defs.resolve_job_def("witness_checkpoints").execute_in_process(instance=instance, raise_on_error=False)
