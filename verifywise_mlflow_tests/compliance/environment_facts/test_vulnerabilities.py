"""What a copy of OSV knows about the packages of a record, and copies that cannot be used."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import JsonValue

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.environment_facts import vulnerability_copy
from verifywise_mlflow.compliance.environment_facts.vulnerabilities import MAX_LISTED, vulnerabilities_of
from verifywise_mlflow.compliance.environment_facts.vulnerability_copy import (
    VulnerabilityCopy,
    VulnerabilityCopyError,
    open_copy,
)
from verifywise_mlflow.compliance.input_hash import MAX_VALUE_BYTES, value_json
from verifywise_mlflow.compliance.rules.rule import Example
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import CanonicalRecord

FOLDER = Path(__file__).parent.parent / "osv"


def record(**packages: str) -> CanonicalRecord:
    """Return a record with these requirements."""
    listed: JsonValue = [{"name": name.replace("_", "-"), "specifier": pin} for name, pin in packages.items()]
    return Example(record={"runtime_environment": {"packages": listed}}, verdict=Verdict.PASS).canonical_record()


def listed(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value


def archive(path: Path, entries: Mapping[str, object]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, entry in entries.items():
            opened.writestr(name, entry if isinstance(entry, str) else json.dumps(entry))
    return path


def advisory(name: str, package: str, **fields: object) -> dict[str, object]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    return {"id": name, "modified": "2026-03-01T10:00:00.5Z", "affected": [affected], **fields}


def test_entries_about_the_same_vulnerability_are_one_with_the_highest_severity() -> None:
    facts = vulnerabilities_of(record(numpy="==2.3.5", pandas="==2.2.3", scikit_leam="==1"), open_copy(FOLDER))

    assert facts == {
        "copy_given": True,
        "problem": "",
        "copy_digest": open_copy(FOLDER).digest,
        "copy_date": "2026-03-08T06:00:00Z",
        "checked_count": 3,
        "unchecked": [],
        "known": [
            {
                "package": "scikit-leam",
                "id": "MAL-TEST-2026-4",
                "severity": 10.0,
                "text": "scikit-leam 1: MAL-TEST-2026-4, severity not stated",
            },
            {
                "package": "numpy",
                "id": "CVE-2026-90001",
                "severity": 9.8,
                "text": "numpy 2.3.5: CVE-2026-90001, severity 9.8",
            },
            {
                "package": "pandas",
                "id": "TEST-2026-3",
                "severity": 3.7,
                "text": "pandas 2.2.3: TEST-2026-3, severity 3.7",
            },
        ],
    }


def test_entries_that_share_an_alias_through_a_third_one_are_one(tmp_path: Path) -> None:
    chain = [("A", ["X"]), ("B", ["Y"]), ("C", ["X", "Y"])]
    copy = VulnerabilityCopy(
        archive(tmp_path / "all.zip", {f"{name}.json": advisory(name, "p", aliases=aliases) for name, aliases in chain})
    )

    known = vulnerabilities_of(record(p="==1"), copy)["known"]

    assert isinstance(known, list)
    assert [entry["id"] for entry in known] == ["A"]


@pytest.mark.parametrize(
    ("pin", "is_checked"),
    [("==1.0", True), ("===1.0", True), ("==1.0,>0.9", True), (">=1.0", False), ("==1.*", False), ("", False),
     ("@ https://example.org/p-1.0.whl", False), ("==2021a-1.x", False), ("~=1.0", False)],
)  # fmt: skip
def test_only_an_exact_version_is_looked_up(pin: str, is_checked: bool) -> None:
    facts = vulnerabilities_of(record(p=pin), open_copy(FOLDER))

    assert (facts["checked_count"], facts["unchecked"]) == ((1, []) if is_checked else (0, ["p"]))


def test_each_of_two_versions_that_files_pin_is_looked_up() -> None:
    packages: JsonValue = [{"name": "numpy", "specifier": pin} for pin in ("==2.3.5", "==2.4.0", ">=2")]
    with_both = Example(record={"runtime_environment": {"packages": packages}}, verdict=Verdict.PASS)

    facts = vulnerabilities_of(with_both.canonical_record(), open_copy(FOLDER))

    assert (facts["checked_count"], facts["unchecked"]) == (1, [])
    assert len(listed(facts["known"])) == 1


def test_a_build_with_a_local_part_is_as_affected_as_its_release(tmp_path: Path) -> None:
    entry = advisory("TEST-1", "torch")
    entry["affected"] = [
        {
            "package": {"ecosystem": "PyPI", "name": "torch"},
            "versions": ["2.1.0"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "2.2"}, {"last_affected": "2.3.0"}]}],
        }
    ]
    copy = VulnerabilityCopy(archive(tmp_path / "all.zip", {"1.json": entry}))

    for pin in ("==2.1.0+cu118", "==2.3.0+cpu"):
        assert len(listed(vulnerabilities_of(record(torch=pin), copy)["known"])) == 1, pin


def test_tools_that_only_install_need_no_exact_version() -> None:
    assert vulnerabilities_of(record(pip="<=25", setuptools=""), open_copy(FOLDER))["unchecked"] == []


def test_without_a_copy_or_an_environment_nothing_is_known() -> None:
    assert vulnerabilities_of(record(), None) == {"copy_given": False, "problem": ""}
    assert "known" not in vulnerabilities_of(Example(verdict=Verdict.PASS).canonical_record(), open_copy(FOLDER))


def test_what_is_stored_with_a_verdict_is_bounded(tmp_path: Path) -> None:
    package = "p" * 200
    entries = {f"{number}.json": advisory(f"TEST-{number}-" + "é" * 90, package) for number in range(40)}
    copy = VulnerabilityCopy(archive(tmp_path / "all.zip", entries))
    unpinned = {f"{'q' * 100}{number}": "" for number in range(30)}

    facts = vulnerabilities_of(record(**{package: "==1." + "0" * 99, **unpinned}), copy)

    for value in facts.values():
        assert "$sha256" not in value_json(value), f"more than {MAX_VALUE_BYTES} bytes"  # type: ignore[arg-type]
    assert len(listed(facts["known"])) == MAX_LISTED
    assert listed(facts["unchecked"])[-1] == f"{30 - MAX_LISTED} more"


def test_an_archive_and_a_folder_of_the_same_entries_say_the_same(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {file.name: file.read_text("utf-8") for file in FOLDER.glob("*.json")})

    facts = [{**vulnerabilities_of(record(numpy="==2.3.5"), open_copy(at)), "copy_digest": ""} for at in (FOLDER, path)]

    assert facts[0] == facts[1]
    assert open_copy(path).entry_count == 4


def test_a_copy_is_read_again_only_if_its_files_changed(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"1.json": advisory("TEST-1", "p")})
    first = open_copy(path)

    assert open_copy(path) is first
    replacement = archive(tmp_path / "new.zip", {"2.json": advisory("TEST-2", "p")})
    replacement.replace(path)
    second = open_copy(path)

    assert second.digest != first.digest
    assert [[entry.id for entry in copy.advisories("p")] for copy in (first, second)] == [["TEST-1"], ["TEST-2"]]


def test_a_changed_file_of_a_folder_changes_the_digest(tmp_path: Path) -> None:
    file = tmp_path / "1.json"
    file.write_text(json.dumps(advisory("TEST-1", "p")), encoding="utf-8")
    digest = open_copy(tmp_path).digest

    file.write_text(json.dumps(advisory("TEST-2", "p")), encoding="utf-8")

    assert open_copy(tmp_path).digest != digest


def test_a_copy_that_is_damaged_or_loses_a_file_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"1.json": advisory("TEST-1", "p" * 400)})
    content = bytearray(path.read_bytes())
    content[40:50] = b"\xff" * 10  # in the compressed bytes, behind the header and the name
    path.write_bytes(content)
    folder = tmp_path / "osv"
    folder.mkdir()
    file = folder / "1.json"
    file.write_text(json.dumps(advisory("TEST-1", "p")), encoding="utf-8")
    opened = open_copy(folder)
    assert opened.entry_count == 1
    file.unlink()

    for copy in (open_copy(path), opened):
        assert vulnerabilities_of(record(p="==1"), copy)["problem"]


@pytest.mark.parametrize(
    ("compression", "damaged"),
    [(zipfile.ZIP_LZMA, slice(44, 60)), (zipfile.ZIP_DEFLATED, slice(30, 31))],
    ids=["bytes that LZMA compressed", "a name that is no UTF-8"],
)
def test_an_archive_that_is_damaged_elsewhere_is_a_problem_and_no_crash(
    tmp_path: Path, compression: int, damaged: slice
) -> None:
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", compression) as opened:
        opened.writestr("é.json", json.dumps(advisory("TEST-1", "p" * 400)))
    content = bytearray(path.read_bytes())
    content[damaged] = b"\xff" * len(content[damaged])
    path.write_bytes(content)

    assert vulnerabilities_of(record(p="==1"), open_copy(path))["problem"]


def test_an_unusable_copy_is_read_once_for_all_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "all.zip", {"1.json": "[]", "2.json": "[]"})
    read = vulnerability_copy._Archive.read
    places: list[int] = []

    def counted(self: vulnerability_copy._Archive, place: int) -> bytes:
        places.append(place)
        return read(self, place)

    monkeypatch.setattr(vulnerability_copy._Archive, "read", counted)
    copy = VulnerabilityCopy(path)

    problems = [vulnerabilities_of(record(p="==1"), copy)["problem"] for _ in range(3)]

    assert problems == ["it has no entry about PyPI"] * 3
    assert places == [0, 1]


def unusable_copies(folder: Path) -> dict[str, Path]:
    """Return the path of each unusable copy, by the reason that the product states."""
    (folder / "text.zip").write_text("no archive", encoding="utf-8")
    (folder / "empty").mkdir()
    of_npm = {"id": "A", "affected": [{"package": {"ecosystem": "npm", "name": "p"}}]}
    other = {"1.json": of_npm, "2.json": "[", "a": ""}
    return {
        "No such file or directory": folder / "missing.zip",
        "File is not a zip file": folder / "text.zip",
        "it has no entry about PyPI": archive(folder / "npm.zip", other),
    }


def test_an_unusable_copy_is_a_problem_that_says_what_to_do(tmp_path: Path) -> None:
    for reason, path in unusable_copies(tmp_path).items():
        with pytest.raises(VulnerabilityCopyError, match=reason) as caught:
            _ = open_copy(path).date

        facts: dict[str, Json] = vulnerabilities_of(record(p="==1"), caught.value)
        assert facts == {"copy_given": True, "problem": caught.value.reason}
        assert "vulnerability_copy" in str(caught.value)


def test_an_entry_that_is_too_large_stops_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "verifywise_mlflow.compliance.environment_facts.vulnerability_copy"
    path = archive(tmp_path / "all.zip", {"1.json": advisory("A", "p"), "2.json": " " * 2_000})
    copy = VulnerabilityCopy(path)
    monkeypatch.setattr(f"{module}.MAX_ENTRY_BYTES", 1_000)

    facts = vulnerabilities_of(record(p="==1"), copy)

    assert "2.json has more than 1,000 bytes" in str(facts["problem"])
