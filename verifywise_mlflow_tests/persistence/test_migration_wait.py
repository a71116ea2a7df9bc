"""Processes of a new release that start before the migration wait for it, for a limited time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from verifywise_mlflow.persistence import database, locks, migration_wait
from verifywise_mlflow.persistence.database import connect
from verifywise_mlflow.persistence.errors import NewerSchemaError, OutdatedSchemaError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.synthetic_revision import (
    INITIAL_REVISION,
    LATER_REVISION,
    migrations_with_a_second_revision,
)
from verifywise_mlflow_tests.support.documentation import read_page
from verifywise_mlflow_tests.support.login_roles import login_role, new_name


@pytest.fixture
def older_schema_url(empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database at the initial revision, and this code changed to expect the revision of a later release."""
    database.upgrade(empty_database_url)
    monkeypatch.setattr(database, "MIGRATIONS", migrations_with_a_second_revision(tmp_path / "migrations"))
    monkeypatch.setattr(migration_wait, "_POLL_SECONDS", 0.02)
    return empty_database_url


def open_store(url: str, wait_seconds: float) -> None:
    Store(url, wait_seconds=wait_seconds).close()


def check(url: str, wait_seconds: float) -> None:
    database.check(url, wait_seconds=wait_seconds)


@pytest.mark.parametrize("use", [open_store, check])
def test_a_process_that_starts_before_the_migration_says_that_it_waits_and_goes_on_after_it(
    use: Callable[[str, float], None], older_schema_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(use, older_schema_url, 60)
        await_log(caplog, f"waiting for up to 60 s: .* is at revision {INITIAL_REVISION}, this code needs")
        assert not waiting.done()

        assert database.upgrade(older_schema_url) == LATER_REVISION

        waiting.result(timeout=30)
    assert len(caplog.records) == 1, "one line, not one for each attempt"


def test_a_migration_that_does_not_come_ends_the_wait_with_what_to_do(older_schema_url: str) -> None:
    with pytest.raises(
        OutdatedSchemaError, match=r"run verifywise-mlflow db upgrade\. Nobody did within 0.1 s"
    ) as caught:
        open_store(older_schema_url, 0.1)

    assert str(caught.value).replace("0.1 s", "600 s") in read_page("how-to/upgrade.md")


def test_a_pipeline_waits_for_the_owner_who_creates_the_schema(empty_database_url: str) -> None:
    with (
        login_role(empty_database_url, new_name("pipeline")) as role,
        pytest.raises(OutdatedSchemaError, match=r"run verifywise-mlflow db upgrade .* Nobody did within 0.1 s"),
    ):
        open_store(role.url, 0.1)


def test_a_process_waits_for_a_migration_that_takes_longer_than_a_lock_may(
    older_schema_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database.upgrade(older_schema_url)
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "20ms")
    engine = connect(older_schema_url)
    with ThreadPoolExecutor() as pool:
        with engine.begin() as migration:
            locks.lock_schema(migration)
            waiting = pool.submit(open_store, older_schema_url, 60)
            await_log(caplog, "waiting for up to 60 s: the schema's lock was not granted in time")
        waiting.result(timeout=30)
    engine.dispose()


def test_a_newer_schema_is_refused_at_once(older_schema_url: str) -> None:
    database.upgrade(older_schema_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", Path(database.__file__).parent / "migrations")
        started = time.monotonic()
        for use in (open_store, check):
            with pytest.raises(
                NewerSchemaError, match=f"at revision {LATER_REVISION}, which this code does not"
            ) as caught:
                use(older_schema_url, 60)
            assert str(caught.value) in read_page("how-to/upgrade.md")
    assert time.monotonic() - started < 30


def await_log(caplog: pytest.LogCaptureFixture, pattern: str) -> None:
    """Wait until a line of the log matches."""
    deadline = time.monotonic() + 30
    while not re.search(pattern, caplog.text):
        assert time.monotonic() < deadline, caplog.text
        time.sleep(0.01)
