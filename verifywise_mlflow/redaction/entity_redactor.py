"""Redacts MLflow's objects according to a tenant's settings, and records in each object what was redacted.

Names that are keys stay unchanged: those of models, versions, aliases, runs and files. Without them the objects could
not be found again. An object with nothing to redact is returned as the same object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar

from verifywise_mlflow.common.globs import matches_any
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
from verifywise_mlflow.redaction.settings import KeyFilter, RedactionSettings
from verifywise_mlflow.redaction.text_redactor import CACHE_SIZE, Redacted, ScanScope, TextRedactor

KeyedPlace = Literal["tag", "param", "metric"]
V = TypeVar("V", str, float)

_KEYLESS: Final = "text"
"""The key for texts that have none: keys themselves, and problems."""


@dataclass(frozen=True, slots=True)
class _KeyDecision:
    """How a key and its values are treated."""

    is_stored: bool
    redacted_key: Redacted | None
    """Set if the key itself must be redacted."""
    scope: ScanScope


@dataclass(slots=True)
class _RedactionLog:
    """The redactions in one object so far."""

    redactions: list[Redaction] = field(default_factory=list)

    def add(self, place: str, key: str | None, redacted: Redacted) -> str:
        """Record a redaction and return the redacted text."""
        counts = Counter((span.category, span.kind) for span in redacted.spans)
        self.redactions += (Redaction(place, key, category, kind, count) for (category, kind), count in counts.items())
        return redacted.text

    def add_dropped_keys(self, place: KeyedPlace, count: int) -> None:
        """Record the number of keys that the tenant's settings exclude."""
        if count:
            self.redactions.append(Redaction(place, None, "not kept", "denied", count))


