"""The airgap tool detects every attempt to leave the machine.

``make airgap`` runs a whole demo with the tool. These tests prove that the tool detects all kinds of attempts,
including MLflow's own telemetry, which the demo switches off.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.process import child_environment
from verifywise_mlflow_tests.airgap import NO_NAMESPACE, REACHED_OUT
from verifywise_mlflow_tests.airgap.watcher import destination_of
from verifywise_mlflow_tests.browser import chromium

pytestmark = pytest.mark.slow(seconds=30)

REPOSITORY = Path(__file__).parents[1]

ATTEMPTS = """
import os, socket
if os.fork():
    os.wait()
    raise SystemExit
os.setsid()  # as a daemon does: the child of a child, in a session of its own
for family, host, port in (
    (socket.AF_INET, "203.0.113.9", 443),
    (socket.AF_INET6, "2001:db8::7", 443),
    (socket.AF_INET6, "::ffff:203.0.113.10", 80),
    (socket.AF_INET, "203.0.113.53", 53),
):
    client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(30)
    client.connect_ex((host, port))
query = bytes(12) + b"\\5asked\\2by\\4hand\\0" + bytes(4)
for family, host, port in (
    (socket.AF_INET, "198.51.100.1", 123),
    (socket.AF_INET6, "2001:db8::8", 443),
    (socket.AF_INET, "224.0.0.251", 5353),
    (socket.AF_INET, "127.0.0.53", 53),
    (socket.AF_INET6, "::1", 53),
):
    socket.socket(family, socket.SOCK_DGRAM).sendto(query, (host, port))
try:
    socket.getaddrinfo("looked-up.example.", 443)
except socket.gaierror:
    pass
"""
LOCAL_CONNECTIONS = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listening.getsockname())
client.sendall(b"x" * 100_000)
socket.create_server(("::1", 0), family=socket.AF_INET6)
socket.socket(socket.AF_INET).connect_ex(("127.0.0.1", 9))
"""
CONNECT_TO_RESOLVER = """
import socket, sys
from pathlib import Path
from verifywise_mlflow_tests.airgap.namespace import enter
print("before", socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))
enter([Path(sys.argv[1])])
print("inside", socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))
"""
LOOK_UP = "import socket\ntry: socket.getaddrinfo('looked-up.example', 443)\nexcept socket.gaierror: pass"
WITH_SEARCH_DOMAIN = """
import os, sys
from pathlib import Path
from verifywise_mlflow_tests.airgap.namespace import RESOLV_CONF, bind_mount, enter
enter()
bind_mount(RESOLV_CONF, Path(sys.argv[1]))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
PAGE_WITH_REMOTE_CONTENT = """
from verifywise_mlflow_tests.browser import chromium
try:
    with chromium.page() as page:
        page.set_content("<link rel=stylesheet href=https://font.example/><img src=http://image.example/x.png>")
        page.wait_for_timeout(2_000)
except AssertionError as error:
    assert str(error) == "pages contacted ['font.example', 'image.example']"
else:
    raise SystemExit("the browser tests would not have noticed")
"""
MLFLOW_CLIENT_CALL = """
import threading
import mlflow
mlflow.set_tracking_uri("http://127.0.0.1:9")
try:
    mlflow.MlflowClient().create_experiment("churn")
except mlflow.MlflowException:
    pass
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(30)
"""
"""A call to a server that does not exist. MLflow's client still reports the call to its vendor."""


