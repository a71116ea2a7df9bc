"""Runs the command; see the package."""

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
    """Run a command; say what it tried to reach; return the exit code."""
    try:
        enter()
        watcher = Watcher()
    except OSError as error:
        sys.stderr.write(f"there is no network namespace to be had: {error.strerror}\n")
        return NO_NAMESPACE
    # Asked through a proxy on this machine, the world would look like a neighbour.
    without_proxies = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    code = subprocess.run(command, env=without_proxies, check=False).returncode
    watcher.catch_up()
    for attempt in sorted(watcher.attempts):
        sys.stderr.write(f"it tried to reach {attempt}{', on purpose' if attempt in on_purpose else ''}\n")
    if missed := watcher.missed:
        sys.stderr.write(f"{missed} packets came too fast to be looked at\n")
    return code or (REACHED_OUT if watcher.attempts.difference(on_purpose) or missed else 0)


parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow_tests.airgap")
parser.add_argument("--on-purpose", action="append", default=[], metavar="ATTEMPT", help="said, but not counted")
parser.add_argument("command", nargs=argparse.REMAINDER)
given = parser.parse_args()
sys.exit(run(given.command, given.on_purpose))
