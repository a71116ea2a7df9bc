"""Finds models and versions that are hidden by the prompt tag. Pure: takes listings, yields versions to request.

MLflow stores prompts in the registry's tables, and its searches omit everything with the prompt tag. So anyone who may
set a tag can hide a model. The tag on a model hides the model. The tag on one version hides all versions of the model,
even after the tagged version is deleted. A model and its versions can be hidden at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.text_intake import TextIntake

PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})
"""The sources that MLflow writes for versions of prompts: MLflow's client writes one source, its store the other."""

MAX_LATEST_VERSIONS = 20
"""The maximum number of versions in a row of the model search. MLflow includes the newest version of each of its four
stages."""

MAX_GAP_PROBES = 50
"""The maximum number of requests for version numbers that are missing among prompts. All versions of a prompt have the
tag, so a version with a missing number was deleted or does not belong to a prompt."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A row of the model search, with the newest version of each stage that MLflow includes."""

    model: RegisteredModel
    latest_versions: tuple[ModelVersion, ...]

    @property
    def is_prompt(self) -> bool:
        """Whether the row looks like a prompt. So does a model without versions: it has nothing to govern."""
        return all(version.source in PROMPT_SOURCES for version in self.latest_versions)

    @property
    def newest_version_number(self) -> int:
        """The highest version number in the row; 0 if the row has no version."""
        return max((version.version_number for version in self.latest_versions), default=0)


def parse_listed_model(value: object, intake: TextIntake | None = None) -> ListedModel:
    """Parse a row of ``registered-models/search`` with its ``latest_versions``."""
    listed = Row(value).fields.get("latest_versions")
    latest, _ = parsing.parse_rows(
        listed[:MAX_LATEST_VERSIONS] if isinstance(listed, list) else listed,
        lambda row: parsing.model_version(row, intake),
        "latest_versions",
    )
    return ListedModel(parsing.registered_model(value, intake), tuple(latest))


def without_contents(listed: ListedModel) -> ListedModel:
    """Return the model with only the data that reveal hidden versions. These are small enough to keep during a sync."""
    return ListedModel(
        RegisteredModel(listed.model.name),
        tuple(
            ModelVersion(version.model_name, version.version_number, source=version.source)
            for version in listed.latest_versions
        ),
    )


def has_model_without_listed_versions(models: Iterable[ListedModel], names_with_listed: Set[str]) -> bool:
    """Return whether any model has versions, but no listed version."""
    return any(row.latest_versions and row.model.name not in names_with_listed for row in models)


def unlisted_versions(
    models: Sequence[ListedModel],
    prompts: Sequence[ListedModel],
    names_with_listed: Set[str],
    tagged: Iterable[tuple[str, int]],
) -> Iterator[tuple[str, int]]:
    """Yield the versions that may exist although no search lists them, as (model name, number).

    The newest version of a model comes first.

    Args:
        models: all models that are not prompts, including hidden ones.
        prompts: models with the prompt tag that look like prompts.
        names_with_listed: the models that have a version in the version search.
        tagged: the result of the search for versions of prompts, by key.
    """
    tagged_keys = set(tagged)
    newest = {row.model.name: row.newest_version_number for row in models if row.latest_versions}
    for name, number in tagged_keys:
        # A tagged version of a model that is not a prompt hides that model's versions.
        if name in newest:
            newest[name] = max(number, newest[name])
    # Yielded lazily: a server may claim two billion versions.
    yield from (
        (name, number)
        for name, last in sorted(newest.items())
        if name not in names_with_listed
        for number in range(last, 0, -1)
        if (name, number) not in tagged_keys
    )
    gaps = (
        (row.model.name, number)
        for row in prompts
        if row.model.name not in names_with_listed
        for number in range(row.newest_version_number, 0, -1)
        if (row.model.name, number) not in tagged_keys
    )
    yield from islice(gaps, MAX_GAP_PROBES)
