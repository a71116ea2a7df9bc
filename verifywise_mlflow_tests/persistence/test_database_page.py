"""The pages on the database: the set-up works as written, and every table is described."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import metadata
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page
from verifywise_mlflow_tests.support.login_roles import execute

GUIDE = read_page("how-to/database.md")
TABLES = read_page("reference/database.md")
ROLES = ("verifywise_owner", "verifywise_pipeline", "acme_auditor")


@pytest.fixture
def server(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The administrator's URL. Everything that the page creates is removed afterward."""
    yield postgres.url("postgres")
    execute(postgres.url("postgres"), "DROP DATABASE verifywise WITH (FORCE)", f"DROP ROLE {', '.join(ROLES)}")


def test_the_roles_are_set_up_as_the_guide_says(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sql, revoked = code_blocks(GUIDE, "sql")
    first, _erase = code_blocks(GUIDE, "console")

    execute(server, *filter(None, map(str.strip, sql.split(";"))))
    passwords = dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(.*?)'", sql))
    urls = {
        role: make_url(server).set(username=role, password=password, database="verifywise").render_as_string(False)
        for role, password in passwords.items()
    }
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", urls["verifywise_owner"])
    for line in first.splitlines():
        result = CliRunner().invoke(app, line.split()[1:])
        assert result.exit_code == 0, result.output

    assert "row-level security does not apply to it" in " ".join(result.output.split())  # of the owner, who was asked
    with Store(urls["verifywise_pipeline"]) as pipeline, pipeline.begin("acme") as session:
        assert role_grants.rls_bypass_reason(session.connection) is None
    with Store(urls["acme_auditor"]) as reader, reader.begin("acme") as session:
        assert role_grants.rls_bypass_reason(session.connection) is None
    execute(make_url(server).set(database="verifywise").render_as_string(False), revoked)
    for statement in ("CREATE TEMP TABLE mine (id int)", "SELECT lo_create(0)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            execute(urls["acme_auditor"], statement)


def test_the_reference_describes_each_table() -> None:
    named = set(re.findall(r"`(\w+)`", TABLES))

    assert {table.name for table in metadata.tables.values()} <= named


def test_the_commands_of_the_guide_exist() -> None:
    commands = re.findall(r"^verifywise-mlflow (\w+ \w+)", GUIDE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0
