"""Whether an entry of OSV affects a version, and how severe it is."""

from __future__ import annotations

import pytest
from packaging.version import Version

from verifywise_mlflow.compliance.environment_facts.advisory import advisories, package_names

HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
LOW = "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
VERSION_4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"


def entry(*events: dict[str, str], **fields: object) -> dict[str, object]:
    """Return an entry about one package with one range of these events."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Some_Package"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    return {"id": "TEST-1", "affected": [affected], **fields}


@pytest.mark.parametrize(
    ("events", "affected", "not_affected"),
    [
        ([{"introduced": "0"}], ["0.1.dev0", "1!2.0", "99"], []),
        ([{"introduced": "1.2"}, {"fixed": "1.4"}], ["1.2", "1.2.0", "1.3.9", "1.4rc1"], ["1.1", "1.4", "1.4.post1"]),
        ([{"introduced": "1"}, {"last_affected": "1.4"}], ["1.4", "1.4.0"], ["1.4.1", "0.9", "1.4.post1"]),
        ([{"introduced": "1", "fixed": "2"}], ["1.5"], ["2"]),
        ([{"fixed": "2"}, {"introduced": "1"}, {"fixed": "4"}, {"introduced": "3"}], ["1.5", "3.5"], ["2.5", "4"]),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}], ["1.5", "2", "2.5"], ["3"]),
        ([{"introduced": "no version"}], [], ["1"]),
        ([{"introduced": "1"}, {"limit": "2"}], ["1.5", "2.5"], ["0.5"]),
        ([{}], [], ["1"]),
    ],
)
def test_a_range_contains_the_versions_between_its_events(
    events: list[dict[str, str]], affected: list[str], not_affected: list[str]
) -> None:
    (advisory,) = advisories(entry(*events), "some-package")

    assert {version for version in (*affected, *not_affected) if advisory.affects(Version(version))} == {*affected}


def test_a_listed_version_is_affected_however_it_is_written() -> None:
    affected = {"package": {"ecosystem": "PyPI", "name": "p"}, "versions": ["1.0", "2.0-RC1", "not a version"]}
    (advisory,) = advisories({"id": "TEST-1", "affected": [affected]}, "p")

    assert [advisory.affects(Version(text)) for text in ("1.0", "2.0rc1", "2.0")] == [True, True, False]


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"severity": [{"type": "CVSS_V3", "score": HIGH}]}, 9.8),
        ({"severity": [{"type": "CVSS_V4", "score": VERSION_4}]}, 9.3),
        ({"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]}, 7.5),
        ({"severity": [{"type": "CVSS_V3", "score": LOW}, {"type": "CVSS_V3", "score": HIGH}]}, 9.8),
        ({"severity": [{"type": "CVSS_V3", "score": LOW}], "database_specific": {"severity": "CRITICAL"}}, 1.6),
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:X"}], "database_specific": {"severity": "low"}}, 0.1),
        ({"severity": [{"type": "Ubuntu", "score": "high"}]}, None),
        ({"database_specific": {"severity": "MODERATE"}}, 4.0),
        ({"database_specific": {"severity": 7}}, None),
        ({"severity": "high"}, None),
        ({}, None),
    ],
)
def test_the_severity_is_that_of_the_vectors_else_of_the_rating(
    fields: dict[str, object], severity: float | None
) -> None:
    (advisory,) = advisories(entry({"introduced": "0"}, **fields), "some-package")

    assert advisory.severity == severity


@pytest.mark.parametrize(
    "document",
    [
        entry({"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"),
        {"id": "TEST-1", "affected": [{"package": {"ecosystem": "npm", "name": "some-package"}}]},
        {"id": "TEST-1", "affected": [{"package": {"ecosystem": "PyPI", "name": 3}}]},
        {"id": "TEST-1", "affected": [{"package": "some-package"}, 3]},
        {"id": "TEST-1", "affected": {"package": {}}},
        {"id": "TEST-1"},
    ],
)
def test_what_is_not_about_a_package_of_pypi_says_nothing(document: dict[str, object]) -> None:
    assert package_names(document) == set()
    assert [*advisories(document, "some-package")] == []


def test_commits_of_a_repository_say_nothing_about_releases() -> None:
    affected = {
        "package": {"ecosystem": "PyPI", "name": "p"},
        "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}],
    }
    (advisory,) = advisories({"id": "TEST-1", "affected": [affected]}, "p")

    assert not advisory.affects(Version("1.0"))
