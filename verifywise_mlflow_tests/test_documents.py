"""The README and the documentation are true: examples load, commands parse, names exist."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import dagster as dg
import pytest
import yaml
from pydantic import TypeAdapter

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.tenants.auth import Credentials
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.defs.production import set_dagster_database
from verifywise_mlflow_tests.support.documentation import DOCS, ROOT, code_blocks, commands, read_page

PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
TOP_LEVEL = {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("*.md"))}
TEXTS = TOP_LEVEL | PAGES
README = TOP_LEVEL["README.md"]
TENANTS = read_page("reference/tenants.md")
COMMANDS = dict(all_commands())

MAX_README_LINES = 150
NOT_IN_CODE = {"db_password", "client_secret_old", "exists_one"}
"""Names in the customer's data, and a macro of CEL."""
COMPOSED = ("open_gaps_", "versions_", "waiver_")
"""Prefixes of names that are composed: figures of a badge, a severity or an age, and columns of a row within a row."""
DEFINITION = r"\b(?:def|class) {0}\b|^{0}\b"
ADR_SECTIONS = ["Context", "Decision", "Consequences", "Alternatives weighed"]


def test_the_readme_fits_five_minutes() -> None:
    assert len(README.splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize(
    ("page", "example"),
    [
        (page, example)
        for page, text in TEXTS.items()
        for example in code_blocks(text, "yaml")
        if example.startswith("tenants:")
    ],
)
def test_each_tenants_file_in_the_documentation_loads(page: str, example: str, tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    tenant = load_tenants(path)["acme"]

    assert tenant.tracking_uri.startswith("https://"), page


@pytest.mark.parametrize(
    ("page", "command"), [(page, command) for page, text in TEXTS.items() for command in commands(text)]
)
def test_each_command_in_the_documentation_parses(page: str, command: str) -> None:
    _program, *arguments = shlex.split(re.sub(r"\[(.*?)\]", r"\1", command))
    path = next(
        (known_command for length in (3, 2, 1) if (known_command := " ".join(arguments[:length])) in COMMANDS),
        None,
    )

    assert path, f"{page}: there is no such command: {command}"
    values = ["1" if argument == "VERSION" else argument for argument in arguments[len(path.split()) :]]
    COMMANDS[path].make_context(path, values)  # raises a usage error for an unknown option or a missing argument


def test_the_reference_describes_each_setting_of_a_tenant(tmp_path: Path) -> None:
    example, _defaults = code_blocks(TENANTS, "yaml")
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    tenant = load_tenants(path)["acme"]

    named = set(re.findall(r"`(\w+)`", TENANTS))
    assert tenant.workspace == "team-a"
    assert (set(Tenant.model_fields) - {"tenant_id"}) | set(Intervals.model_fields) <= named


def test_the_reference_lists_each_limit_with_its_default() -> None:
    text = read_page("reference/mlflow-requests.md")

    listed = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.MULTILINE))

    defaults = {field.name: field.default for field in fields(Limits)}
    assert {name: float(value.replace(",", "")) for name, value in listed.items()} == defaults


def test_the_reference_names_every_field_of_the_record() -> None:
    page = read_page("reference/canonical-record.md")

    assert [field for field in FIELDS if f"`{field}`" not in page] == []


def test_the_reference_counts_the_calls() -> None:
    posts = [call for call in (*MlflowEndpoint, *DatabricksEndpoint) if call.method == "POST"]
    assert (len(MlflowEndpoint), len(posts), len(DatabricksEndpoint)) == (23, 6, 6)
    text = " ".join(read_page("reference/mlflow-requests.md").split())
    assert "twenty-three to MLflow, six of them POST (five searches and a count), and six more to Databricks" in text


def test_the_stores_in_the_page_on_artifacts_load(tmp_path: Path) -> None:
    (example,) = code_blocks(read_page("reference/artifacts.md"), "yaml")
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    artifacts = load_tenants(path)["acme"].artifacts

    schemes = [store.prefix.partition(":")[0] for store in artifacts.stores]
    assert schemes == ["s3", "s3", "gs", "abfss", "file", "https"]
    assert {"max_file_bytes": artifacts.max_file_bytes, "max_files": artifacts.max_files} == {
        name: field.default for name, field in Artifacts.model_fields.items() if name in ("max_file_bytes", "max_files")
    }


@pytest.mark.parametrize("auth", re.findall(r"^\| `(\{kind: .*?\})` \|", TENANTS, re.MULTILINE))
def test_each_kind_of_authentication_in_the_reference_loads(auth: str) -> None:
    auth_text = auth.replace("arn:aws:sagemaker:…", "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/a")

    credentials: Credentials = TypeAdapter(Credentials).validate_python(yaml.safe_load(auth_text))

    assert credentials.kind in auth


