"""Runs commands in the image that `make image` built, with the tool that built it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifywise_mlflow_tests.support.documentation import ROOT

BUILT = ROOT / "build" / "image"
_ENTRY_POINT = ["python", "-m", "verifywise_mlflow.container"]


@dataclass(frozen=True, slots=True)
class ImageContainer:
    """A container of the image on the host's network: 127.0.0.1 is this machine."""

    name: str
    image: str
    tool: str
    root: Path | None
    """Its root file system, with buildah. Other tools make the root file system read-only."""

    def command(
        self, arguments: Sequence[str], variables: Mapping[str, str], files: Mapping[Path, str], *, entry_point: bool
    ) -> list[str]:
        """Return the command line on the host. ``files`` are mounted read-only: path on the host, path inside."""
        options = [option for name, value in variables.items() for option in ("--env", f"{name}={value}")]
        options += [option for path, target in files.items() for option in ("--volume", f"{path}:{target}:ro")]
        command = [*(_ENTRY_POINT if entry_point else []), *arguments]
        if self.tool == "buildah":
            return [self.tool, "run", *options, self.name, "--", *command]
        options += ["--network", "host", "--read-only", "--tmpfs", "/tmp", "--entrypoint", command[0]]
        return [self.tool, "run", "--rm", "--name", _service_name(arguments), *options, self.image, *command[1:]]

    def configuration(self) -> dict[str, Any]:
        """Return the image's configuration: labels, account, health check, entry point."""
        if self.tool == "buildah":
            inspected = json.loads(_output(self.tool, "inspect", "--type", "image", self.image))["Docker"]
            return dict(inspected["config"])
        (inspected,) = json.loads(_output(self.tool, "image", "inspect", self.image))
        return {"Healthcheck": inspected.get("HealthCheck"), **inspected["Config"]}  # Podman has it outside of Config

    def run(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        files: Mapping[Path, str] | None = None,
        entry_point: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = self.command(arguments, variables or {}, files or {}, entry_point=entry_point)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)

    def run_beside(
        self, service: str, *arguments: str, variables: Mapping[str, str], files: Mapping[Path, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the container of a running service."""
        if self.tool == "buildah":  # all services run in one container
            return self.run(*arguments, variables=variables, files=files)
        command = [self.tool, "exec", _service_name([service]), *_ENTRY_POINT, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)

    @contextmanager
    def running(
        self, *arguments: str, log: Path, variables: Mapping[str, str], files: Mapping[Path, str]
    ) -> Iterator[None]:
        """Run a service while the block runs. ``log`` gets its output."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(arguments, variables, files, entry_point=True),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=30)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the container that the tool left behind
                process.wait()


@contextmanager
def image_container() -> Iterator[ImageContainer]:
    """Make a container of the image. It is removed afterwards."""
    image, tool = ((BUILT / name).read_text(encoding="utf-8").strip() for name in ("name", "tool"))
    if tool != "buildah":
        yield ImageContainer(image, image, tool, None)
        return
    if os.geteuid() == 0 and "BUILDAH_ISOLATION" not in os.environ:
        os.environ["BUILDAH_ISOLATION"] = "chroot"  # as in deploy/image/build.sh
    name = _output(tool, "from", image)
    try:
        yield ImageContainer(name, image, tool, Path(_output(tool, "mount", name)))
    finally:
        _output(tool, "rm", name)


def _service_name(arguments: Sequence[str]) -> str:
    return f"verifywise-smoke-{os.getpid()}-{Path(arguments[0]).name}"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
