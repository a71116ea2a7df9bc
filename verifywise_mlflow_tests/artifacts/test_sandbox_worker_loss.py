"""Workers that are compromised or crash over a file: that file is marked, and the others are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import LoggedModelFiles
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.manifest_builder import build_manifest
from verifywise_mlflow.artifacts.sandbox.client import MAX_START_ATTEMPTS, Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import MIB, SandboxLimits
from verifywise_mlflow.artifacts.sandbox.lockdown import isolation_problem
from verifywise_mlflow.artifacts.sandbox.response_validation import (
    MAX_TEXT_CHARS,
    InvalidWorkerResponseError,
    validate_environment,
)
from verifywise_mlflow.artifacts.sandbox.worker_process import Worker
from verifywise_mlflow.tenants.tenant import Artifacts
from verifywise_mlflow_tests.artifacts.rogue_workers import fragile_parser, lying_parser
from verifywise_mlflow_tests.artifacts.trees import LocalSource, write_files

SHORT_TIMEOUTS = SandboxLimits(parse_timeout_s=2)
BENIGN = b"dependencies: [python=3.11.7]"


def _manifest(tree: LocalSource, sandbox: Sandbox) -> ArtifactManifest:
    return build_manifest(
        LoggedModelFiles("m-1", "mlflow-artifacts:/m"),
        tree,
        None,
        model_path="",
        limits=ManifestLimits(),
        hash_files=True,
        sandbox=sandbox,
    )


@pytest.mark.parametrize(
    "content",
    [*lying_parser.RESPONSES, b"no frame", b"silence", b"good bye"],
    ids=lambda content: content.decode(),
)
def test_an_invalid_response_is_rejected(content: bytes) -> None:
    with Sandbox(SHORT_TIMEOUTS, parsing=lying_parser.__name__) as sandbox:
        parsed = sandbox.parse_environment({"conda.yaml": content}, {})

        assert "the sandbox" in parsed.failed_files["conda.yaml"]
        assert sandbox.parse_environment({"conda.yaml": b"next"}, {}).failed_files == {}


def test_what_a_worker_reports_is_reported() -> None:
    with Sandbox(parsing=lying_parser.__name__) as sandbox:
        sandbox.parse_environment({"conda.yaml": BENIGN}, {})

        assert sandbox.protections == ("separate-process", "empty-environment", "no-capabilities")
        assert "new-processes" in sandbox.unblocked_attempts
        assert "network" not in sandbox.unblocked_attempts


@pytest.mark.parametrize(
    ("content", "clause"),
    [
        (b"laughs: billions", f"it needed more than the {256 * MIB} bytes of memory it may use"),
        (b"regex: slow", "it took longer than 2 seconds and was stopped"),
        (b"pointer: null", "it was killed by SIGSEGV"),
    ],
)
def test_a_file_that_crashes_the_parser_is_marked_and_the_others_are_parsed(
    tmp_path: Path, content: bytes, clause: str
) -> None:
    tree = write_files(tmp_path, {"MLmodel": content, "conda.yaml": BENIGN, "weights.bin": b"w"})
    with Sandbox(SHORT_TIMEOUTS, parsing=fragile_parser.__name__) as sandbox:
        manifest = _manifest(tree, sandbox)

    marked = next(file for file in manifest.files if file.path == "MLmodel")
    assert marked.note == f"not parsed: the sandbox failed: {clause}"
    assert marked.sha256 is not None
    assert manifest.status == "partial"
    assert manifest.reason == f"model: MLmodel {marked.note}"
    assert [file.note for file in manifest.files if file is not marked] == [None, None]
    assert manifest.environment is not None
    assert manifest.environment.python_version == "3.11.7"
    assert manifest.environment.problems == (f"MLmodel: the sandbox failed: {clause}",)


def test_files_that_crash_the_parser_only_together_are_all_marked() -> None:
    with Sandbox(SHORT_TIMEOUTS, parsing=fragile_parser.__name__) as sandbox:
        environment = sandbox.parse_environment({"MLmodel": b"deadly: together", "conda.yaml": BENIGN}, {})
        next_environment = sandbox.parse_environment({"conda.yaml": BENIGN}, {})

    assert environment.failed_files.keys() == {"MLmodel", "conda.yaml"}
    assert environment.environment.python_version is None
    assert next_environment.environment.python_version == "3.11.7"


def test_a_sandbox_that_cannot_start_is_tried_a_limited_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start_count = 0
    initialize: Callable[..., None] = Worker.__init__

    def count_and_start(self: Worker, program: str, memory_bytes: int, cpu_seconds: int) -> None:
        nonlocal start_count
        start_count += 1
        initialize(self, program, memory_bytes, cpu_seconds)

    monkeypatch.setattr(Worker, "__init__", count_and_start)
    with Sandbox(parsing="verifywise_mlflow.no_such_program") as sandbox:
        sandbox.start_parsing_worker()
        reasons = {
            sandbox.parse_environment({"conda.yaml": BENIGN}, {}).failed_files["conda.yaml"]
            for _ in range(MAX_START_ATTEMPTS + 5)
        }

    assert start_count == MAX_START_ATTEMPTS
    (reason,) = reasons
    assert "could not be started: ModuleNotFoundError" in reason


def environment_response(**changes: Any) -> bytes:
    environment = read_environment({"conda.yaml": b"dependencies: [python=3.11.7, {pip: [a==1]}]"})
    return json.dumps(asdict(environment) | changes).encode()


PACKAGE = {"name": "a", "specifier": "==1", "source": "conda.yaml", "pinned": True}


def test_a_valid_environment_is_accepted() -> None:
    assert validate_environment(environment_response(), ["conda.yaml"]).packages[0].name == "a"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"null",
        b"[" * 100_000,
        environment_response()[:-1],
        environment_response(python_version=3),
        environment_response(python_version="\ud800"),
        environment_response(reproducible=False),
        environment_response(reproducible="yes"),
        environment_response(sources=["requirements.txt"], packages=[]),
        environment_response(sources=["conda.yaml", "/etc/passwd"]),
        environment_response(packages=[PACKAGE | {"source": "elsewhere"}]),
        environment_response(packages=[PACKAGE] * 5_001),
        environment_response(packages=[PACKAGE | {"name": "a" * (MAX_TEXT_CHARS + 1)}]),
        environment_response(problems=["x"] * 30),
        environment_response(problems=["x" * (MAX_TEXT_CHARS + 1)]),
        environment_response(flavors={str(number): None for number in range(60)}),
        environment_response(flavors={"x" * (MAX_TEXT_CHARS + 1): None}),
    ],
)
def test_an_environment_that_our_parsers_cannot_return_is_rejected(response: bytes) -> None:
    with pytest.raises(InvalidWorkerResponseError):
        validate_environment(response, ["conda.yaml"])


@pytest.mark.parametrize(
    ("in_force", "refused", "problem"),
    [
        (("rlimits", "seccomp"), ("network",), None),
        (("landlock",), ("network",), None),
        (("rlimits", "network-namespace"), ("network",), "neither seccomp nor Landlock"),
        (("seccomp", "landlock"), ("reading-files",), "can open connections"),
        ((), (), "neither seccomp nor Landlock is in force and it can open connections"),
    ],
)
def test_limits_alone_are_no_isolation(
    in_force: tuple[str, ...], refused: tuple[str, ...], problem: str | None
) -> None:
    found = isolation_problem(in_force, refused)

    assert found == problem if problem is None else problem in str(found)


def test_no_file_is_parsed_if_the_required_isolation_is_missing(tmp_path: Path) -> None:
    tree = write_files(tmp_path, {"conda.yaml": BENIGN, "weights.bin": b"w"})
    with Sandbox(parsing=lying_parser.__name__, isolation="required") as sandbox:
        manifest = _manifest(tree, sandbox)

        reason = str(manifest.reason)
        assert "neither seccomp nor Landlock is in force" in reason
        assert "artifacts: {sandbox: best_effort}" in reason
        assert sandbox.protections == ()
    assert manifest.status == "partial"
    assert manifest.environment is not None
    assert manifest.environment.python_version is None
    assert all(file.sha256 for file in manifest.files), "hashing takes no sandbox"


def test_a_tenant_requires_isolation_unless_its_settings_say_otherwise() -> None:
    assert Artifacts().sandbox == "required"
    assert Artifacts.model_validate({"sandbox": "best_effort"}).sandbox == "best_effort"
