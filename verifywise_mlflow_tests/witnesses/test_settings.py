"""The file of witnesses: invalid settings are refused, and no message quotes a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.common.settings_file import InvalidSettingsFileError
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.witnesses.installation_check import check_witnesses
from verifywise_mlflow.witnesses.settings import load_witnesses

SECRET = "tr0ub4dor-and-3"
FOLDER = "{kind: folder, name: share, directory: /mnt/audit}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("witnesses: []", "at least 1 item"),
        (f"witnesses: [{FOLDER}, {FOLDER}]", "two witnesses have the name share"),
        ("witnesses: [{kind: folder, name: share, directory: audit}]", "the path is relative"),
        (f"witnesses: [{{kind: webhook, name: auditor, url: 'https://a.example/{SECRET}'}}]", "write a reference"),
        (
            f"witnesses: [{{kind: timestamp, name: tsa, url: 'http://a:{SECRET}@tsa.example', roots: /a}}]",
            "credentials",
        ),
        (
            "witnesses: [{kind: bucket, name: b, uri: 's3://bucket', access_key_id: env:A, secret_access_key: env:B}]",
            "retention_days: this field is required",
        ),
        ("witnesses: [{kind: folder, name: share, directory: /a, interval_minutes: 1}]", "interval_minutes"),
        ("witnesses: [{kind: folder, name: '../a', directory: /a}]", "name"),
        ("witnesses: [{kind: fax, name: a}]", "does not match any of the expected tags"),
        (f"witnesses: '{SECRET}", "is not YAML, line"),
    ],
)
def test_an_invalid_file_is_reported_without_its_values(
    content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "witnesses.yaml"
    path.write_text(content)
    monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(path))

    with pytest.raises(InvalidSettingsFileError, match=sentence) as raised:
        load_witnesses()

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("witness", "outcome", "detail"),
    [
        (FOLDER, "ok", "1 configured"),
        ("{kind: fax, name: a}", "problem", "does not match any of the expected tags"),
        ("{kind: webhook, name: auditor, url: env:UNSET}", "problem", "variable UNSET"),
    ],
)
def test_doctor_reports_what_would_keep_checkpoints_from_being_sent(
    witness: str, outcome: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "witnesses.yaml").write_text(f"witnesses: [{witness}]")
    monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(tmp_path / "witnesses.yaml"))

    finding = check_witnesses()

    assert (finding.outcome, detail in finding.detail) == (outcome, True)


def test_doctor_warns_if_checkpoints_are_signed_and_nobody_else_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_witnesses().outcome == "skipped"
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, "env:KEY")
    assert check_witnesses().outcome == "warning"
