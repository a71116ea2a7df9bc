"""A tenant of any size without a server: its objects are generated, at realistic sizes.

It replaces the tracking server, whose time must not count. The real stages read from it, and the time for generating
objects is measured separately.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, FileKind, Requirement
from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment as Environment
from verifywise_mlflow.connector.mlflow_reader import MlflowReader, ServerInfo
from verifywise_mlflow.connector.models import (
    Experiment,
    LoggedModel,
    ModelVersion,
    Prompt,
    PromptVersion,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listed, Listing, ListingPages
from verifywise_mlflow.connector.registry_search import MODELS_PAGE_SIZE, VERSIONS_PAGE_SIZE, version_key
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.tenants.tenant import Tenant

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

VERSIONS_PER_MODEL = 10
TAGS, PARAMS, METRICS, FILES = 10, 20, 10, 8
_LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
_GOVERNANCE = ("owner", "risk_category", "regulatory_scope", "data_sensitivity", "business_purpose")
_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "cloudpickle", "psutil", "pyarrow")

TENANT = Tenant(tenant_id="acme", tracking_uri="http://127.0.0.1:5000", allow_private_network=True)


class SyntheticReader(MlflowReader):
    """Responds like a server: every object is a new object with its own strings, as if it were parsed from JSON."""

    def __init__(self, versions: int, *, retagged: int = 0) -> None:
        """Create a tenant with this number of versions, some of them with another tag."""
        self.versions, self.retagged = versions, retagged
        self.seconds = 0.0
        """The time that was spent on generating objects."""

    @property
    def server(self) -> ServerInfo:
        """What an MLflow server reports."""
        return ServerInfo("3.17.0", "SqlStore", workspaces=False, logged_models=True)

    @property
    def traffic(self) -> Traffic:
        """No request is sent."""
        return Traffic()

    def close(self) -> None:
        """There is no connection to close."""

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """Return one model per ten versions."""
        models = -(-self.versions // VERSIONS_PER_MODEL)
        return self._pages(_model, lambda model: model.name, models, MODELS_PAGE_SIZE)

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """Return all versions."""
        return self._pages(
            lambda number: _version(number, is_retagged=number < self.retagged),
            version_key,
            self.versions,
            VERSIONS_PAGE_SIZE,
        )

    def prompts(self) -> Listing[Prompt]:
        """Return an empty listing."""
        return Listing(())

    def prompt_versions(self) -> Listing[PromptVersion]:
        """Return an empty listing."""
        return Listing(())

    def agents(self, experiment_ids: Sequence[str]) -> Listing[LoggedModel]:  # noqa: ARG002
        """Return an empty listing."""
        return Listing(())

    def experiments(self) -> Listing[Experiment]:
        """Return the only experiment."""
        return Listing((Experiment("1", "credit-risk"),))

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:  # noqa: ARG002
        """Return the requested runs."""
        return self._generated(_run, [int(run_id, 16) for run_id in run_ids])

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:  # noqa: ARG002
        """Return the requested logged models."""
        return self._generated(_logged_model, [int(model_id.removeprefix("m-"), 16) for model_id in model_ids])

    def _pages(
        self, make: Callable[[int], T], identify: Callable[[T], K], count: int, page_size: int
    ) -> ListingPages[T, K]:
        def read_pages(listed: Listed[K]) -> Iterator[Sequence[T]]:
            for start in range(0, count, page_size):
                page = self._generated(make, range(start, min(start + page_size, count))).rows
                listed.keys.update((identify(row), None) for row in page)
                yield page

        return ListingPages(read_pages, identify)

    def _generated(self, make: Callable[[int], T], numbers: Sequence[int]) -> Listing[T]:
        began = time.perf_counter()
        rows = tuple(map(make, numbers))
        self.seconds += time.perf_counter() - began
        return Listing(rows)


def manifest(number: int) -> ArtifactManifest:
    """Return a version's manifest as the stage builds it from files."""
    names = ("MLmodel", "conda.yaml", "model.pkl", "python_env.yaml", "requirements.txt", "model_card.md", "shap.html")
    return ArtifactManifest(
        location=f"mlflow-artifacts:/1/models/m-{number:032x}/artifacts",
        status="complete",
        reason=None,
        files=tuple(
            ArtifactFile("model", name, 1_000 + number, f"{number * FILES + index:064x}", FileKind.OTHER)
            for index, name in enumerate((*names, "evaluation.json"))
        ),
        environment=Environment(
            python_version="3.11.9",
            packages=tuple(Requirement(name, "==1.2.3", "requirements.txt", pinned=True) for name in _PACKAGES),
            sources=("requirements.txt",),
            mlflow_version="3.17.0",
            flavors={"sklearn": "1.9.1"},
            serialization_format="cloudpickle",
            reproducible=True,
            missing_pins=(),
        ),
        digest=f"{number:064x}",
    )


