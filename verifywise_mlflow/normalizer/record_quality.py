"""What could not be read of a version, and what was read but looks wrong."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.normalizer.findings import Finding, quoted
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.redactions import redacted

CHANGES_TOLD = 10
"""Of the files that changed in place, the newest; the record's manifest lists more."""


def unread(inputs: RecordInputs) -> Iterator[str]:
    """Yield what is missing because it could not be read. A version without a run misses nothing: that is a gap."""
    version, model, run, logged = inputs.version, inputs.model, inputs.run, inputs.logged_model
    if model is None:
        yield "the registered model was not read: its tags and aliases are unknown"
    if inputs.run_problem:
        yield f"the training run could not be read: {inputs.run_problem}"
    elif version.run_id and run is None:
        yield f"the training run {quoted(version.run_id)} was not read"
    if inputs.logged_model_problem:
        yield f"the logged model could not be read: {inputs.logged_model_problem}"
    if inputs.manifest_problem:
        yield inputs.manifest_problem
    if inputs.manifest and inputs.manifest.status in {"partial", "unreachable"}:
        yield f"the artifact manifest is {inputs.manifest.status}: {inputs.manifest.reason or 'no reason is known'}"
    for name, problems in (
        ("model version", version.problems),
        ("registered model", model.problems if model else ()),
        ("training run", run.problems if run else ()),
        ("logged model", logged.problems if logged else ()),
    ):
        for problem in problems:
            yield f"{name}: {problem}"


def oddities(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield what is strange about the objects themselves, apart from their tags."""
    version, model, run = inputs.version, inputs.model, inputs.run
    if run and run.lifecycle_stage == "deleted":
        yield Finding(
            "deleted run",
            None,
            f"the training run {quoted(run.run_id)} is deleted in MLflow: the server may remove its data at any time",
        )
    if version.status not in (None, "READY"):
        message = f": {quoted(version.status_message)}" if version.status_message else ""
        yield Finding("not ready", None, f"MLflow's status of this version is {quoted(version.status)}{message}")
    if version.hidden_from_search or (model and model.hidden_from_search):
        yield Finding(
            "hidden from search", None, "a prompt tag hides this version or its model from MLflow's own search"
        )
    if inputs.incarnation > 1:
        yield Finding(
            "recreated",
            None,
            f"the model was deleted and created anew: this version is of incarnation {inputs.incarnation} of the name",
        )
    for seen in inputs.changes_in_place[-CHANGES_TOLD:]:
        yield Finding("changed in place", None, f"{seen.change.sentence} (seen {seen.seen_at:%Y-%m-%d %H:%M} UTC)")
    if len(inputs.changes_in_place) > CHANGES_TOLD:
        yield Finding(
            "changed in place",
            None,
            f"{len(inputs.changes_in_place) - CHANGES_TOLD} more files changed in place before",
        )
    for alias in inputs.dangling_aliases:
        number = model.aliases[alias] if model else 0
        yield Finding(
            "dangling alias",
            None,
            f"the model's alias {quoted(alias)} points to version {number}, which does not exist",
        )
    yield from redacted(inputs)
