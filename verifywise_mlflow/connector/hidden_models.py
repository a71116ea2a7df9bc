"""Finds what hides among the prompts. Pure: listings in, questions to ask out.

MLflow keeps prompts in the registry's tables and leaves whatever bears their tag out of its searches. Anyone who
may set a tag can therefore hide a model: the tag on the model takes the model out; the tag on one version takes
all versions of the model out, even after that one is deleted; and both can be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel

PROMPT_SOURCE = "dummy-source"
"""What MLflow registers a prompt's version with."""

MAX_GAP_PROBES = 50
"""Numbers missing in prompts that are asked for: of a prompt's versions each bears the tag, unless it is none."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A row of the models' listing, with the newest version of each stage that comes along."""

    model: RegisteredModel
    latest_versions: tuple[ModelVersion, ...]

    @property
    def is_prompt(self) -> bool:
        """Whether it looks like one. What has no version is taken for one: there is nothing of it to govern."""
        return all(version.source == PROMPT_SOURCE for version in self.latest_versions)

    @property
    def newest_version_number(self) -> int:
        """The highest version number that it tells of; 0 for none."""
        return max((version.version_number for version in self.latest_versions), default=0)


def parse_listed_model(value: object) -> ListedModel:
    """Parse a row of ``registered-models/search`` with its ``latest_versions``."""
    latest, _ = parsing.parse_rows(parsing.Row(value).fields.get("latest_versions"), parsing.model_version, "")
    return ListedModel(parsing.registered_model(value), tuple(latest))


def has_model_without_listed_versions(models: Iterable[ListedModel], shown: Iterable[ModelVersion]) -> bool:
    """Whether a model that has versions shows none."""
    with_shown = {version.model_name for version in shown}
    return any(listed.latest_versions and listed.model.name not in with_shown for listed in models)


def unlisted_versions(
    models: Sequence[ListedModel],
    prompts: Sequence[ListedModel],
    shown: Iterable[ModelVersion],
    tagged: Iterable[ModelVersion],
) -> Iterator[tuple[str, int]]:
    """Yield the versions that there may be and that no search shows, as (model name, number), the newest first.

    Args:
        models: all models that are not prompts, those that hide too.
        prompts: what bears the prompts' tag and looks like a prompt.
        shown: what the search for versions shows.
        tagged: what the search for prompts' versions shows.
    """
    with_shown = {version.model_name for version in shown}
    known = {(version.model_name, version.version_number) for version in tagged}
    newest = {listed.model.name: listed.newest_version_number for listed in models if listed.latest_versions}
    for name, number in known:
        # A version that bears the tag and is none of a prompt's makes its model one that hides.
        if name in newest:
            newest[name] = max(number, newest[name])
    # Lazily: a server may claim two thousand million versions.
    yield from (
        (name, number)
        for name, last in sorted(newest.items())
        if name not in with_shown
        for number in range(last, 0, -1)
        if (name, number) not in known
    )
    gaps = (
        (listed.model.name, number)
        for listed in prompts
        if listed.model.name not in with_shown
        for number in range(listed.newest_version_number, 0, -1)
        if (listed.model.name, number) not in known
    )
    yield from islice(gaps, MAX_GAP_PROBES)
