"""Checks the Python, the packages, the sandbox, the disk and the telemetry of this machine."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement

from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.lockdown import ESCAPE_ATTEMPTS, isolation_problem
from verifywise_mlflow.observability.export_settings import export_problem, is_exported
from verifywise_mlflow.observability.tracing import MISSING_SDK
from verifywise_mlflow.services.installation.finding import Finding

DISTRIBUTION: Final = "verifywise-mlflow"
MIN_FREE_BYTES: Final = 1024**3
"""The free space below which syncs may soon fail: Dagster's logs and temporary files grow without notice."""


def check_packages(requirements: Iterable[str] | None = None) -> Finding:
    """Compare the installed packages with the packages that this release needs."""
    python = f"Python {platform.python_version()}"
    needed = metadata.requires(DISTRIBUTION) if requirements is None else requirements
    wrong = []
    for text in needed or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue  # a requirement of an extra or of another platform
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed, {requirement.specifier} is needed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, {requirement.specifier} is needed")
    release = f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}, {python}, Dagster {metadata.version('dagster')}"
    if wrong:
        remedy = "install from requirements/base.txt, or from the lock file of your extras"
        return Finding("packages", "problem", f"{release}: {'; '.join(wrong)}", remedy)
    return Finding("packages", "ok", release)


def check_sandbox(*, is_required: bool) -> Finding:
    """Start the worker that parses untrusted files, and check which protections are in force."""
    with Sandbox() as sandbox:
        parsed = sandbox.parse_environment({"requirements.txt": b"mlflow==3.17.2\n"}, {})
        protections, unblocked = sandbox.protections, sandbox.unblocked_attempts
    if parsed.failed_files:
        (reason,) = parsed.failed_files.values()
        return Finding("sandbox", "problem", f"its worker does not run: {reason}")
    problem = isolation_problem(protections, [name for name in ESCAPE_ATTEMPTS if name not in unblocked])
    if problem is None:
        return Finding("sandbox", "ok", f"in force: {', '.join(protections)}")
    remedy = "use a kernel and a container profile that grant seccomp or Landlock"
    if is_required:
        remedy += ", or set artifacts: {sandbox: best_effort} for the tenants"
    return Finding("sandbox", "problem" if is_required else "warning", f"it is not isolated: {problem}", remedy)


def check_disk(directories: Mapping[str, Path], min_free_bytes: int = MIN_FREE_BYTES) -> Iterator[Finding]:
    """Check the free space of directories. The key of each directory is its purpose."""
    for purpose, directory in directories.items():
        subject = f"disk: {purpose}"
        try:
            free = shutil.disk_usage(directory).free
        except OSError as error:
            remedy = "create the directory, or correct the variable that names it"
            yield Finding(subject, "problem", f"{directory}: {error.strerror}", remedy)
            continue
        space = f"{free / 1024**3:.1f} GiB are free at {directory}"
        if free < min_free_bytes:
            remedy = f"free space until there are at least {min_free_bytes / 1024**3:.0f} GiB"
            yield Finding(subject, "problem", space, remedy)
        else:
            yield Finding(subject, "ok", space)


def used_directories(environment: Mapping[str, str]) -> dict[str, Path]:
    """Return the directories that grow, by their purpose."""
    directories = {"temporary files": Path(tempfile.gettempdir())}
    for variable, purpose in (("DAGSTER_HOME", "Dagster"), ("VERIFYWISE_COMPUTE_LOG_DIR", "output of runs")):
        if path := environment.get(variable):
            directories[purpose] = Path(path)
    return directories


def check_telemetry() -> Iterator[Finding]:
    """Check that the requested telemetry can be exported."""
    signals: tuple[Literal["traces", "metrics"], ...] = ("traces", "metrics")
    for signal in signals:
        if problem := export_problem(signal, os.environ):
            yield Finding(f"telemetry: {signal}", "problem", problem)
        elif is_exported(signal, os.environ):
            yield _check_sdk(f"telemetry: {signal}")


def _check_sdk(subject: str) -> Finding:
    try:
        import verifywise_mlflow.observability.sdk  # noqa: F401  # the check is the import itself
    except ImportError:
        return Finding(subject, "problem", MISSING_SDK)
    return Finding(subject, "ok", "the SDK is installed, and OTEL_* variables request it")