class EntityRedactor:
    """Redacts objects according to the settings of one tenant."""

    def __init__(self, settings: RedactionSettings) -> None:
        self._filters: Mapping[KeyedPlace, KeyFilter] = {
            "tag": settings.tags,
            "param": settings.params,
            "metric": settings.metrics,
        }
        self._redactor = TextRedactor(settings)
        self._decisions: dict[tuple[KeyedPlace, str], _KeyDecision] = {}

    def registered_model(self, model: RegisteredModel) -> RegisteredModel:
        """Return a redacted registered model."""
        log = _RedactionLog()
        redacted = replace(
            model,
            description=self._field(log, "description", model.description),
            tags=self._texts(log, "tag", model.tags),
            problems=self._problems(log, model.problems),
        )
        return replace(redacted, redactions=tuple(log.redactions)) if log.redactions else model

    def model_version(self, version: ModelVersion) -> ModelVersion:
        """Return a redacted version. Its source still leads to the same location: only secrets in it are replaced."""
        log = _RedactionLog()
        redacted = replace(
            version,
            description=self._field(log, "description", version.description),
            source=self._field(log, "source", version.source),
            status_message=self._field(log, "status_message", version.status_message),
            run_link=self._field(log, "run_link", version.run_link),
            tags=self._texts(log, "tag", version.tags),
            problems=self._problems(log, version.problems),
        )
        return replace(redacted, redactions=tuple(log.redactions)) if log.redactions else version

    def training_run(self, run: TrainingRun) -> TrainingRun:
        """Return a redacted run."""
        log = _RedactionLog()
        redacted = replace(
            run,
            run_name=self._field(log, "run_name", run.run_name),
            user_id=self._field(log, "user_id", run.user_id),
            artifact_uri=self._field(log, "artifact_uri", run.artifact_uri),
            metrics=self._numbers(log, run.metrics),
            params=self._texts(log, "param", run.params),
            tags=self._texts(log, "tag", run.tags),
            datasets=tuple(self._dataset(log, dataset) for dataset in run.datasets),
            problems=self._problems(log, run.problems),
        )
        return replace(redacted, redactions=tuple(log.redactions)) if log.redactions else run

    def logged_model(self, model: LoggedModel) -> LoggedModel:
        """Return a redacted logged model."""
        log = _RedactionLog()
        redacted = replace(
            model,
            name=self._field(log, "name", model.name),
            artifact_uri=self._field(log, "artifact_uri", model.artifact_uri),
            params=self._texts(log, "param", model.params),
            metrics=self._numbers(log, model.metrics),
            tags=self._texts(log, "tag", model.tags),
            problems=self._problems(log, model.problems),
        )
        return replace(redacted, redactions=tuple(log.redactions)) if log.redactions else model

    def experiment(self, experiment: Experiment) -> Experiment:
        """Return a redacted experiment. Only its name is stored, in its runs; its redactions are recorded there."""
        log = _RedactionLog()
        redacted = replace(
            experiment,
            name=self._field(log, "experiment_name", experiment.name),
            artifact_location=self._field(log, "artifact_location", experiment.artifact_location),
            tags=self._texts(log, "tag", experiment.tags),
        )
        return redacted if log.redactions else experiment

    def message(self, text: str) -> str:
        """Return a redacted message, which may quote a server."""
        return self._field(_RedactionLog(), _KEYLESS, text) or ""

    def _dataset(self, log: _RedactionLog, dataset: DatasetInput) -> DatasetInput:
        return replace(
            dataset,
            name=self._field(log, "dataset_name", dataset.name),
            source_type=self._field(log, "dataset_source_type", dataset.source_type),
            source=self._field(log, "dataset_source", dataset.source),
            context=self._field(log, "dataset_context", dataset.context),
        )

    def _field(self, log: _RedactionLog, name: str, text: str | None) -> str | None:
        if text is None:
            return None
        redacted = self._redactor.redact(self._redactor.scope(name), text)
        return text if redacted is None else log.add(name, None, redacted)

    def _problems(self, log: _RedactionLog, problems: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._field(log, "problems", problem) or "" for problem in problems)

    def _texts(self, log: _RedactionLog, place: KeyedPlace, texts: Mapping[str, str]) -> Mapping[str, str]:
        result: dict[str, str] = {}
        redact, count_before, dropped = self._redactor.redact, len(log.redactions), 0
        for key, text in texts.items():
            decision = self._decisions.get((place, key)) or self._decide(place, key)
            if not decision.is_stored:
                dropped += 1
                continue
            redacted_key = decision.redacted_key
            result_key = key if redacted_key is None else self._unique_key(log, place, redacted_key, result)
            redacted = redact(decision.scope, text)
            result[result_key] = text if redacted is None else log.add(place, result_key, redacted)
        log.add_dropped_keys(place, dropped)
        return result if len(log.redactions) > count_before else texts

    def _numbers(self, log: _RedactionLog, metrics: Mapping[str, float]) -> Mapping[str, float]:
        result: dict[str, float] = {}
        count_before, dropped = len(log.redactions), 0
        for key, number in metrics.items():
            decision = self._decisions.get(("metric", key)) or self._decide("metric", key)
            if not decision.is_stored:
                dropped += 1
                continue
            redacted_key = decision.redacted_key
            result_key = key if redacted_key is None else self._unique_key(log, "metric", redacted_key, result)
            result[result_key] = number
        log.add_dropped_keys("metric", dropped)
        return result if len(log.redactions) > count_before else metrics

    def _unique_key(self, log: _RedactionLog, place: KeyedPlace, redacted: Redacted, existing: Mapping[str, V]) -> str:
        """Return a redacted key, numbered if it is taken: several keys may have the same redacted form."""
        key, number = redacted.text, 1
        while key in existing:
            number += 1
            key = f"{redacted.text} {number}"
        log.add(place, key, redacted)
        return key

    def _decide(self, place: KeyedPlace, key: str) -> _KeyDecision:
        key_filter = self._filters[place]
        is_allowed = key_filter.allow is None or is_system_key(key) or matches_any(key_filter.allow, key)
        decision = _KeyDecision(
            is_stored=is_allowed and not matches_any(key_filter.deny, key),
            redacted_key=self._redactor.redact(self._redactor.scope(_KEYLESS), key),
            scope=self._redactor.scope(key),
        )
        if len(self._decisions) >= CACHE_SIZE:
            self._decisions.clear()  # a server may use new keys in every run
        self._decisions[place, key] = decision
        return decision
