"""The quality of a record: the objects of a version that could not be read, and the values that look wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.normalizer.dataset_reference import shared_data_findings
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.manifest_json import empty_evidence_files
from verifywise_mlflow.normalizer.origin_links import origin_findings
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.redaction_findings import redaction_findings
from verifywise_mlflow.normalizer.unread_object import ObjectKind

_GIT_DIRTY: Final = ("mlflow.source.git.dirty", "git_dirty")
"""The tags that say whether the working copy had uncommitted changes. MLflow 3 sets the first tag if its versioning by
git is on, and pipelines set the second one."""
_GIT_DIFF: Final = "mlflow.source.git.diff"
_AFFIRMATIVE: Final = frozenset({"true", "yes", "1"})


def incomplete_reasons(inputs: RecordInputs) -> Iterator[tuple[ObjectKind, str]]:
    """Yield each object that could not be read: its kind, and a sentence on what is missing because of it.

    A version without a run is complete. The missing run is a gap.
    """
    version, model, run, logged_model = inputs.version, inputs.model, inputs.run, inputs.logged_model
    if model is None:
        yield "model", "the registered model was not read: its tags and aliases are unknown"
    if inputs.run_read_error:
        yield "run", f"the training run could not be read: {inputs.run_read_error}"
    elif version.run_id and run is None:
        yield "run", f"the training run {quote(version.run_id)} was not read"
    if inputs.experiment_name is None and (experiment_id := _experiment_id(inputs)):
        yield "experiment", f"the experiment {quote(experiment_id)} could not be read: its name is unknown"
    if inputs.logged_model_read_error:
        yield "logged model", f"the logged model could not be read: {inputs.logged_model_read_error}"
    if inputs.evaluation_read_error:
        yield (
            "assessments",
            f"the assessments of the logged model's traces could not be read: {inputs.evaluation_read_error}",
        )
    if inputs.manifest_read_error:
        yield "files", inputs.manifest_read_error
    if inputs.manifest and inputs.manifest.status in {"partial", "unreachable"}:
        reason = inputs.manifest.reason or "the reason is unknown"
        yield "files", f"the artifact manifest is {inputs.manifest.status}: {reason}"
    objects: tuple[tuple[ObjectKind, str, Sequence[str]], ...] = (
        ("version", "model version", version.problems),
        ("model", "registered model", model.problems if model else ()),
        ("run", "training run", run.problems if run else ()),
        ("logged model", "logged model", logged_model.problems if logged_model else ()),
    )
    for kind, name, problems in objects:
        for problem in problems:
            yield kind, f"{name}: {problem}"


def _experiment_id(inputs: RecordInputs) -> str | None:
    """Return the ID of the experiment that the run names; if there is none, the ID that the logged model names."""
    named = (found.experiment_id for found in (inputs.run, inputs.logged_model) if found)
    return next((experiment_id for experiment_id in named if experiment_id is not None), None)


def quality_findings(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield the findings about the objects themselves, apart from their tags."""
    version, model, run = inputs.version, inputs.model, inputs.run
    if run and run.lifecycle_stage == "deleted":
        yield Finding(
            "deleted run",
            None,
            f"the training run {quote(run.run_id)} is deleted in MLflow: the server may remove its data at any time",
        )
    yield from _modified_code(inputs)
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
    for recorded in reversed(inputs.changes_in_place):  # newest first, since only the first findings are kept
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
    yield from shared_data_findings(run.datasets if run else ())
    yield from origin_findings(inputs)
    yield from redaction_findings(inputs)


def _modified_code(inputs: RecordInputs) -> Iterator[Finding]:
    """Yield a finding for each object whose tags say that the code which ran differs from its commit.

    A commit that a tag of the version states does not hide the mark of its run: no tag commits changes afterwards.
    """
    objects: tuple[tuple[str, Mapping[str, str]], ...] = (
        ("version", inputs.version.tags),
        ("run", inputs.run.tags if inputs.run else {}),
        ("logged model", inputs.logged_model.tags if inputs.logged_model else {}),
    )
    for kind, tags in objects:
        marks = (key for key in _GIT_DIRTY if tags.get(key, "").strip().casefold() in _AFFIRMATIVE)
        key = next(marks, _GIT_DIFF if tags.get(_GIT_DIFF, "").strip() else None)
        if key is not None:
            sentence = f"the tag {quote(key)} of the {kind} shows changes of the code that are not in the commit"
            yield Finding("modified code", "code_commit", sentence)