def run_in_airgap(
    program: str, *options: str, env: Mapping[str, str], interpreter: Sequence[str] = (sys.executable,)
) -> tuple[int, set[str]]:
    """Run a program with loopback only; return the exit code and its attempts to leave the namespace."""
    process = subprocess.run(
        [*(*interpreter, "-m", "verifywise_mlflow_tests.airgap", *options), *(sys.executable, "-c", program)],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode == NO_NAMESPACE:
        pytest.skip(f"cannot run here: {process.stderr.strip()}")
    assert process.returncode in (0, REACHED_OUT), process.stderr
    prefix = "it tried to reach "
    lines = process.stderr.splitlines()
    return process.returncode, {line.removeprefix(prefix) for line in lines if line.startswith(prefix)}


def test_each_outgoing_connection_attempt_is_recorded() -> None:
    assert run_in_airgap(ATTEMPTS, env=os.environ) == (
        REACHED_OUT,
        {
            *("tcp 203.0.113.9:443", "tcp [2001:db8::7]:443", "tcp 203.0.113.10:80"),
            *("udp 198.51.100.1:123", "udp [2001:db8::8]:443", "udp 224.0.0.251:5353"),
            *("name, queried at 203.0.113.53", "name asked.by.hand", "name looked-up.example"),
        },
    )


def test_connections_within_the_machine_are_not_attempts() -> None:
    assert run_in_airgap(LOCAL_CONNECTIONS, env=os.environ) == (0, set())


def test_an_intended_lookup_is_reported_but_not_counted() -> None:
    program = "import socket\nfor address in ('203.0.113.9', '203.0.113.10'): socket.socket().connect_ex((address, 80))"
    first, second = ("--on-purpose", "tcp 203.0.113.9:80"), ("--on-purpose", "tcp 203.0.113.10:80")

    assert run_in_airgap(program, *first, *second, env=os.environ) == (
        0,
        {"tcp 203.0.113.9:80, on purpose", "tcp 203.0.113.10:80, on purpose"},
    )
    assert run_in_airgap(program, *first, env=os.environ) == (
        REACHED_OUT,
        {"tcp 203.0.113.9:80, on purpose", "tcp 203.0.113.10:80"},
    )


def test_a_proxy_on_this_machine_hides_no_attempt() -> None:
    through_a_proxy = "import urllib.request as r\ntry: r.urlopen('http://203.0.113.9/')\nexcept OSError: pass"

    code, attempts = run_in_airgap(through_a_proxy, env={**os.environ, "http_proxy": "http://127.0.0.1:9"})

    assert (code, attempts) == (REACHED_OUT, {"tcp 203.0.113.9:80"})


def test_a_resolver_on_a_unix_socket_is_unreachable(tmp_path: Path) -> None:
    resolver = tmp_path / "resolver"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(resolver))
        listening.listen()
        process = subprocess.run(
            [sys.executable, "-c", CONNECT_TO_RESOLVER, resolver],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    if "NoNamespaceError" in process.stderr:
        pytest.skip(f"cannot run here: {process.stderr.splitlines()[-1]}")
    assert process.stdout.split() == ["before", "0", "inside", str(errno.ECONNREFUSED)]


def test_a_name_is_resolved_without_the_search_domain(tmp_path: Path) -> None:
    (names := tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\nsearch corp.example\noptions ndots:5\n")
    with_a_domain = (sys.executable, "-c", WITH_SEARCH_DOMAIN, str(names))

    assert run_in_airgap(LOOK_UP, env=os.environ, interpreter=with_a_domain) == (
        REACHED_OUT,
        {"name looked-up.example"},
    )


def test_a_ping_counts_as_an_attempt_and_the_kernels_icmp_reply_does_not() -> None:
    assert destination_of(ipv4(protocol=1, payload=b"\x08" + bytes(7))) == "ping 203.0.113.9"
    assert destination_of(ipv4(protocol=1, payload=b"\x03" + bytes(7))) is None


def ipv4(*, protocol: int, payload: bytes) -> bytes:
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, protocol, 0, bytes(4), b"\xcb\x00\x71\x09") + payload


def test_a_pages_external_resources_are_recorded_and_the_browser_itself_connects_nowhere() -> None:
    chromium.executable()

    assert run_in_airgap(PAGE_WITH_REMOTE_CONTENT, env=os.environ) == (
        REACHED_OUT,
        {"name font.example", "name image.example"},
    )


@pytest.mark.parametrize("is_off", [False, True])
def test_mlflows_telemetry_is_recorded_only_if_enabled(is_off: bool) -> None:
    # MLflow sends no telemetry if it detects a test environment.
    env = {
        name: value for name, value in child_environment().items() if not name.startswith(("CI", "GITHUB", "PYTEST"))
    }
    env |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"} | ({"MLFLOW_DISABLE_TELEMETRY": "true"} if is_off else {})

    code, attempts = run_in_airgap(MLFLOW_CLIENT_CALL, env=env)

    names = {attempt for attempt in attempts if attempt.startswith("name ")}
    assert code == (0 if is_off else REACHED_OUT)
    assert any("mlflow-telemetry" in name for name in names) != is_off, attempts
