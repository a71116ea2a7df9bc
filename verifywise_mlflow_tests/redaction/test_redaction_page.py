"""The page on redaction matches the settings."""

from __future__ import annotations

import re
from pathlib import Path

from verifywise_mlflow.redaction.personal_data import PERSONAL_DATA_KINDS
from verifywise_mlflow.redaction.settings import KeyFilter, PersonalDataSettings, RedactionSettings, SecretSettings
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page

PAGE = read_page("reference/redaction.md")


def test_the_example_loads_and_the_table_has_every_setting(tmp_path: Path) -> None:
    (example,) = code_blocks(PAGE, "yaml")
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    settings = load_tenants(path)["acme"].redaction

    assert settings.personal_data.redact == PERSONAL_DATA_KINDS
    named = {name_part for quoted_name in re.findall(r"`([\w.]+)`", PAGE) for name_part in quoted_name.split(".")}
    fields = {
        *RedactionSettings.model_fields,
        *KeyFilter.model_fields,
        *SecretSettings.model_fields,
        *PersonalDataSettings.model_fields,
    }
    assert fields | set(PERSONAL_DATA_KINDS) <= named
