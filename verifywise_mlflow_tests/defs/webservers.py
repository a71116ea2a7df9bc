"""Dagster's real webserver in this process, and nginx in front of it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import pytest
import uvicorn
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

NGINX_HINT = "the tests of the reverse proxy need nginx: apt-get install nginx-light (.ci/run does so as root)"


def nginx() -> str:
    """Return the path of nginx. Without it, tests are skipped with a hint; in CI they fail."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(NGINX_HINT)
        pytest.skip(NGINX_HINT)
    return path


@contextmanager
def webserver(instance: dg.DagsterInstance, definitions_file: Path, *, read_only: bool) -> Iterator[int]:
    """Run Dagster's webserver on a file of definitions; yield its port."""
    from dagster_webserver.app import create_app_from_workspace_process_context  # takes 1 s: not in every process

    target = LoadableTargetOrigin(python_file=str(definitions_file))
    origin = InProcessCodeLocationOrigin(target, location_name=definitions_file.stem)
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin), read_only=read_only) as context:
        port = free_port()
        app = create_app_from_workspace_process_context(context)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield port
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def reverse_proxy(home: Path, example: str, replacements: Mapping[str, str]) -> Iterator[int]:
    """Run nginx with a configuration whose addresses and paths are replaced by the test's; yield its port."""
    program, port = nginx(), free_port()
    for old, new in {**replacements, "listen 443": f"listen 127.0.0.1:{port}"}.items():
        assert old in example, old
        example = example.replace(old, new)
    directories = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{name}_temp_path {home}/{name};" for name in directories)
    configuration = home / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {home}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{example}\n}}\n"
    )
    command = [program, "-p", str(home), "-c", str(configuration), "-e", "stderr"]
    with ExitStack() as stack:
        child = stack.enter_context(
            ChildProcess("nginx", command, log=home / "nginx.log", env=child_environment(), cwd=home)
        )
        wait_for_port(child, port, seconds=30)
        yield port
