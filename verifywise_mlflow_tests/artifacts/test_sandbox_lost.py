"""Processes inside that were taken over, or that do not survive a file: it is marked, and all others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.hashing import HashedBytes, NotHashed
from verifywise_mlflow.artifacts.limits import Limits
from verifywise_mlflow.artifacts.location import LoggedModelFiles
from verifywise_mlflow.artifacts.manifest_builder import build_manifest
from verifywise_mlflow.artifacts.sandbox.client import STARTS_TRIED, Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import MIB, SandboxLimits
from verifywise_mlflow.artifacts.sandbox.response_validation import MAX_TEXT, SenselessAnswerError, environment_in
from verifywise_mlflow.artifacts.sandbox.worker_process import Worker
from verifywise_mlflow_tests.artifacts.insiders import fragile_parser, liar
from verifywise_mlflow_tests.artifacts.trees import grow

IMPATIENT = SandboxLimits(stall_seconds=1, parse_seconds=2)
HONEST = b"dependencies: [python=3.11.7]"


@pytest.mark.parametrize(
    "content", [*liar.ANSWERS, b"no frame", b"silence", b"good bye"], ids=lambda content: content.decode()
)
def test_an_answer_that_is_no_hash_of_these_bytes_is_none(content: bytes) -> None:
    with Sandbox(IMPATIENT, hashing=liar.__name__) as sandbox:
        hashed = sandbox.hash([content], 1_000)

        assert isinstance(hashed, NotHashed)
        assert "the sandbox" in hashed.reason
        assert isinstance(sandbox.hash([b"next"], 1_000), HashedBytes)


def test_only_what_every_process_had_in_force_is_claimed() -> None:
    with Sandbox(hashing=liar.__name__) as sandbox:
        sandbox.hash([b"x"], 1)
        assert sandbox.protections == ("separate-process", "empty-environment", "no-capabilities")
        assert "new-processes" in sandbox.openings
        sandbox.environment({"conda.yaml": HONEST}, {})

        assert "rlimits" not in sandbox.protections
        assert "network" not in sandbox.openings


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"laughs: billions", f"it needed more than the {256 * MIB} bytes of memory it may use"),
        (b"regex: slow", "it took longer than 2 seconds and was ended"),
        (b"pointer: null", "it was killed by SIGSEGV"),
    ],
)
def test_a_file_that_the_parser_does_not_survive_is_marked_and_the_others_are_read(
    tmp_path: Path, content: bytes, told: str
) -> None:
    tree = grow(tmp_path, {"MLmodel": content, "conda.yaml": HONEST, "weights.bin": b"w"})
    with Sandbox(IMPATIENT, parsing=fragile_parser.__name__) as sandbox:
        manifest = build_manifest(
            LoggedModelFiles("m-1", "mlflow-artifacts:/m"),
            tree,
            None,
            model_path="",
            limits=Limits(),
            hash_files=True,
            sandbox=sandbox,
        )

    marked = next(file for file in manifest.files if file.path == "MLmodel")
    assert marked.note == f"not understood: the sandbox failed: {told}"
    assert marked.sha256 is not None
    assert manifest.status == "partial"
    assert manifest.reason == f"model: MLmodel {marked.note}"
    assert [file.note for file in manifest.files if file is not marked] == [None, None]
    assert manifest.environment is not None
    assert manifest.environment.python_version == "3.11.7"
    assert manifest.environment.problems == (f"MLmodel: the sandbox failed: {told}",)


def test_files_that_are_deadly_only_together_are_all_marked() -> None:
    with Sandbox(IMPATIENT, parsing=fragile_parser.__name__) as sandbox:
        read = sandbox.environment({"MLmodel": b"deadly: together", "conda.yaml": HONEST}, {})
        after = sandbox.environment({"conda.yaml": HONEST}, {})

    assert read.lost.keys() == {"MLmodel", "conda.yaml"}
    assert read.environment.python_version is None
    assert after.environment.python_version == "3.11.7"


def test_a_sandbox_that_cannot_be_started_marks_every_file_and_is_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = 0
    begin: Callable[..., None] = Worker.__init__

    def counted(self: Worker, program: str, memory_bytes: int, cpu_seconds: int) -> None:
        nonlocal started
        started += 1
        begin(self, program, memory_bytes, cpu_seconds)

    monkeypatch.setattr(Worker, "__init__", counted)
    with Sandbox(hashing="verifywise_mlflow.no_such_program") as sandbox:
        reasons = {sandbox.hash([b"x"], 1) for _ in range(STARTS_TRIED + 5)}

    assert started == STARTS_TRIED
    (reason,) = reasons
    assert isinstance(reason, NotHashed)
    assert "could not be started: ModuleNotFoundError" in reason.reason


def _told(**changes: Any) -> bytes:
    environment = read_environment({"conda.yaml": b"dependencies: [python=3.11.7, {pip: [a==1]}]"})
    return json.dumps(asdict(environment) | changes).encode()


PACKAGE = {"name": "a", "specifier": "==1", "source": "conda.yaml", "pinned": True}


def test_an_honest_environment_is_taken() -> None:
    assert environment_in(_told(), ["conda.yaml"]).packages[0].name == "a"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[" * 100_000,
        _told()[:-1],
        _told(python_version=3),
        _told(python_version="\ud800"),
        _told(reproducible=False),
        _told(reproducible="yes"),
        _told(sources=["requirements.txt"], packages=[]),
        _told(sources=["conda.yaml", "/etc/passwd"]),
        _told(packages=[PACKAGE | {"source": "elsewhere"}]),
        _told(packages=[PACKAGE] * 5_001),
        _told(packages=[PACKAGE | {"name": "a" * (MAX_TEXT + 1)}]),
        _told(problems=["x"] * 30),
        _told(problems=["x" * (MAX_TEXT + 1)]),
        _told(flavors={str(number): None for number in range(60)}),
        _told(flavors={"x" * (MAX_TEXT + 1): None}),
    ],
)
def test_an_answer_no_parser_of_ours_gives_is_not_taken(answer: bytes) -> None:
    with pytest.raises(SenselessAnswerError):
        environment_in(answer, ["conda.yaml"])
