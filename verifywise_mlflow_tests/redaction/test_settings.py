"""What a tenant may write under ``minimisation``."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.redaction.settings import Minimisation
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants


def described(tmp_path: Path, minimisation: str) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(f"tenants: {{acme: {{tracking_uri: 'http://x', minimisation: {minimisation}}}}}")
    return path


@pytest.mark.parametrize(
    ("written", "field", "mend"),
    [
        ("{tags: {deny: ['']}}", "minimisation.tags.deny.0", "write a key, or a part of it with *"),
        ("{tags: {denied: [a]}}", "minimisation.tags.denied", "there is no such field"),
        ("{personal_data: {redact: [mail]}}", "minimisation.personal_data.redact.0", "there are email, phone, iban"),
        ("{personal_data: {patterns: {id: '('}}}", "minimisation.personal_data.patterns.id", "missing )"),
        ("{personal_data: {patterns: {id: '(a)\\1'}}}", "minimisation.personal_data.patterns.id", "no pattern as RE2"),
        ("{personal_data: {patterns: {id: 'a*'}}}", "minimisation.personal_data.patterns.id", "found in every text"),
        (
            "{personal_data: {patterns: {email: 'a'}}}",
            "minimisation.personal_data.patterns",
            "a kind that there is already",
        ),
        ("{secrets: {redact: perhaps}}", "minimisation.secrets.redact", "valid boolean"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_field_and_the_mend(
    tmp_path: Path, written: str, field: str, mend: str
) -> None:
    with pytest.raises(TenantsFileError) as error:
        load_tenants(described(tmp_path, written))

    assert f"tenant 'acme', {field}" in str(error.value)
    assert mend in str(error.value)


def test_a_tenant_that_says_nothing_has_secrets_redacted_and_no_personal_data(tmp_path: Path) -> None:
    settings = load_tenants(described(tmp_path, "{}"))["acme"].minimisation

    assert settings.secrets.redact
    assert settings.personal_data.redact == ()
    assert settings.tags.allow is None


def test_settings_that_say_the_same_have_one_digest_and_others_another() -> None:
    same = Minimisation.model_validate({"tags": {"deny": ()}})

    assert Minimisation().digest() == same.digest()
    assert Minimisation().digest() != Minimisation.model_validate({"tags": {"deny": ("a",)}}).digest()
