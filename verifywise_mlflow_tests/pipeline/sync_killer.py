"""Syncs a tenant with the command line, and kills each sync at a place where no earlier sync was killed.

``python -m verifywise_mlflow_tests.pipeline.sync_killer [options of sync]`` reads places to omit, one per line. A place
is a stage and the line that opened a transaction with a write. At each place, one sync is killed right before the
commit, and a later sync right after the commit. The first sync that passes all places ends by itself and is the last
sync. Each kill is printed.

Each sync is a fork of this process. The process has imported everything and has compiled every SQL statement, since it
first syncs into the database of ``UNDISTURBED_DATABASE_URL``. Without forks, hundreds of starts would take minutes.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from verifywise_mlflow.cli import app
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store, TenantSession
from verifywise_mlflow.pipeline import concurrent_reading
from verifywise_mlflow.pipeline.stages import (
    canonical_records,
    compliance_results,
    training_runs,
)
from verifywise_mlflow_tests.support.compiled_statements import share_compiled_statements

SMALL_BATCH = 2
"""Small, so that a registry of a few versions takes several batches per stage."""
MAX_KILLS = 200
BEFORE, AFTER = "before", "after"

_begin = Store.begin


def main(options: list[str]) -> int:
    """Sync undisturbed, then kill syncs until a sync ends by itself; return the exit code of a failed sync, or 0."""
    share_compiled_statements()
    if code := _sync_undisturbed(options):
        return code
    _use_small_batches()
    gc.freeze()  # a collection in a fork would copy all memory that it shares with this process
    past_places = {*sys.stdin.read().splitlines()}
    for _ in range(MAX_KILLS):
        killed_at, status = _sync(past_places, options)
        if not killed_at:
            return os.waitstatus_to_exitcode(status)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert killed_at not in past_places
        past_places.add(killed_at)
        print(killed_at, flush=True)  # noqa: T201  # the output
    return 3


def _sync_undisturbed(options: list[str]) -> int:
    url, output = os.environ["UNDISTURBED_DATABASE_URL"], StringIO()
    with patch.dict(os.environ, VERIFYWISE_DATABASE_URL=url), redirect_stdout(output):
        try:
            app(["sync", "acme", "--json", *options])
        except SystemExit as end:
            sys.stderr.write(output.getvalue() if end.code else "")
            return int(end.code or 0)
    raise AssertionError("a command ends with an exit code")


def _sync(past_places: set[str], options: list[str]) -> tuple[str, int]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        Store.begin = _begin_that_kills(past_places, write_end)  # type: ignore[method-assign,assignment]  # only in this forked process
        app(["sync", "acme", "--json", *options])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as output:
        killed_at = output.read()
    return killed_at, os.waitpid(pid, 0)[1]


def _begin_that_kills(
    past_places: set[str], write_end: int
) -> Callable[[Store, str], AbstractContextManager[TenantSession]]:
    def end(place: str) -> None:
        if place not in past_places:
            os.write(write_end, place.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def begin(store: Store, tenant_id: str) -> Iterator[TenantSession]:
        place = _current_place()
        with _begin(store, tenant_id) as session:
            yield session
            writes = session.connection.exec_driver_sql("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").scalar()
            if writes:
                end(f"{BEFORE} {place}")
        if writes:
            end(f"{AFTER} {place}")

    return begin


def _current_place() -> str:
    """Return the running stage, if there is one, and the function and line that opens a transaction."""
    frame = sys._getframe(2)
    wrapper_names = {"__enter__", "begin", "enter_context"}
    while frame.f_code.co_name in wrapper_names and not frame.f_code.co_filename.endswith("sync.py"):
        assert frame.f_back is not None
        frame = frame.f_back
    write_site = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno}"
    caller = frame
    while caller.f_back is not None:
        stage = caller.f_locals.get("stage")
        if isinstance(stage, Stage):
            return f"{stage} {write_site}"
        caller = caller.f_back
    return f"- {write_site}"


def _use_small_batches() -> None:
    canonical_records.RECORDS_PER_BATCH = compliance_results.RECORDS_PER_BATCH = SMALL_BATCH
    concurrent_reading.VERSIONS_PER_BATCH = SMALL_BATCH  # type: ignore[misc]
    training_runs.RUNS_PAGE_SIZE = SMALL_BATCH  # type: ignore[attr-defined]
    training_runs.LOGGED_MODELS_PAGE_SIZE = SMALL_BATCH  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
