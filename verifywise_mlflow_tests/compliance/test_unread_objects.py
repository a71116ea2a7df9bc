"""An object that could not be read opens exactly one gap, the gap of the rule ``complete-record``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.artifacts.file_classifier import classify_file
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest
from verifywise_mlflow.compliance.badge import Badge, version_badge
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.connector.models import LoggedModel
from verifywise_mlflow.normalizer.field_spec import FilledFrom
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.unread_fields import COPIED_FROM, fields_resting_on
from verifywise_mlflow.normalizer.unread_object import OBJECT_KINDS, ObjectKind
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, results_on, version_inputs


def evidenced_version(place: str = "version") -> RecordInputs:
    """Return a production version. It has no gap if the policy accepts an approval in this place.

    Args:
        place: the object that has the tags: version, model, run or logged model.
    """
    tags = {
        key.removeprefix("version tag "): str(text) for key, text in EVIDENCE.items() if key.startswith("version tag")
    }
    inputs = version_inputs({key: value for key, value in EVIDENCE.items() if not key.startswith("version tag")})
    assert inputs.model
    assert inputs.run
    assert inputs.manifest
    assert inputs.manifest.environment
    environment = replace(inputs.manifest.environment, signature=("inputs", "outputs"))
    model_file = ArtifactFile("model", "model.txt", 900, "cd" * 32, classify_file("model.txt", "model"))
    tags_of = {name: tags if name == place else {} for name in ("version", "model", "run", "logged model")}
    ended_at = datetime(2026, 2, 1, tzinfo=UTC)
    return replace(
        inputs,
        version=replace(inputs.version, tags=tags_of["version"], source="models:/m-1"),
        model=replace(inputs.model, tags=tags_of["model"]),
        run=replace(
            inputs.run,
            experiment_id="7",
            ended_at=ended_at,
            tags={**inputs.run.tags, **tags_of["run"]},
        ),
        experiment_name="credit",
        logged_model=LoggedModel("m-1", experiment_id="7", source_run_id="r1", tags=tags_of["logged model"]),
        manifest=replace(inputs.manifest, files=(model_file, *inputs.manifest.files), environment=environment),
    )


def unreadable(inputs: RecordInputs, case: str) -> RecordInputs:
    """Return the inputs with an object that a sync could not read."""
    run, model, manifest = inputs.run, inputs.model, inputs.manifest
    assert run
    assert model
    assert manifest
    forbidden = "the server responded with 403"
    left_out = ("tags could not be used: 3",)
    return {
        "run forbidden": replace(inputs, run=None, run_read_error=forbidden, experiment_name=None),
        "run gone, known from before": replace(inputs, run_read_error="run 'r1' does not exist on the server"),
        "run not requested": replace(inputs, run=None, experiment_name=None),
        "run in part": replace(inputs, run=replace(run, tags={}, problems=left_out)),
        "model": replace(inputs, model=None),
        "model in part": replace(inputs, model=replace(model, tags={}, problems=left_out)),
        "logged model": replace(inputs, logged_model=None, logged_model_read_error=forbidden),
        "experiment": replace(inputs, experiment_name=None),
        "files unreachable": replace(
            inputs, manifest=ArtifactManifest(manifest.location, "unreachable", forbidden, (), None, None)
        ),
        "files in part": replace(
            inputs, manifest=replace(manifest, status="partial", reason="a folder timed out", files=(), digest=None)
        ),
        "files never read": replace(inputs, manifest=None, manifest_read_error="no file was read yet"),
        "version in part": replace(inputs, version=replace(inputs.version, tags={}, problems=left_out)),
    }[case]


def verdicts_on(inputs: RecordInputs) -> Mapping[str, RuleResult]:
    return results_on(inputs, EVIDENCE)


def gaps(results: Mapping[str, RuleResult]) -> set[str]:
    return {rule_id for rule_id, result in results.items() if result.verdict in OPEN_VERDICTS}


CASES = [
    ("run forbidden", "run"),
    ("run gone, known from before", "run"),
    ("run not requested", "run"),
    ("run in part", "run"),
    ("model", "model"),
    ("model in part", "model"),
    ("logged model", "logged model"),
    ("experiment", "version"),
    ("files unreachable", "version"),
    ("files in part", "version"),
    ("files never read", "version"),
    ("version in part", "version"),
]


def test_the_version_has_no_gap_while_every_object_is_read() -> None:
    results = verdicts_on(evidenced_version())

    assert gaps(results) == set()
    assert version_badge(results.values(), complete=True) is Badge.EVIDENCE_COMPLETE


@pytest.mark.parametrize("case", [case for case, _ in CASES])
def test_an_unread_object_opens_exactly_one_gap(case: str) -> None:
    results = verdicts_on(unreadable(evidenced_version(), case))

    assert gaps(results) == {"complete-record"}
    assert version_badge(results.values(), complete=False) is Badge.INCOMPLETE


@pytest.mark.parametrize(("case", "place"), CASES)
def test_evidence_that_only_an_unread_object_has_opens_no_other_gap(case: str, place: str) -> None:
    inputs = evidenced_version(place)
    before = gaps(verdicts_on(inputs))  # an approval counts only if it is on the version

    assert gaps(verdicts_on(unreadable(inputs, case))) - {"complete-record"} <= before


def test_what_could_be_read_still_fails_and_still_lacks_evidence() -> None:
    inputs = evidenced_version()
    tags = {**inputs.version.tags, "approved_by": "rejected by Ada", "security_assessment": "none"}
    inputs = replace(inputs, version=replace(inputs.version, tags=tags))

    results = verdicts_on(unreadable(inputs, "files unreachable"))

    assert gaps(results) >= {"complete-record", "production-approver", "production-security-assessment"}
    assert version_badge(results.values(), complete=False) is Badge.FAILING


def test_a_rule_is_not_inapplicable_by_a_value_that_could_not_be_read() -> None:
    unread_stage = replace(unreadable(evidenced_version("model"), "model"))
    unread_stage = replace(unread_stage, version=replace(unread_stage.version, stage=None))
    verdicts = {rule_id: result.verdict for rule_id, result in verdicts_on(unread_stage).items()}

    # The alias, which the model has, may put the version into production, and its tags may name a data set.
    assert (verdicts["production-deployment-status"], verdicts["consistent-risk-tags"]) == (Verdict.NOT_READ,) * 2


def test_a_list_that_may_lack_an_entry_makes_no_rule_inapplicable() -> None:
    inputs = evidenced_version()  # it has no signature, so the rule on signatures does not apply

    before = verdicts_on(inputs)["model-signature"].verdict
    in_part = verdicts_on(unreadable(inputs, "files in part"))["model-signature"].verdict

    assert (before, in_part) == (Verdict.NOT_APPLICABLE, Verdict.NOT_READ)


def test_a_nearer_tag_that_denies_an_approval_needs_no_other_object() -> None:
    inputs = evidenced_version()
    refused = replace(inputs, version=replace(inputs.version, tags={**inputs.version.tags, "approved_by": "pending"}))
    verdicts = {
        rule_id: result.verdict for rule_id, result in verdicts_on(unreadable(refused, "run forbidden")).items()
    }

    assert verdicts["production-approver"] is Verdict.NOT_EVIDENCED


def test_each_field_that_no_source_fills_names_the_objects_that_it_is_copied_from() -> None:
    copied = {name for name, spec in FIELD_SPECS.items() if spec.filled_from is FilledFrom.OBJECTS}

    assert copied <= COPIED_FROM.keys()


@pytest.mark.parametrize(
    ("kind", "field", "rests"),
    [
        ("files", "artifact_manifest", True),
        ("files", "owner", False),
        ("run", "metrics", True),
        ("run", "owner", True),
        ("run", "experiment_name", True),  # the run names its experiment
        ("run", "description", False),
        ("model", "lifecycle_stage", True),  # the model has the aliases
        ("model", "description", True),
        ("experiment", "experiment_name", True),
        ("logged model", "code_commit", True),
    ],
)
def test_a_field_rests_on_the_objects_of_its_value_sources(kind: ObjectKind, field: str, rests: bool) -> None:
    assert (field in fields_resting_on(kind, mapping_index(default_mapping()))) is rests


@pytest.mark.parametrize(("case", "is_unknown"), [("run forbidden", False), ("model", True), ("version in part", True)])
def test_no_stage_is_a_value_unless_the_version_or_its_aliases_could_not_be_read(case: str, is_unknown: bool) -> None:
    inputs = evidenced_version()
    inputs = unreadable(replace(inputs, version=replace(inputs.version, stage=None)), case)

    verdict = verdicts_on(inputs)["production-deployment-status"].verdict

    assert verdict is (Verdict.NOT_READ if is_unknown else Verdict.NOT_APPLICABLE)


@pytest.mark.parametrize("kind", OBJECT_KINDS)
def test_each_kind_of_object_fills_a_field(kind: ObjectKind) -> None:
    assert fields_resting_on(kind, mapping_index(default_mapping()))
