"""The entry point of the image starts services and commands, with the secrets of mounted files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow import __version__
from verifywise_mlflow.container.__main__ import heartbeat_file, prepare, service_file
from verifywise_mlflow.container.secret_files import MAX_BYTES, read_secret_files
from verifywise_mlflow.container.services import Service
from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE
from verifywise_mlflow.instance_settings import InvalidSettingError


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("webserver", "dagster-webserver --workspace {home}/workspace.yaml --host 0.0.0.0 --port 3000"),
        ("daemon", "python -m verifywise_mlflow.distributed.daemon --workspace {home}/workspace.yaml"),
        (
            "code-server",
            "dagster api grpc --module-name verifywise_mlflow.definitions --location-name verifywise_mlflow "
            f"--fixed-server-id verifywise-mlflow-{__version__} --host 0.0.0.0 --port 4000",
        ),
        ("worker", "verifywise-mlflow worker"),
        ("listen", "verifywise-mlflow listen --host 0.0.0.0 --port 9480"),
    ],
)
def test_each_service_has_its_command_and_leaves_its_name_to_the_health_check(
    service: str, command: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"

    started, _environment = prepare([service], {"DAGSTER_HOME": str(home)})

    assert started == command.format(home=home).split()
    assert service_file().read_text() == service


def test_code_servers_of_one_image_have_one_id(tmp_path: Path) -> None:
    image = "registry.example/verifywise-mlflow:2"

    started, _environment = prepare(["code-server"], {"DAGSTER_HOME": str(tmp_path), "DAGSTER_CURRENT_IMAGE": image})

    assert started[started.index("--fixed-server-id") + 1] == image


def test_options_follow_the_command_of_a_service(tmp_path: Path) -> None:
    started, _environment = prepare(["webserver", "--read-only"], {"DAGSTER_HOME": str(tmp_path)})

    assert started[-1] == "--read-only"


@pytest.mark.parametrize("service", ["webserver", "daemon", "code-server", "worker"])
def test_dagster_s_own_commands_log_json_on_request_before_they_import_our_code(service: str, tmp_path: Path) -> None:
    environment = {"DAGSTER_HOME": str(tmp_path), "VERIFYWISE_LOG_FORMAT": "json"}

    started, _environment = prepare([service], environment)

    assert started[-2:] == (["--log-format", "json"] if service != "worker" else ["verifywise-mlflow", "worker"])


def test_the_health_check_looks_at_the_file_that_the_worker_touches(tmp_path: Path) -> None:
    _started, environment = prepare(["worker"], {"DAGSTER_HOME": str(tmp_path)})

    assert environment[HEARTBEAT_FILE] == str(heartbeat_file())


def test_the_instance_has_the_settings_of_the_environment(tmp_path: Path) -> None:
    environment = {"DAGSTER_HOME": str(tmp_path), "VERIFYWISE_MAX_CONCURRENT_SYNCS": "20"}

    prepare(["daemon"], environment)
    prepare(["daemon"], environment | {"VERIFYWISE_MAX_CONCURRENT_SYNCS": "30"})  # the container starts again

    written = yaml.safe_load((tmp_path / "dagster.yaml").read_text())
    assert written == instance_config({"VERIFYWISE_MAX_CONCURRENT_SYNCS": "30"})


def test_a_mounted_file_stays(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    prepare(["daemon"], {"DAGSTER_HOME": str(tmp_path)})

    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("", {"python_module": {"module_name": "verifywise_mlflow.definitions", "location_name": "verifywise_mlflow"}}),
        ("code:4000", {"grpc_server": {"host": "code", "port": 4000, "location_name": "verifywise_mlflow"}}),
    ],
)
def test_the_workspace_is_the_code_server_if_there_is_one(
    address: str, location: dict[str, object], tmp_path: Path
) -> None:
    prepare(["webserver"], {"DAGSTER_HOME": str(tmp_path), "VERIFYWISE_CODE_SERVER": address})

    assert yaml.safe_load((tmp_path / "workspace.yaml").read_text()) == {"load_from": [location]}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VERIFYWISE_CODE_SERVER", "code"),
        ("VERIFYWISE_CODE_SERVER", "code:0"),
        ("VERIFYWISE_CODE_SERVER", ":4000"),
        ("VERIFYWISE_WEBSERVER_PORT", "80"),
        ("VERIFYWISE_WEBSERVER_PORT", "65536"),
        ("VERIFYWISE_WEBSERVER_PORT", "²²²²"),
        ("DAGSTER_HOME", ""),
        ("DAGSTER_HOME", "home"),
    ],
)
def test_an_invalid_setting_is_refused_by_its_name(variable: str, value: str, tmp_path: Path) -> None:
    environment = {"DAGSTER_HOME": str(tmp_path)} | {variable: value}

    with pytest.raises(InvalidSettingError, match=variable):
        prepare(["webserver"], environment)


def test_the_listener_needs_no_home_of_dagster(tmp_path: Path) -> None:
    home = tmp_path / "home"

    started, _environment = prepare(["listen"], {"DAGSTER_HOME": str(home), "VERIFYWISE_LISTENER_PORT": "9481"})
    prepare(["listen"], {})

    assert not home.exists()
    assert started[-1] == "9481"


def test_another_word_is_a_command_that_needs_no_home() -> None:
    assert prepare(["verifywise-mlflow", "--help"], {}) == (["verifywise-mlflow", "--help"], {})


def test_a_secret_comes_from_its_file_without_the_final_line_break(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(" a word \n")

    assert read_secret_files({"DAGSTER_PG_PASSWORD_FILE": str(path)}) == {"DAGSTER_PG_PASSWORD": " a word "}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"a\0b", "null byte"),
        (b"\xff\xfe", "not text"),
        (b"x" * (MAX_BYTES + 1), "more than"),
        (None, "cannot be read"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_named(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidSettingError, match=f"DAGSTER_PG_PASSWORD_FILE names {path}.*{problem}"):
        read_secret_files({"DAGSTER_PG_PASSWORD_FILE": str(path)})


def test_a_secret_in_a_file_and_in_a_variable_is_refused_without_its_value(tmp_path: Path) -> None:
    environment = {"DAGSTER_PG_PASSWORD": "hunter2-hunter2", "DAGSTER_PG_PASSWORD_FILE": str(tmp_path)}

    with pytest.raises(InvalidSettingError) as raised:
        read_secret_files(environment)

    assert "both set" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def run_entry_point(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verifywise_mlflow.container", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ) | variables)


def test_the_process_is_replaced_by_the_command_which_gets_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://somewhere\n")

    done = run_entry_point("sh", "-c", "echo $VERIFYWISE_DATABASE_URL; exit 7", VERIFYWISE_DATABASE_URL_FILE=str(path))

    assert (done.stdout, done.returncode) == ("postgresql://somewhere\n", 7)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, f"Name a service ({', '.join(Service)}) or a command.\n"),
        (["no-such-command"], 127, "no-such-command cannot be started: No such file or directory\n"),
    ],
)
def test_a_start_that_fails_says_why(arguments: list[str], code: int, message: str) -> None:
    done = run_entry_point(*arguments)

    assert (done.returncode, done.stderr) == (code, message)
