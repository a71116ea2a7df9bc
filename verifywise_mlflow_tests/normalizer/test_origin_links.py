"""The origins of a record state how linked objects belong to a version, and which links are uncertain."""

from __future__ import annotations

import pytest

from verifywise_mlflow.artifacts.version_origin import VersionOrigin
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.normalizer.origin_links import MODEL_VERSIONS_TAG, OriginLinks, origin_findings
from verifywise_mlflow.normalizer.record_inputs import LoggedModelLink, RecordInputs

MODEL_ID = "m-1"
COPY = VersionOrigin("models:/m-1", "r1", (("churn", 2),))
CHAIN = "copied from 'churn' version 2"
LOCATION = "the source is the artifact location of logged model m-1"
LOGGED = LoggedModel(MODEL_ID, experiment_id="7", source_run_id="r1")
RUN = TrainingRun("r1", experiment_id="7")


@pytest.mark.parametrize(
    ("run_id", "origin", "link", "expected"),
    [
        ("r1", VersionOrigin("models:/m-1", "r1"), "id", (None, None, None)),
        (None, VersionOrigin("models:/m-1"), "id", (None, None, None)),
        (None, VersionOrigin("s3://b/models/m-1/artifacts"), "location", (LOCATION, LOCATION, None)),
        ("r1", VersionOrigin("s3://b/models/m-1/artifacts", "r1"), "location", (None, LOCATION, None)),
        (None, VersionOrigin("runs:/r1/model", "r1"), None, ("the source names the run", None, None)),
        ("r1", COPY, "id", (None, CHAIN, CHAIN)),
        (None, COPY, "id", (CHAIN, CHAIN, CHAIN)),
        (None, COPY, "location", (CHAIN, f"{CHAIN}; {LOCATION}", CHAIN)),
    ],
)
def test_a_link_is_stated_for_each_object_that_the_version_does_not_name(
    run_id: str | None,
    origin: VersionOrigin,
    link: LoggedModelLink | None,
    expected: tuple[str | None, str | None, str | None],
) -> None:
    version = ModelVersion("prod", 1, run_id=run_id)
    inputs = RecordInputs(version, run=RUN, origin=origin, logged_model=LOGGED, logged_model_link=link)

    links = OriginLinks.of(inputs)

    assert (links.run, links.logged_model, links.files) == expected
    assert links.experiment == links.run, "the experiment is the run's"


def test_the_experiment_of_a_run_that_was_not_read_is_that_of_the_logged_model() -> None:
    inputs = RecordInputs(ModelVersion("prod", 1, run_id="r1"), origin=COPY, logged_model=LOGGED)

    assert OriginLinks.of(inputs).experiment == CHAIN


@pytest.mark.parametrize(
    ("tag", "is_uncertain"),
    [
        (None, False),
        ('[{"name": "prod", "version": 1}]', False),
        ('[{"name": "fraud", "version": 1}, {"name": "prod", "version": "1"}]', False),
        ('[{"name": "churn", "version": 2}]', False),  # the original of the copy
        ('[{"name": "prod", "version": 2}]', True),
        ("[]", True),
        ("no JSON", True),
        ('{"name": "prod"}', True),
        ('[1, null, {"name": 1, "version": 1}, {"name": "prod"}]', True),
        ('[{"name": "prod", "version": 1e400}]', True),
        ('[{"name": "prod", "version": "' + "1" * 5000 + '"}]', True),
        ("[" * 100_000, True),
    ],
)
def test_a_tag_that_does_not_name_the_version_makes_a_link_by_location_uncertain(
    tag: str | None, is_uncertain: bool
) -> None:
    logged = LoggedModel(MODEL_ID, tags={} if tag is None else {MODEL_VERSIONS_TAG: tag})
    version = ModelVersion("prod", 1)

    def findings(link: LoggedModelLink) -> list[str]:
        inputs = RecordInputs(version, origin=COPY, logged_model=logged, logged_model_link=link)
        return [finding.kind for finding in origin_findings(inputs)]

    assert findings("location") == (["uncertain origin"] if is_uncertain else [])
    assert findings("id") == [], "MLflow itself names the logged model"


@pytest.mark.parametrize(("problem", "link"), [("'models:/x/1' is not in the registry", None), (None, "ambiguous")])
def test_an_unknown_original_and_an_ambiguous_location_are_findings(
    problem: str | None, link: LoggedModelLink | None
) -> None:
    origin = VersionOrigin("s3://b", problem=problem)
    inputs = RecordInputs(ModelVersion("prod", 1), origin=origin, logged_model_link=link)

    (finding,) = origin_findings(inputs)

    assert (finding.kind, finding.field) == ("uncertain origin", None)
