"""A tenant's MLflow workspace, with helpers to train and register models in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import mlflow
import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities.model_registry import ModelVersion
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import accuracy_score, confusion_matrix, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from verifywise_mlflow.demo.registries.data import Data

PINNED = tuple(f"{package}=={version(package)}" for package in ("scikit-learn", "numpy", "pandas", "scipy"))
"""Pinned requirements. If requirements are given, MLflow skips its inference of requirements, which loads the model
again."""
UNPINNED = ("scikit-learn", "numpy")


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a training run."""

    experiment: str
    tags: Mapping[str, str]
    """Tags of the run, with its user in ``mlflow.user``."""


class Registry:
    """One workspace. MLflow's fluent API uses process-wide state, so there is one per process."""

    def __init__(self, tracking_uri: str, *, workspace: str, report_progress: Callable[[str], None]) -> None:
        """Create the workspace, and enter it.

        Args:
            tracking_uri: The tracking URI of the MLflow server.
            workspace: The workspace's name.
            report_progress: Called with a line for each step.
        """
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.create_workspace(workspace)
        mlflow.set_workspace(workspace)
        self.client = MlflowClient()
        self.report_progress = report_progress

    def create_model(self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None) -> None:
        """Create a registered model."""
        self.client.create_registered_model(name, tags=dict(tags or {}), description=description)

    def train(
        self,
        name: str,
        estimator: BaseEstimator,
        data: Data,
        start: Start,
        *,
        requirements: tuple[str, ...] = PINNED,
        model_card: str = "",
        measured: bool = True,
        groups: str = "",
        report: bool = False,
    ) -> ModelVersion:
        """Train a model in a new run and register it as a new version.

        Args:
            name: The registered model.
            estimator: The estimator to fit.
            data: The data; a quarter of it is held out for evaluation.
            start: Experiment and tags of the run.
            requirements: The requirements in the model's environment.
            model_card: The text of a ``model_card.md``, which is logged with the run.
            measured: False for a run whose only metric is NaN.
            report: Whether to log the held-out data and a report of the evaluation.
            groups: A column of the data; metrics are also logged for the rows below and above its median.
        """
        train_x, test_x, train_y, test_y = train_test_split(data.features, data.target, random_state=0)
        mlflow.set_experiment(start.experiment)
        with mlflow.start_run(run_name=f"train {name}", tags=dict(start.tags)) as run:
            estimator.fit(train_x, train_y)
            mlflow.log_params({key: value for key, value in estimator.get_params().items() if value is not None})
            mlflow.log_input(from_pandas(train_x, name=data.name), context="training")
            if report:
                mlflow.log_input(from_pandas(test_x, name=f"{data.name}_holdout"), context="evaluation")
            mlflow.log_metrics(_metrics(estimator, test_x, test_y) if measured else {"mape": float("nan")})
            if groups:
                below = test_x[groups] < test_x[groups].median()
                for side, members in (("low", below), ("high", ~below)):
                    measures = _metrics(estimator, test_x[members], test_y[members])
                    mlflow.log_metrics(
                        {f"{metric}_subgroup_{groups}_{side}": value for metric, value in measures.items()}
                    )
            if is_classifier(estimator):
                matrix = confusion_matrix(test_y, estimator.predict(test_x)).tolist()
                mlflow.log_dict({"labels": [0, 1], "matrix": matrix}, "evaluation/confusion_matrix.json")
            if report:
                mlflow.log_text(_report(name, len(test_x), run.info.run_id, self.client), "evaluation/report.md")
            if model_card:
                mlflow.log_text(model_card, "model_card.md")
            logged = mlflow.sklearn.log_model(
                estimator,
                name="model",
                pip_requirements=list(requirements),
                signature=mlflow.models.infer_signature(test_x, estimator.predict(test_x)),
            )
            registered = self.client.create_model_version(
                name, source=logged.model_uri, run_id=run.info.run_id, model_id=logged.model_id
            )
        self.report_progress(f"trained and registered {name}, version {registered.version}")
        return registered

    def register_without_run(self, name: str, estimator: BaseEstimator, data: Data) -> ModelVersion:
        """Register a model that was fitted outside of any run, so its data and its author are unknown."""
        mlflow.set_experiment("Default")
        logged = mlflow.sklearn.log_model(
            estimator.fit(data.features, data.target), name="model", pip_requirements=list(PINNED)
        )
        registered = self.client.create_model_version(name, source=logged.model_uri, model_id=logged.model_id)
        self.report_progress(f"registered {name}, version {registered.version}, without a run")
        return registered

    def register_prompt(self, name: str, *templates: str) -> None:
        """Register a prompt with a version of each template, and point the alias ``production`` to the last one."""
        for template in templates:
            registered = self.client.register_prompt(name, template)
        self.client.set_prompt_alias(name, "production", registered.version)
        self.report_progress(f"registered the prompt {name} with {len(templates)} versions")

    def register_agent(
        self, name: str, prompt: str, *, experiment: str, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> ModelVersion:
        """Log an agent that uses the newest version of a prompt, and register it. The agent's code is not in MLflow."""
        mlflow.set_experiment(experiment)
        agent = mlflow.create_external_model(name=name, model_type="agent", params=dict(params), tags=dict(tags))
        number = self.client.get_prompt_version_by_alias(prompt, "production").version
        self.client.link_prompt_version_to_model(prompt, str(number), agent.model_id)
        registered = self.client.create_model_version(name, source=agent.model_uri, model_id=agent.model_id)
        self.report_progress(f"registered the agent {name}, version {registered.version}, with {prompt} {number}")
        return registered

    def register_elsewhere(self, name: str, source: str) -> ModelVersion:
        """Register a version whose files are at a location that MLflow only refers to."""
        registered = self.client.create_model_version(name, source=source)
        self.report_progress(f"registered {name}, version {registered.version}, from {source}")
        return registered

    def tag(self, registered: ModelVersion, **tags: str) -> None:
        """Tag a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(registered.name, registered.version, key, value)

    def stage(self, registered: ModelVersion, stage: str) -> None:
        """Move a version to one of MLflow's stages, which are deprecated but widely in use."""
        self.client.transition_model_version_stage(registered.name, registered.version, stage)

    def alias(self, registered: ModelVersion, alias: str) -> None:
        """Point an alias to a version."""
        self.client.set_registered_model_alias(registered.name, alias, registered.version)

    def delete_run(self, registered: ModelVersion) -> None:
        """Delete the run that a version came from; the version stays."""
        assert registered.run_id is not None
        self.client.delete_run(registered.run_id)
        self.report_progress(f"deleted the run of {registered.name}, version {registered.version}")


def _metrics(estimator: BaseEstimator, test_x: object, test_y: object) -> dict[str, float]:
    predicted = estimator.predict(test_x)
    if is_classifier(estimator):
        return {
            "accuracy": float(accuracy_score(test_y, predicted)),
            "roc_auc": float(roc_auc_score(test_y, estimator.predict_proba(test_x)[:, 1])),
        }
    return {"mae": float(mean_absolute_error(test_y, predicted)), "r2": float(r2_score(test_y, predicted))}


def _report(name: str, rows: int, run_id: str, client: MlflowClient) -> str:
    """Return the report of an evaluation: what was measured, with which data, and what it does not show."""
    measured = client.get_run(run_id).data.metrics
    lines = "\n".join(f"| {metric} | {value:.3f} |" for metric, value in sorted(measured.items()))
    return f"""# Evaluation of {name}

The model was evaluated with {rows} rows that were held out before training. They were drawn at random, once, and were
not used to choose the model or its parameters.

| metric | value |
|---|---|
{lines}

What this does not show: the rows are as old as the training data, so a change of the population since then is not
measured. The groups are those of one column; combinations of groups are too small to be measured one by one.
"""
