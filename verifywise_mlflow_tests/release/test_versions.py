"""The version comes from the tags. A build without tags states that the version is unknown, instead of failing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from verifywise_mlflow_tests.support.documentation import ROOT

FILES = ("pyproject.toml", "README.md", "LICENSE", ".gitattributes", ".git_archival.txt")
IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in {"NAME": "Ada", "EMAIL": "ada@example.org", "DATE": "2026-01-01T00:00:00+00:00"}.items()
}


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", "-C", folder, *settings, *arguments],
        env=os.environ | IDENTITY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits of the files that the version depends on."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Start")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Continue")
    return folder


def version(project: Path) -> str:
    """Return the version that a package built of this folder gets."""
    return str(ProjectMetadata(str(project), PluginManager()).version)


def node(repository: Path) -> str:
    return "g" + git(repository, "rev-parse", "HEAD").strip()[:7]


def test_a_tagged_commit_has_the_version_of_its_tag(repository: Path) -> None:
    git(repository, "tag", "v1.4.0")

    assert version(repository) == "1.4.0"


def test_commits_after_a_tag_are_developments_of_the_next_version(repository: Path) -> None:
    git(repository, "tag", "v1.4.0", "HEAD~1")

    assert version(repository).startswith("1.4.1.dev1+" + node(repository))


def test_an_uncommitted_change_shows_in_the_version(repository: Path) -> None:
    git(repository, "tag", "v1.4.0")
    (repository / "README.md").write_text("changed")

    assert version(repository).startswith("1.4.1.dev0+" + node(repository))
    assert re.search(r"\.d\d{8}$", version(repository))


def test_a_repository_without_tags_counts_its_commits(repository: Path) -> None:
    assert version(repository).startswith("0.0.1.dev2+unknown." + node(repository))


@pytest.mark.filterwarnings("ignore:.*is shallow")
def test_a_shallow_clone_without_tags_has_a_version_with_its_commit(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--no-tags", f"file://{repository}", "clone")

    assert version(tmp_path / "clone").startswith("0.0.1.dev1+unknown." + node(repository))


def test_an_archive_of_a_tagged_commit_has_the_version_of_its_tag(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "v1.4.0")

    assert version(archive(repository, tmp_path)) == "1.4.0"


def test_an_archive_of_a_later_commit_has_a_version_with_its_commit(repository: Path, tmp_path: Path) -> None:
    git(repository, "tag", "v1.4.0", "HEAD~1")

    assert version(archive(repository, tmp_path)).startswith("1.4.1.dev1+" + node(repository))


def test_an_archive_of_a_repository_without_tags_has_an_unknown_version(repository: Path, tmp_path: Path) -> None:
    assert version(archive(repository, tmp_path)) == "0.0.0+unknown"


def archive(repository: Path, tmp_path: Path) -> Path:
    """Return the folder of the source archive that forges offer for a commit."""
    git(repository, "archive", "--prefix", "source/", "--output", str(tmp_path / "source.tar"), "HEAD")
    with tarfile.open(tmp_path / "source.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "source"


@pytest.mark.filterwarnings("ignore:git archive did not")
def test_a_copy_of_the_files_alone_has_an_unknown_version(repository: Path) -> None:
    shutil.rmtree(repository / ".git")

    assert version(repository) == "0.0.0+unknown"


def test_the_environment_can_state_the_version_of_such_a_copy(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(repository / ".git")
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "1.4.0")

    assert version(repository) == "1.4.0"
