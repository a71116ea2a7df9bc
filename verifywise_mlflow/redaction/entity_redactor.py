"""Takes out of MLflow's objects what a tenant does not want kept, and notes in each what that was.

Names that are keys stay as they are: of models, versions, aliases, runs, files. Without them nothing could be found
again. An object that has nothing to hide comes back as the same object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from verifywise_mlflow.connector.models import (
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelVersion,
    Redaction,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.normalizer.mapping.key_folding import is_system_key
from verifywise_mlflow.redaction.globs import matches
from verifywise_mlflow.redaction.settings import Keys, Minimisation
from verifywise_mlflow.redaction.text_redactor import REMEMBERED, Redactor, Scope, Taken

Place = Literal["tag", "param", "metric"]
V = TypeVar("V", str, float)

_TEXT = "text"
"""The key under which a text is read that has none: a key itself, a problem."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What is done with a key and its values."""

    is_kept: bool
    taken: Taken | None
    scope: Scope


@dataclass(slots=True)
class _Notes:
    """What was taken out of an object so far."""

    redactions: list[Redaction] = field(default_factory=list)

    def taken(self, place: str, key: str | None, taken: Taken) -> str:
        counts = Counter((span.what, span.kind) for span in taken.spans)
        self.redactions += (Redaction(place, key, what, kind, count) for (what, kind), count in counts.items())
        return taken.text

    def not_kept(self, place: Place, count: int) -> None:
        if count:
            self.redactions.append(Redaction(place, None, "not kept", "denied", count))


class Minimiser:
    """The settings of one tenant, at work."""

    def __init__(self, settings: Minimisation) -> None:
        self._lists: Mapping[Place, Keys] = {
            "tag": settings.tags,
            "param": settings.params,
            "metric": settings.metrics,
        }
        self._redactor = Redactor(settings)
        self._keys: dict[tuple[Place, str], _Key] = {}

    def registered_model(self, model: RegisteredModel) -> RegisteredModel:
        """Return a registered model as it may be kept."""
        notes = _Notes()
        kept = replace(
            model,
            description=self._field(notes, "description", model.description),
            tags=self._texts(notes, "tag", model.tags),
            problems=self._problems(notes, model.problems),
        )
        return replace(kept, redactions=tuple(notes.redactions)) if notes.redactions else model

    def model_version(self, version: ModelVersion) -> ModelVersion:
        """Return a version as it may be kept. Its source leads where it led: only secrets in it are taken."""
        notes = _Notes()
        kept = replace(
            version,
            description=self._field(notes, "description", version.description),
            source=self._field(notes, "source", version.source),
            status_message=self._field(notes, "status_message", version.status_message),
            run_link=self._field(notes, "run_link", version.run_link),
            tags=self._texts(notes, "tag", version.tags),
            problems=self._problems(notes, version.problems),
        )
        return replace(kept, redactions=tuple(notes.redactions)) if notes.redactions else version

    def training_run(self, run: TrainingRun) -> TrainingRun:
        """Return a run as it may be kept."""
        notes = _Notes()
        kept = replace(
            run,
            run_name=self._field(notes, "run_name", run.run_name),
            user_id=self._field(notes, "user_id", run.user_id),
            artifact_uri=self._field(notes, "artifact_uri", run.artifact_uri),
            metrics=self._numbers(notes, run.metrics),
            params=self._texts(notes, "param", run.params),
            tags=self._texts(notes, "tag", run.tags),
            datasets=tuple(self._dataset(notes, dataset) for dataset in run.datasets),
            problems=self._problems(notes, run.problems),
        )
        return replace(kept, redactions=tuple(notes.redactions)) if notes.redactions else run

    def logged_model(self, model: LoggedModel) -> LoggedModel:
        """Return a logged model as it may be kept."""
        notes = _Notes()
        kept = replace(
            model,
            name=self._field(notes, "name", model.name),
            artifact_uri=self._field(notes, "artifact_uri", model.artifact_uri),
            params=self._texts(notes, "param", model.params),
            metrics=self._numbers(notes, model.metrics),
            tags=self._texts(notes, "tag", model.tags),
            problems=self._problems(notes, model.problems),
        )
        return replace(kept, redactions=tuple(notes.redactions)) if notes.redactions else model

    def experiment(self, experiment: Experiment) -> Experiment:
        """Return an experiment as it may be kept. Only its name is, in its runs; what is taken out shows there."""
        notes = _Notes()
        kept = replace(
            experiment,
            name=self._field(notes, "experiment_name", experiment.name),
            artifact_location=self._field(notes, "artifact_location", experiment.artifact_location),
            tags=self._texts(notes, "tag", experiment.tags),
        )
        return kept if notes.redactions else experiment

    def sentence(self, text: str) -> str:
        """Return a sentence that may quote a server as it may be kept."""
        return self._field(_Notes(), _TEXT, text) or ""

    def _dataset(self, notes: _Notes, dataset: DatasetInput) -> DatasetInput:
        return replace(
            dataset,
            name=self._field(notes, "dataset_name", dataset.name),
            source_type=self._field(notes, "dataset_source_type", dataset.source_type),
            source=self._field(notes, "dataset_source", dataset.source),
            context=self._field(notes, "dataset_context", dataset.context),
        )

    def _field(self, notes: _Notes, name: str, text: str | None) -> str | None:
        if text is None:
            return None
        taken = self._redactor.value(self._redactor.scope(name), text)
        return text if taken is None else notes.taken(name, None, taken)

    def _problems(self, notes: _Notes, problems: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._field(notes, "problems", problem) or "" for problem in problems)

    def _texts(self, notes: _Notes, place: Place, texts: Mapping[str, str]) -> Mapping[str, str]:
        kept: dict[str, str] = {}
        value, before, dropped = self._redactor.value, len(notes.redactions), 0
        for key, text in texts.items():
            known = self._keys.get((place, key)) or self._known(place, key)
            if not known.is_kept:
                dropped += 1
                continue
            shown = key if known.taken is None else self._shown(notes, place, known.taken, kept)
            taken = value(known.scope, text)
            kept[shown] = text if taken is None else notes.taken(place, shown, taken)
        notes.not_kept(place, dropped)
        return kept if len(notes.redactions) > before else texts

    def _numbers(self, notes: _Notes, metrics: Mapping[str, float]) -> Mapping[str, float]:
        kept: dict[str, float] = {}
        before, dropped = len(notes.redactions), 0
        for key, number in metrics.items():
            known = self._keys.get(("metric", key)) or self._known("metric", key)
            if not known.is_kept:
                dropped += 1
                continue
            shown = key if known.taken is None else self._shown(notes, "metric", known.taken, kept)
            kept[shown] = number
        notes.not_kept("metric", dropped)
        return kept if len(notes.redactions) > before else metrics

    def _shown(self, notes: _Notes, place: Place, taken: Taken, kept: Mapping[str, V]) -> str:
        """Return what a key that itself had to be redacted is shown as; several may come out alike."""
        shown, number = taken.text, 1
        while shown in kept:
            number += 1
            shown = f"{taken.text} {number}"
        notes.taken(place, shown, taken)
        return shown

    def _known(self, place: Place, key: str) -> _Key:
        lists = self._lists[place]
        is_allowed = lists.allow is None or is_system_key(key) or matches(lists.allow, key)
        known = _Key(
            is_kept=is_allowed and not matches(lists.deny, key),
            taken=self._redactor.value(self._redactor.scope(_TEXT), key),
            scope=self._redactor.scope(key),
        )
        if len(self._keys) >= REMEMBERED:
            self._keys.clear()  # a server may make up a key for each run
        self._keys[place, key] = known
        return known
