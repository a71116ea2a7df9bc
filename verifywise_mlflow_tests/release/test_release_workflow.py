"""The forge's workflow of a release: its triggers, the permissions of its jobs, and pinned actions."""

from __future__ import annotations

import re
from typing import Any

import yaml

from verifywise_mlflow_tests.support.documentation import ROOT

TEXT = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
ON = True
"""YAML 1.1 reads the key ``on`` as a boolean."""


def uses(job: str) -> list[str]:
    """Return the names of the actions of a job, without their commits."""
    return [step["uses"].partition("@")[0] for step in JOBS[job]["steps"] if "uses" in step]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_only_a_tag_of_a_version_starts_it() -> None:
    assert WORKFLOW[ON] == {"push": {"tags": ["v*"]}}


def test_each_job_may_do_only_what_it_is_for() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "build": {"contents": "read"},
        "sign": {"attestations": "write", "contents": "read", "id-token": "write"},
        "publish": {"id-token": "write"},
        "announce": {"contents": "write"},
    }


def test_no_job_with_the_right_to_sign_runs_code_of_the_repository() -> None:
    for name, job in JOBS.items():
        if "id-token" in job["permissions"]:
            assert commands(name) == []
            assert "actions/checkout" not in uses(name)


def test_each_action_is_pinned_to_a_commit_and_names_its_version() -> None:
    lines = re.findall(r"uses: .*", TEXT)

    assert len(lines) == sum(len(uses(name)) for name in JOBS)
    for line in lines:
        assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_the_packages_are_those_that_make_release_has_checked() -> None:
    assert commands("build") == ["make release"]
    (checkout,) = (step for step in JOBS["build"]["steps"] if "checkout" in step.get("uses", ""))
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}


def test_packages_are_attested_and_signed_before_they_are_published() -> None:
    assert {"actions/attest-build-provenance", "actions/attest", "sigstore/gh-action-sigstore-python"} <= set(
        uses("sign")
    )
    assert uses("publish")[-1] == "pypa/gh-action-pypi-publish"
    assert {name: job.get("needs") for name, job in JOBS.items()} == {
        "build": None,
        "sign": "build",
        "publish": "sign",
        "announce": "publish",
    }


def test_it_holds_no_secret_and_no_address() -> None:
    assert re.findall(r"secrets\.\w+", TEXT) == []
    assert re.findall(r"https?://", TEXT) == []
