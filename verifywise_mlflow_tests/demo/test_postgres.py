"""The embedded Postgres starts on any data that an earlier server left, and a temporary server leaves no files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers import postgres_home
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, remove_postgres, temporary_postgres

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    remove_postgres(tmp_path / "postgres")


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def test_a_missing_database_is_created_and_an_existing_one_keeps_its_data(data: Path) -> None:
    with EmbeddedPostgres(data, databases=["one"]) as server:
        run(server.url("one"), "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(data, databases=["one", "two"]) as server:
        assert run(server.url("one"), "SELECT answer FROM kept") == [(42,)]
        assert run(server.url("two"), "SELECT 1") == [(1,)]


def test_it_starts_on_the_data_of_a_server_that_was_killed(data: Path) -> None:
    with EmbeddedPostgres(data, databases=["one"]) as server:
        run(server.url("one"), "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server.process.pid, signal.SIGKILL)
    with EmbeddedPostgres(data) as server:
        assert run(server.url("one"), "SELECT answer FROM kept") == [(42,)]


def test_a_server_still_running_on_the_data_is_stopped(data: Path) -> None:
    with EmbeddedPostgres(data, databases=["one"]) as leftover_server, EmbeddedPostgres(data) as server:
        assert not leftover_server.process.is_alive()
        assert run(server.url("one"), "SELECT 1") == [(1,)]


def test_a_folder_without_programs_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres_home.PROGRAMS_VARIABLE, str(data.parent))
    with pytest.raises(ProcessFailedError, match="has no initdb"), EmbeddedPostgres(data):
        pass


def test_a_partial_data_directory_is_created_again(data: Path) -> None:
    partial_directory = data.with_name("postgres-half-made")
    partial_directory.mkdir()
    (partial_directory / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data, databases=["one"]) as server:
        assert run(server.url("one"), "SELECT 1") == [(1,)]


def test_every_login_requires_the_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password"):
        run(postgres.url("postgres").replace(postgres.password, "guessed"), "SELECT 1")


def test_only_this_machine_can_reach_it(postgres: EmbeddedPostgres) -> None:
    assert run(postgres.url("postgres"), "SHOW listen_addresses") == [("127.0.0.1",)]
    assert run(postgres.url("postgres"), "SHOW unix_socket_directories") == [("",)]


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    data = tmp_path / ("long " * 30) / "postgres"
    try:
        with EmbeddedPostgres(data) as server:
            assert run(server.url("postgres"), "SELECT 1") == [(1,)]
    finally:
        remove_postgres(data)


def test_a_temporary_one_leaves_no_process_and_no_file() -> None:
    with temporary_postgres() as server:
        [(data_directory,)] = run(server.url("postgres"), "SHOW data_directory")
        assert Path(str(data_directory)).exists()
    assert not server.process.is_alive()
    assert not Path(str(data_directory)).parent.exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root starts it as somebody else")
class TestAsRoot:
    def test_a_closed_directory_stays_closed(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        with EmbeddedPostgres(closed / "postgres") as server:
            assert run(server.url("postgres"), "SELECT 1") == [(1,)]
            data_directory = (closed / "postgres").resolve()
        assert closed.stat().st_mode & 0o777 == 0o700
        remove_postgres(closed / "postgres")
        assert not data_directory.parent.exists()
        assert [path.name for path in closed.iterdir()] == ["postgres.log"]

    def test_a_deleted_temporary_directory_is_created_again(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        (closed / "postgres").symlink_to("/tmp/verifywise-postgres-gone/data")
        with EmbeddedPostgres(closed / "postgres") as server:
            assert run(server.url("postgres"), "SELECT 1") == [(1,)]
        remove_postgres(closed / "postgres")

    def test_programs_that_the_account_cannot_run_are_copied(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        programs = postgres_home.packaged_programs()
        package = programs.parents[1]
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        for part in (package, package.with_name(f"{package.name}.libs")):
            (closed / part.name).symlink_to(part)
        unreachable = closed / programs.relative_to(package.parent)
        monkeypatch.setenv(postgres_home.PROGRAMS_VARIABLE, str(unreachable))
        with EmbeddedPostgres(data) as server:
            assert run(server.url("postgres"), "SELECT 1") == [(1,)]
        assert closed.stat().st_mode & 0o777 == 0o700

    def test_other_programs_that_the_account_cannot_run_are_refused(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        (closed / "bin").symlink_to(postgres_home.packaged_programs())
        monkeypatch.setenv(postgres_home.PROGRAMS_VARIABLE, str(closed / "bin"))
        with pytest.raises(ProcessFailedError, match="the account nobody cannot run"), EmbeddedPostgres(data):
            pass

    def test_deleting_a_link_keeps_a_foreign_directory(self, tmp_path: Path) -> None:
        foreign_directory = tmp_path / "precious" / "data"
        foreign_directory.mkdir(parents=True)
        (tmp_path / "postgres").symlink_to(foreign_directory)
        postgres_home.remove_home(tmp_path / "postgres")
        assert foreign_directory.exists()
        assert not (tmp_path / "postgres").is_symlink()
