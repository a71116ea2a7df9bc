"""The page on redaction matches the settings."""

from __future__ import annotations

import re
from pathlib import Path

from verifywise_mlflow.redaction.exempt_fields import EXEMPT_FIELDS
from verifywise_mlflow.redaction.personal_data import PERSONAL_DATA_KINDS
from verifywise_mlflow.redaction.settings import KeyFilter, PersonalDataSettings, RedactionSettings, SecretSettings
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.redaction.accuracy import PAGE as PAGE_FILE
from verifywise_mlflow_tests.redaction.accuracy import accuracy_table, page_with
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


def test_the_published_accuracy_is_what_the_tables_give() -> None:
    assert page_with(accuracy_table()) == PAGE_FILE.read_text(encoding="utf-8"), (
        "run python -m verifywise_mlflow_tests.redaction.accuracy"
    )


def test_the_page_lists_the_exempt_fields_with_their_reasons() -> None:
    listed = dict(re.findall(r"^\| `([A-Z]\w+\.\w+)` \| (.+) \|$", PAGE, re.MULTILINE))

    assert listed == dict(EXEMPT_FIELDS)
