"""The locations of copies whose original is unknown: how many are requested, and which statements count."""

from __future__ import annotations

from verifywise_mlflow.artifacts.version_origin import VersionOrigin
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.http.errors import NotFoundError, UnreachableError
from verifywise_mlflow.pipeline.copy_origins import MAX_LOCATION_READS, TracedCopies, locate_copies


def traced(count: int) -> TracedCopies:
    copies = [ModelVersion("churn", number, source="models:/gone/1") for number in range(count)]
    unknown = VersionOrigin("models:/gone/1", problem="it is not in the registry")
    return TracedCopies({("churn", copy.version_number): unknown for copy in copies}, frozenset(), copies)


def test_a_sync_requests_a_limited_number_of_locations() -> None:
    requested: list[int] = []

    def read_location(_name: str, number: int) -> str:
        requested.append(number)
        return f"s3://b/{number}"

    located = locate_copies(traced(MAX_LOCATION_READS + 1), read_location, ahead=1)

    assert len(requested) == len(located.outdated) == MAX_LOCATION_READS
    assert located.origins["churn", 0].files_source == "s3://b/0"
    assert located.origins["churn", MAX_LOCATION_READS].files_source is None


def test_a_name_is_no_location() -> None:
    statements = {0: None, 1: "models:/gone/1", 2: "models:/m-" + 32 * "a"}

    located = locate_copies(traced(3), lambda _name, number: statements[number], ahead=2)

    assert located.outdated == {("churn", 2)}
    assert located.origins["churn", 2].logged_model_id == "m-" + 32 * "a"


def test_a_refusal_concerns_one_copy_and_an_outage_ends_the_requests() -> None:
    requested: list[int] = []

    def read_location(_name: str, number: int) -> str | None:
        requested.append(number)
        raise NotFoundError("gone") if number == 0 else UnreachableError("down")

    located = locate_copies(traced(9), read_location, ahead=1)

    assert (requested, located.outdated) == ([0, 1, 2], set()), "one is requested ahead"
