"""One running demo for the tests of the demo and of Dagster's pages: it takes a minute to start."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from verifywise_mlflow.defs.assets.asset_metadata import SOURCE_URL
from verifywise_mlflow.demo import registry_seeding
from verifywise_mlflow.demo.workdir import Workdir

ACME, GLOBEX = registry_seeding.TENANTS
CODE = "https://code.example/verifywise_mlflow"
"""Web address of our code."""


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """A demo that has printed its summary."""

    home: Path
    process: subprocess.Popen[str]
    output: str

    @property
    def mlflow_uri(self) -> str:
        """The tracking URI of its MLflow."""
        return str(yaml.safe_load((self.home / "tenants.yaml").read_text())["tenants"][ACME]["tracking_uri"])

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the file that users load in a second terminal."""
        assignments = (shlex.split(line)[1] for line in (self.home / "environment").read_text().splitlines())
        variables = dict(assignment.split("=", 1) for assignment in assignments)
        return {name: value for name, value in variables.items() if name != "PATH"}

    @property
    def steps(self) -> list[str]:
        """The progress of the seeding."""
        lines = (line.strip() for line in self.output.splitlines())
        return [line for line in lines if line.startswith((f"{ACME}: ", f"{GLOBEX}: "))]


@contextmanager
def running_demo(home: Path) -> Iterator[RunningDemo]:
    """Start a demo, and stop it at the end if it still runs."""
    process = start_demo(home)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Press Ctrl-C"):
                break
        yield RunningDemo(home, process, "".join(lines))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        Workdir(home).clear()


def start_demo(home: Path, *arguments: str, parent: Path | None = None) -> subprocess.Popen[str]:
    """Start a demo in a folder. Its servers are forked if it is given the parent of services."""
    module = ["verifywise_mlflow_tests.demo.warm_demo", parent] if parent else ["verifywise_mlflow.demo"]
    return subprocess.Popen(
        [sys.executable, "-m", *module, "--home", home, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200", SOURCE_URL: CODE},
    )
