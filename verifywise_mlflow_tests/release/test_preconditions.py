"""Reasons that prevent a release: uncommitted files, a missing tag, no changelog of the version, a stale manifest."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tools.release import ReleaseError
from tools.release.changelog import release_notes
from tools.release.checkout import Checkout
from tools.release.preconditions import IMAGE_TAG, refusals
from verifywise_mlflow_tests.support.documentation import ROOT

CHANGELOG = """# Changelog

## Unreleased

- A change to come.

## 0.2.0 - 2026-12-01

### Added

- A command.

## 0.1.0 - 2026-11-01

- The first release.
"""
TAGGED = Checkout("c0ffee", 1_790_000_000, frozenset({"v0.2.0"}), ())
MANIFESTS = {"deploy/values.yaml": "image: {repository: registry.example/verifywise-mlflow, tag: 0.2.0}"}


def test_a_tagged_commit_with_notes_is_released() -> None:
    assert list(refusals(TAGGED, "0.2.0", CHANGELOG, MANIFESTS)) == []


def test_uncommitted_files_are_named() -> None:
    checkout = replace(TAGGED, changed_files=tuple(f"file{number}.py" for number in range(7)))

    (reason,) = refusals(checkout, "0.2.0", CHANGELOG, MANIFESTS)

    assert "file0.py, file1.py, file2.py, file3.py, file4.py and 2 more" in reason


@pytest.mark.parametrize("tags", [set(), {"v0.1.0"}, {"0.2.0"}, {"v0.2.0rc1"}])
def test_a_commit_without_the_tag_of_its_version_is_no_release(tags: set[str]) -> None:
    checkout = replace(TAGGED, tags=frozenset(tags))

    (reason,) = refusals(checkout, "0.2.0", CHANGELOG, MANIFESTS)

    assert reason.startswith("the last commit is 0.2.0 and has no tag of that version")


def test_a_manifest_with_another_version_is_named() -> None:
    stale = {
        "deploy/a.yaml": "  - {name: verifywise-mlflow, newName: registry.example/verifywise-mlflow, newTag: 0.1.0}"
    }

    (reason,) = refusals(TAGGED, "0.2.0", CHANGELOG, MANIFESTS | stale)

    assert reason == "deploy/a.yaml names the image of 0.1.0. Change it to 0.2.0"


def test_a_pre_release_has_the_manifests_of_its_release() -> None:
    checkout = replace(TAGGED, tags=frozenset({"v0.2.0rc1"}))
    changelog = CHANGELOG.replace("## 0.2.0 -", "## 0.2.0rc1 -")

    assert list(refusals(checkout, "0.2.0rc1", changelog, MANIFESTS)) == []


def test_the_manifests_of_the_repository_name_one_version() -> None:
    manifests = (ROOT / "deploy" / "kubernetes").rglob("*.yaml")

    named = [match["tag"] for path in manifests for match in IMAGE_TAG.finditer(path.read_text(encoding="utf-8"))]

    assert len(named) == 4
    assert len(set(named)) == 1


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release_notes(CHANGELOG, "0.2.0") == "### Added\n\n- A command.\n"
    assert release_notes(CHANGELOG, "0.1.0") == "- The first release.\n"


@pytest.mark.parametrize(
    ("heading", "problem"),
    [
        ("## 0.3.0 - 2026-12-01", "no section for 0.2.0"),
        ("## 0.2.0", "no date"),
        ("## 0.2.0 - soon", "no date"),
        ("## 0.2.0 - 2026-13-01", "no date"),
        ("## 0.2.0 - 20261201", "no date"),
        ("## 0.2.0 - 2026-12-01\n\n### Added\n\n## 0.1.9 - 2026-11-30", "no entry"),
    ],
)
def test_a_changelog_without_a_dated_section_with_an_entry_is_refused(heading: str, problem: str) -> None:
    changelog = CHANGELOG.replace("## 0.2.0 - 2026-12-01", heading)

    with pytest.raises(ReleaseError, match=re.escape(problem)):
        release_notes(changelog, "0.2.0")
    (reason,) = refusals(TAGGED, "0.2.0", changelog, MANIFESTS)
    assert problem in reason


def test_the_changelog_of_the_repository_has_a_section_for_what_is_not_released() -> None:
    with pytest.raises(ReleaseError, match="no date of release for Unreleased"):
        release_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "Unreleased")
