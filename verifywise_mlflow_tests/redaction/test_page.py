"""What docs/minimisation.md says is true."""

from __future__ import annotations

import re
from pathlib import Path

from verifywise_mlflow.redaction.personal_data import KINDS
from verifywise_mlflow.redaction.settings import Keys, Minimisation, PersonalData, Secrets
from verifywise_mlflow.tenants.loading import load_tenants

PAGE = (Path(__file__).parents[2] / "docs" / "minimisation.md").read_text(encoding="utf-8")


def test_its_example_is_one_and_its_table_has_every_setting(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "tenants.yaml"
    path.write_text(example)

    settings = load_tenants(path)["acme"].minimisation

    assert settings.personal_data.redact == KINDS
    named = {word for written in re.findall(r"`([\w.]+)`", PAGE) for word in written.split(".")}
    fields = {*Minimisation.model_fields, *Keys.model_fields, *Secrets.model_fields, *PersonalData.model_fields}
    assert fields | set(KINDS) <= named
