"""What MLflow says about each field of one version, the declaration that counts first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from verifywise_mlflow.normalizer.lifecycle_stage import declared_by_aliases
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.dates import DateReading, read_date
from verifywise_mlflow.normalizer.mapping.mapping_index import Meaning, Vocabulary
from verifywise_mlflow.normalizer.mapping.precedence import Declaration
from verifywise_mlflow.normalizer.mapping.value_sources import TAGGED, Place, PlaceKind
from verifywise_mlflow.normalizer.record import Origin, SourceKind
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_Order: TypeAlias = tuple[int, bool, int, str]
_DATED = ("privacy_assessment_status", "compliance_approver")
"""The fields whose text is looked through for the date of what it tells."""
_STATED = "stated in the tenant's description for all versions, not taken from MLflow"

_LOGGED_MODEL_URI = "models:/m-"


class Declarations:
    """Everything that the objects around one version declare, by field."""

    def __init__(self, inputs: RecordInputs, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._attributes = attributes_of(inputs)
        self._tags = _tags(inputs)
        self._aliases = declared_by_aliases(inputs, vocabulary)
        self._by_synonym = {source: self._understood(source) for source in TAGGED}

    def of(self, field: str) -> list[Declaration]:
        """Return what is declared about the field, in the order of the mapping's precedence."""
        return [declaration for place in self._vocabulary.places(field) for declaration in self._at(place, field)]

    def _at(self, place: Place, field: str) -> Iterator[Declaration]:
        if place.source == "alias":
            yield from self._aliases
        elif place.source == "config":
            if field in self._vocabulary.defaults:
                stated = self._vocabulary.defaults[field]
                yield Declaration(stated, Origin("config", f"mapping.defaults.{field}", stated, rule=_STATED))
        elif place.key is None:
            yield from self._by_synonym[place.source].get(field, ())
        elif place.source in TAGGED:
            raw = self._tags[place.source].get(place.key, "")
            if raw.strip():
                yield self._declared(field, Origin(_named(place.source), place.key, raw), raw.strip())
        else:
            raw = self._attributes.get((place.source, place.key)) or ""
            if raw.strip():
                yield self._declared(field, Origin(_named(place.source), place.key, raw), raw)

    def _understood(self, source: PlaceKind) -> dict[str, list[Declaration]]:
        """Return what the tags of one object declare by any of the fields' synonyms, the best first."""
        found: dict[str, list[tuple[_Order, Declaration]]] = {}
        for key, raw in self._tags[source].items():
            meaning = self._vocabulary.meaning(key)
            if meaning is None or not raw.strip():
                continue
            ordered = self._answered(meaning, Origin(_named(source), key, raw), raw.strip())
            if ordered is not None:
                found.setdefault(meaning.field, []).append(ordered)
        return {
            field: [declaration for _, declaration in sorted(ordered, key=lambda pair: pair[0])]
            for field, ordered in found.items()
        }

    def _answered(self, meaning: Meaning, origin: Origin, value: str) -> tuple[_Order, Declaration] | None:
        """Return a tag's declaration and its order among those of the same object.

        A yes goes before a plain value, and that before a no: `contains_pii: true` says more about personal data than
        `data_classification: internal`, while `contains_pii: false` says less.
        """
        question = meaning.question
        answer = None if question is None else self._vocabulary.answer(value)
        weight = 1 if answer is None else 0 if answer else 2
        order = (weight, question is not None, meaning.rank, origin.key)
        if question is None or answer is None:
            return order, self._declared(meaning.field, origin, value)
        form = question.affirmative if answer else question.negative
        return None if form is None else (order, Declaration(form, origin))

    def _declared(self, field: str, origin: Origin, value: str) -> Declaration:
        form = self._vocabulary.form(field, value)
        is_known = form is not None or field not in NORMAL_FORMS
        # The date in a text that is not understood could be anything's: a deadline's, for one.
        reading = read_date(value, years_alone=field in NORMAL_FORMS) if field in _DATED and is_known else DateReading()
        return Declaration(
            form or value, replace(origin, dated=reading.dated) if reading.dated else origin, is_known, reading.doubt
        )


def _named(source: PlaceKind) -> SourceKind:
    return "logged model" if source == "logged model tag" else source


def _tags(inputs: RecordInputs) -> dict[PlaceKind, Mapping[str, str]]:
    return {
        "version tag": inputs.version.tags,
        "model tag": inputs.model.tags if inputs.model else {},
        "run tag": inputs.run.tags if inputs.run else {},
        "logged model tag": inputs.logged_model.tags if inputs.logged_model else {},
    }


_NOBODY = "unknown"
"""What MLflow's client writes for the user of a run that was created without one."""


def attributes_of(inputs: RecordInputs) -> dict[tuple[PlaceKind, str], str | None]:
    """Return the values that ``places.ATTRIBUTES`` names, of those objects that there are."""
    version, model, run, logged = inputs.version, inputs.model, inputs.run, inputs.logged_model
    attributes: dict[tuple[PlaceKind, str], str | None] = {
        ("version", "current_stage"): version.stage,
        ("version", "deployment_job_state"): version.deployment_job_state,
        ("version", "description"): version.description,
        ("version", "run_id"): version.run_id,
        ("version", "source"): version.source,
        ("experiment", "name"): inputs.experiment_name,
    }
    if model:
        attributes["model", "description"] = model.description
    if run:
        attributes["run", "artifact_uri"] = run.artifact_uri
        attributes["run", "experiment_id"] = run.experiment_id
        attributes["run", "status"] = run.status
        attributes["run", "user_id"] = None if run.user_id == _NOBODY else run.user_id
    if logged:
        attributes["logged model", "artifact_uri"] = logged.artifact_uri
        attributes["logged model", "experiment_id"] = logged.experiment_id
        # A version that was registered from elsewhere is not what the logged model's run put out.
        if (version.source or "").startswith(_LOGGED_MODEL_URI):
            attributes["logged model", "source_run_id"] = logged.source_run_id
    return attributes