@pytest.mark.parametrize("page", TEXTS)
def test_the_files_that_a_page_names_exist(page: str) -> None:
    named = re.findall(
        r"`((?:verifywise_mlflow|verifywise_mlflow_tests|benchmarks|deploy|docs|tools)/[\w./-]+)`", TEXTS[page]
    )

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", TEXTS)
def test_the_modules_that_a_page_names_exist(page: str) -> None:
    dotted = re.findall(r"\b((?:verifywise_mlflow|verifywise_mlflow_tests|benchmarks)(?:\.[a-z]\w*)+)", _prose(page))
    missing = [name for name in dotted if not _module_or_member_exists(name)]

    assert missing == []


def _prose(page: str) -> str:
    """Return a page without its SQL and without the setting of the session, since the schema has the package's name."""
    return re.sub(r"```sql\n.*?```|`verifywise_mlflow\.tenant`", "", TEXTS[page], flags=re.DOTALL)


def _module_or_member_exists(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    member = dotted.rpartition(".")[2]
    module = path.parent.with_suffix(".py")
    return module.is_file() and re.search(DEFINITION.format(member), module.read_text(), re.M) is not None


@pytest.mark.parametrize("page", sorted(set(TEXTS) - {"CHANGELOG.md", *(page for page in PAGES if "/adr/" in page)}))
def test_the_identifiers_that_a_page_names_exist(page: str) -> None:
    """Settings, tables, columns, assets, sensors, functions: anything in backticks with an underscore."""
    prose = re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL)

    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", prose)) - NOT_IN_CODE

    assert {name for name in named - identifiers_in_code() if not name.startswith(COMPOSED)} == set()


@lru_cache(maxsize=1)
def identifiers_in_code() -> frozenset[str]:
    return frozenset(
        word
        for folder in ("verifywise_mlflow", "benchmarks", "deploy", "tools")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".sql", ".env")
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("page", TEXTS)
def test_the_environment_variables_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"`(VERIFYWISE_[A-Z_]*[A-Z])`", TEXTS[page]))

    assert {name for name in named if name not in environment_variables_in_code()} == set()


@lru_cache(maxsize=1)
def environment_variables_in_code() -> str:
    """Return the names of our variables that the code reads, one per line. A page may name the beginning of a name."""
    return "\n".join(
        {
            name
            for folder in ("verifywise_mlflow", "verifywise_mlflow_tests", "deploy")
            for path in (ROOT / folder).rglob("*")
            if path.suffix in (".py", ".env", ".yaml")
            for name in re.findall(r"VERIFYWISE_\w*", path.read_text(encoding="utf-8"))
        }
    )


def test_the_options_of_benchmarks_in_the_documentation_exist() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").rglob("*.py"))
    calls = re.findall(r"(?:python -m benchmarks|(?:SOAK|BENCH)_ARGS=)[^`\n]*", "\n".join(PAGES.values()))

    options = {option for call in calls for option in re.findall(r"--[a-z-]+", call)}

    assert options
    assert {option for option in options if f'"{option}"' not in source} == set()


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_the_links_of_a_top_level_page_lead_somewhere(name: str) -> None:
    """``mkdocs build --strict`` checks links between pages of docs/, but not links from other files to these pages."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", TOP_LEVEL[name]) if "://" not in link]

    assert [link for link in links if link and not (ROOT / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = read_page("index.md")
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"index.md"}

    assert {page for page in pages if f"({page})" not in index and not page.startswith("adr/")} == set()


def test_every_decision_record_has_its_sections_and_is_in_the_index() -> None:
    index = read_page("adr/index.md")
    records = sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "index.md")

    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert f"({record.name})" in index
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ADR_SECTIONS, record.name
        assert re.search(r"^- Status: (accepted|superseded by \[)", text, re.MULTILINE), record.name


def test_the_glossary_is_sorted() -> None:
    terms = [term.casefold() for term in re.findall(r"^\*\*(.+?)\*\*", read_page("glossary.md"), re.MULTILINE)]

    assert terms == sorted(terms)


def test_the_instance_for_production_keeps_everything_in_postgres(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path)
    set_dagster_database(database_url, monkeypatch)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        assert [type(storage).__name__ for storage in storages] == [
            "PostgresRunStorage",
            "PostgresEventLogStorage",
            "PostgresScheduleStorage",
        ]
        assert not instance.telemetry_enabled
