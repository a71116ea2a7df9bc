"""The settings under ``redaction`` in tenants.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.redaction.settings import RedactionSettings
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants


def tenants_file(tmp_path: Path, redaction: str) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(f"tenants: {{acme: {{tracking_uri: 'http://x', redaction: {redaction}}}}}")
    return path


@pytest.mark.parametrize(
    ("settings_text", "field", "remedy"),
    [
        ("{tags: {deny: ['']}}", "redaction.tags.deny.0", "write a key, or a part of it with *"),
        ("{tags: {denied: [a]}}", "redaction.tags.denied", "there is no such field"),
        ("{personal_data: {redact: [mail]}}", "redaction.personal_data.redact.0", "write one of email, phone, iban"),
        ("{personal_data: {patterns: {id: '('}}}", "redaction.personal_data.patterns.id", "missing )"),
        (
            "{personal_data: {patterns: {id: '(a)\\1'}}}",
            "redaction.personal_data.patterns.id",
            "not a valid RE2",
        ),
        ("{personal_data: {patterns: {id: 'a*'}}}", "redaction.personal_data.patterns.id", "matches every text"),
        (
            "{personal_data: {patterns: {email: 'a'}}}",
            "redaction.personal_data.patterns",
            "is a built-in kind",
        ),
        ("{secrets: {redact: perhaps}}", "redaction.secrets.redact", "valid boolean"),
    ],
)
def test_an_invalid_setting_is_reported_with_its_field_and_the_remedy(
    tmp_path: Path, settings_text: str, field: str, remedy: str
) -> None:
    with pytest.raises(TenantsFileError) as error:
        load_tenants(tenants_file(tmp_path, settings_text))

    assert f"tenant 'acme', {field}" in str(error.value)
    assert remedy in str(error.value)


def test_by_default_secrets_are_redacted_and_personal_data_is_not(tmp_path: Path) -> None:
    settings = load_tenants(tenants_file(tmp_path, "{}"))["acme"].redaction

    assert settings.secrets.redact
    assert settings.personal_data.redact == ()
    assert settings.tags.allow is None


def test_the_digest_depends_on_the_settings_alone() -> None:
    equal_settings = RedactionSettings.model_validate({"tags": {"deny": ()}})

    assert RedactionSettings().digest() == equal_settings.digest()
    assert RedactionSettings().digest() != RedactionSettings.model_validate({"tags": {"deny": ("a",)}}).digest()