def _created_at(number: int) -> datetime:
    return _LONG_AGO + timedelta(minutes=number)


def _model(number: int) -> RegisteredModel:
    return RegisteredModel(
        name=_name(number),
        description=f"What model {number} is for, in a sentence or two of the team that built it.",
        tags={f"team.tag_{index}": f"some words of team {number}" for index in range(TAGS // 2)},
        aliases={"champion": number * VERSIONS_PER_MODEL % VERSIONS_PER_MODEL + 1},
        created_at=_created_at(number),
        last_updated_at=_created_at(number),
    )


def _name(model: int) -> str:
    return f"team-{model % 97:02d}-credit-risk-{model:06d}"


def _version(number: int, *, is_retagged: bool) -> ModelVersion:
    model, index = divmod(number, VERSIONS_PER_MODEL)
    tags = {name: f"{name.replace('_', ' ')} {number}" for name in _GOVERNANCE}
    tags |= {f"team.tag_{index}": f"some words of version {number}" for index in range(TAGS - len(tags))}
    if is_retagged:
        tags["owner"] = f"another owner {number}"
    # Half of the versions are registered from a logged model, as in MLflow 3.
    source = f"models:/m-{number:032x}" if number % 2 else f"mlflow-artifacts:/1/{number:032x}/artifacts/model"
    return ModelVersion(
        model_name=_name(model),
        version_number=index + 1,
        created_at=_created_at(number),
        last_updated_at=_created_at(number),
        stage="Production" if index == 0 else None,
        description=f"Version {index + 1}, trained again in the round of {number}.",
        source=source,
        run_id=f"{number:032x}",
        status="READY",
        tags=tags,
    )


def _run(number: int) -> TrainingRun:
    return TrainingRun(
        run_id=f"{number:032x}",
        experiment_id="1",
        run_name=f"clever-hound-{number}",
        user_id="data-scientist",
        status="FINISHED",
        lifecycle_stage="active",
        started_at=_created_at(number),
        ended_at=_created_at(number + 5),
        artifact_uri=f"mlflow-artifacts:/1/{number:032x}/artifacts",
        metrics={f"metric_{index}": number / (7 + index) for index in range(METRICS)},
        params={f"parameter_{index}": f"0.0123456{number}" for index in range(PARAMS)},
        tags={f"team.tag_{index}": f"some words of run {number}" for index in range(TAGS)},
    )


def _logged_model(number: int) -> LoggedModel:
    return LoggedModel(
        model_id=f"m-{number:032x}",
        experiment_id="1",
        name="model",
        source_run_id=f"{number:032x}",
        artifact_uri=f"mlflow-artifacts:/1/models/m-{number:032x}/artifacts",
        status="READY",
        created_at=_created_at(number),
        last_updated_at=_created_at(number),
        params={f"parameter_{index}": f"0.0123456{number}" for index in range(PARAMS // 2)},
        tags={f"team.tag_{index}": f"some words of run {number}" for index in range(TAGS // 2)},
    )
