"""What was taken out of a version's objects before they were stored: a leaked secret is for its owner to replace."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.connector.models import Redaction
from verifywise_mlflow.normalizer.findings import Finding, quoted
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

TOLD = 20
"""Of each kind; a run that logs its whole environment may hold hundreds."""

_FIELDS = {
    "description": "description",
    "param": "hyperparameters",
    "metric": "metrics",
    "source": "source_artifact_uri",
    "artifact_uri": "artifact_uri",
    "dataset_name": "dataset_reference",
    "dataset_source": "dataset_reference",
    "dataset_source_type": "dataset_reference",
    "dataset_context": "dataset_reference",
}
"""Where in the record the mark stands, by the place that it was taken out of."""


def redacted(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield a finding for each secret and each piece of personal data. Keys that a tenant denies are none."""
    found = [
        (whose, redaction)
        for whose, redactions in (
            ("version", inputs.version.redactions),
            ("registered model", inputs.model.redactions if inputs.model else ()),
            ("run", inputs.run.redactions if inputs.run else ()),
            ("logged model", inputs.logged_model.redactions if inputs.logged_model else ()),
        )
        for redaction in redactions
    ]
    secrets = [item for item in found if item[1].what == "secret"]
    personal = [item for item in found if item[1].what == "personal data"]
    for whose, redaction in secrets[:TOLD]:
        told = f"{_place(whose, redaction)} held a secret ({redaction.kind}), which is not kept"
        yield Finding(
            "secret redacted",
            _FIELDS.get(redaction.place),
            f"{told}: replace it, and take it out of MLflow, where it is",
        )
    for whose, redaction in personal[:TOLD]:
        told = f"{_place(whose, redaction)} held personal data ({redaction.kind}), which is not kept"
        yield Finding("personal data redacted", _FIELDS.get(redaction.place), told)
    if len(secrets) > TOLD:
        yield Finding("secret redacted", None, f"{len(secrets) - TOLD} more secrets were not kept")
    if len(personal) > TOLD:
        yield Finding(
            "personal data redacted", None, f"{len(personal) - TOLD} more pieces of personal data were not kept"
        )


def _place(whose: str, redaction: Redaction) -> str:
    place = redaction.place.replace("_", " ")
    return f"the {whose}'s {place}" + (f" {quoted(redaction.key)}" if redaction.key is not None else "")
