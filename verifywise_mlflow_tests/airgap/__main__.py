"""Command line of the package."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Collection, Sequence

from verifywise_mlflow_tests.airgap import NO_NAMESPACE, REACHED_OUT
from verifywise_mlflow_tests.airgap.namespace import enter
from verifywise_mlflow_tests.airgap.watcher import Watcher


def run(command: Sequence[str], on_purpose: Collection[str]) -> int:
    """Run a command, print its attempts to leave the namespace, and return the exit code."""
    try:
        enter()
        watcher = Watcher()
    except OSError as error:
        sys.stderr.write(f"network namespaces are not available: {error.strerror}\n")
        return NO_NAMESPACE
    # Through a proxy on this machine, a remote address would look like a local one.
    without_proxies = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    code = subprocess.run(command, env=without_proxies, check=False).returncode
    watcher.catch_up()
    for attempt in sorted(watcher.attempts):
        sys.stderr.write(f"it tried to reach {attempt}{', on purpose' if attempt in on_purpose else ''}\n")
    if missed := watcher.missed:
        sys.stderr.write(f"{missed} packets were dropped before they could be examined\n")
    return code or (REACHED_OUT if watcher.attempts.difference(on_purpose) or missed else 0)


parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow_tests.airgap")
parser.add_argument(
    "--on-purpose",
    action="append",
    default=[],
    metavar="ATTEMPT",
    help="an expected attempt: it is printed and does not fail the run",
)
parser.add_argument("command", nargs=argparse.REMAINDER)
arguments = parser.parse_args()
sys.exit(run(arguments.command, arguments.on_purpose))
