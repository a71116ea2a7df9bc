"""Findings about redacted secrets and personal data: the owner of a leaked secret must replace the secret."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import Redaction
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_RECORD_FIELDS = {
    "description": "description",
    "param": "hyperparameters",
    "metric": "metrics",
    "source": "source_artifact_uri",
    "artifact_uri": "artifact_uri",
    "dataset_name": "dataset_reference",
    "dataset_digest": "dataset_reference",
    "dataset_source": "dataset_reference",
    "dataset_source_type": "dataset_reference",
    "dataset_context": "dataset_reference",
}
"""Place of a redaction to the field of the record that holds the placeholder."""


def redaction_findings(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield a finding for each redacted secret or piece of personal data. Values of denied keys are not findings."""
    redactions = [
        (object_name, redaction)
        for object_name, of_object in (
            ("version", inputs.version.redactions),
            ("registered model", inputs.model.redactions if inputs.model else ()),
            ("run", inputs.run.redactions if inputs.run else ()),
            ("logged model", inputs.logged_model.redactions if inputs.logged_model else ()),
        )
        for redaction in of_object
    ]
    secrets = [item for item in redactions if item[1].what == "secret"]
    personal = [item for item in redactions if item[1].what == "personal data"]
    for object_name, redaction in secrets:
        yield Finding(
            "secret redacted",
            _RECORD_FIELDS.get(redaction.place),
            f"{_place(object_name, redaction)} contained a secret ({redaction.kind}), which was redacted: "
            "replace it, and delete it from MLflow, which still shows it",
        )
    for object_name, redaction in personal:
        yield Finding(
            "personal data redacted",
            _RECORD_FIELDS.get(redaction.place),
            f"{_place(object_name, redaction)} contained personal data ({redaction.kind}), which was redacted",
        )


def _place(object_name: str, redaction: Redaction) -> str:
    place = redaction.place.replace("_", " ")
    return f"the {object_name}'s {place}" + (f" {quote(redaction.key)}" if redaction.key is not None else "")
