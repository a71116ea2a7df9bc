"""The quality of a record: what could not be read of a version, and what was read but looks wrong."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.manifest_json import empty_evidence_files
from verifywise_mlflow.normalizer.origin_links import origin_findings
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.redaction_findings import redaction_findings


def incomplete_reasons(inputs: RecordInputs) -> Iterator[str]:
    """Yield what is missing because it could not be read. A version without a run is complete: that is a gap."""
    version, model, run, logged_model = inputs.version, inputs.model, inputs.run, inputs.logged_model
    if model is None:
        yield "the registered model was not read: its tags and aliases are unknown"
    if inputs.run_read_error:
        yield f"the training run could not be read: {inputs.run_read_error}"
    elif version.run_id and run is None:
        yield f"the training run {quote(version.run_id)} was not read"
    if inputs.logged_model_read_error:
        yield f"the logged model could not be read: {inputs.logged_model_read_error}"
    if inputs.manifest_read_error:
        yield inputs.manifest_read_error
    if inputs.manifest and inputs.manifest.status in {"partial", "unreachable"}:
        yield f"the artifact manifest is {inputs.manifest.status}: {inputs.manifest.reason or 'the reason is unknown'}"
    for name, problems in (
        ("model version", version.problems),
        ("registered model", model.problems if model else ()),
        ("training run", run.problems if run else ()),
        ("logged model", logged_model.problems if logged_model else ()),
    ):
        for problem in problems:
            yield f"{name}: {problem}"


def quality_findings(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield the findings about the objects themselves, apart from their tags."""
    version, model, run = inputs.version, inputs.model, inputs.run
    if run and run.lifecycle_stage == "deleted":
        yield Finding(
            "deleted run",
            None,
            f"the training run {quote(run.run_id)} is deleted in MLflow: the server may remove its data at any time",
        )
    if version.status not in (None, "READY"):
        message = f": {quote(version.status_message)}" if version.status_message else ""
        yield Finding("not ready", None, f"MLflow's status of this version is {quote(version.status)}{message}")
    if version.hidden_from_search or (model and model.hidden_from_search):
        yield Finding(
            "hidden from search", None, "a prompt tag hides this version or its model from MLflow's own search"
        )
    if inputs.incarnation > 1:
        yield Finding(
            "recreated",
            None,
            "another version had this name and number before, until its model was deleted or renamed: this one belongs "
            f"to incarnation {inputs.incarnation} of the name",
        )
    for recorded in reversed(inputs.changes_in_place):  # the newest stay if there are many; the manifest lists more
        yield Finding(
            "changed in place", None, f"{recorded.change.sentence} (seen {recorded.seen_at:%Y-%m-%d %H:%M} UTC)"
        )
    for alias in inputs.dangling_aliases:
        number = model.aliases[alias] if model else 0
        yield Finding(
            "dangling alias",
            None,
            f"the model's alias {quote(alias)} points to version {number}, which does not exist",
        )
    for file in empty_evidence_files(inputs.manifest) if inputs.manifest else ():
        yield Finding(
            "empty file",
            "evidence_files",
            f"the {file.kind.value} {quote(file.path)} is empty, or its size is unknown, and counts as no evidence",
        )
    yield from origin_findings(inputs)
    yield from redaction_findings(inputs)
