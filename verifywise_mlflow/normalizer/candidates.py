"""The candidates for each field's value: what the objects around one version say, in order of precedence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from verifywise_mlflow.normalizer.artifact_texts import artifact_texts
from verifywise_mlflow.normalizer.lifecycle_stage import alias_candidates, deployment_candidates
from verifywise_mlflow.normalizer.mapping.dates import DateReading, read_date
from verifywise_mlflow.normalizer.mapping.mapping_index import KeyMeaning, MappingIndex
from verifywise_mlflow.normalizer.mapping.precedence import Candidate
from verifywise_mlflow.normalizer.mapping.value_sources import HINTS, TAG_SOURCES, ValueSource, ValueSourceKind
from verifywise_mlflow.normalizer.prompt_reference import linked_prompts_text
from verifywise_mlflow.normalizer.record import FIELD_SPECS, NORMAL_FORMS, Origin, SourceKind, ValueState
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_SortKey: TypeAlias = tuple[int, bool, int, str]
"""The weight of the text, whether the key is meant for another kind of value, the key's rank, and the key itself."""

_DEFAULT_RULE: Final = "stated in the tenant's settings for all versions, not taken from MLflow"
_UNKNOWN_USER: Final = "unknown"
"""The user that MLflow's client writes for a run that was created without one."""
_NO_DEPLOYMENT_JOB: Final = "NO_VALID_DEPLOYMENT_JOB_FOUND"

_STATE_WEIGHTS: Final[Mapping[ValueState | None, int]] = {
    ValueState.NEGATIVE: -1,
    ValueState.FAILED: -1,
    None: 1,
    ValueState.PLACEHOLDER: 3,
    ValueState.GENERIC: 3,
}
"""The rank of a text among those of the same object; a yes has 0, and a no has 2."""


class Candidates:
    """Everything that the objects around one version say, by field."""

    def __init__(self, inputs: RecordInputs, index: MappingIndex) -> None:
        self._index = index
        self._environment = inputs.manifest.environment if inputs.manifest else None
        self._attributes = source_attributes(inputs)
        self._tags = _tags(inputs)
        self._aliases = {
            "lifecycle_stage": alias_candidates(inputs, index),
            "deployment_status": deployment_candidates(inputs, index),
        }
        self._by_synonym: dict[str, dict[str, list[Candidate]]] = {
            source: self._candidates_by_synonym(source) for source in TAG_SOURCES
        }

    def for_field(self, field: str) -> list[Candidate]:
        """Return the candidates for a field, in the order of the mapping's precedence, each once."""
        found: list[Candidate] = []
        for source in self._index.value_sources(field):
            # Most sources of most fields have nothing to say.
            is_synonym = source.key is None and source.source in TAG_SOURCES
            found += self._by_synonym[source.source].get(field, ()) if is_synonym else self._from_source(source, field)
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    def _from_source(self, source: ValueSource, field: str) -> Iterator[Candidate]:
        if source.source == "highest of":
            members = (candidate for member in source.members for candidate in self._from_source(member, field))
            ranked = sorted(members, key=lambda candidate: _rank(field, candidate))
            # What mirrors the stage has no conflicts of its own: those are findings about the stage.
            is_mirror = any(member.source == "lifecycle stage" for member in source.members)
            yield from ranked[:1] if is_mirror else ranked
        elif source.source == "alias":
            yield from self._aliases.get(field, ())
        elif source.source == "lifecycle stage":
            yield from self._from_stage(field)
        elif source.source == "config":
            if field in self._index.defaults:
                default = self._index.defaults[field]
                origin = Origin("config", f"mapping.defaults.{field}", default, rule=_DEFAULT_RULE)
                yield Candidate(default, origin)
        elif source.source == "artifact":
            yield from self._from_artifact(field, source.key or "")
        elif source.key is None:
            yield from self._by_synonym[source.source].get(field, ())
        elif source.source in TAG_SOURCES:
            raw = self._tags[source.source].get(source.key, "")
            if raw.strip():
                yield self._candidate(field, Origin(_origin_source(source.source), source.key, raw), raw.strip())
        else:
            raw = self._attributes.get((source.source, source.key)) or ""
            if raw.strip():
                candidate = self._candidate(field, Origin(_origin_source(source.source), source.key, raw), raw)
                if candidate.is_known or (source.source, source.key) not in HINTS:
                    yield candidate

    def _from_artifact(self, field: str, key: str) -> Iterator[Candidate]:
        if self._environment is None:
            return
        for text in artifact_texts(self._environment, key):
            candidate = self._candidate(field, Origin("artifact", key, text), text)
            is_hint = ("artifact", key) in HINTS
            # A library for predictions next to the client of a language model shows no kind.
            is_in_doubt = key == "packages" and candidate.value != NORMAL_FORMS[field][0]
            if not is_hint or (candidate.is_known and not is_in_doubt):
                yield candidate

    def _from_stage(self, field: str) -> Iterator[Candidate]:
        """Yield what the record's lifecycle stage stands for in another field, with the origin of the stage."""
        stage = next((candidate for candidate in self.for_field("lifecycle_stage") if candidate.is_known), None)
        form = self._index.normal_form(field, stage.value) if stage else None
        if stage and form:
            yield Candidate(form, stage.origin)

    def _candidates_by_synonym(self, source: ValueSourceKind) -> dict[str, list[Candidate]]:
        """Return what the tags of one object say by any of the fields' synonyms, the best first."""
        by_field: dict[str, list[tuple[_SortKey, Candidate]]] = {}
        for key, raw in self._tags[source].items():
            meaning = self._index.key_meaning(key)
            if meaning is None or not raw.strip():
                continue
            value = raw.strip()
            field = self._index.field_of_value(meaning, value)
            ranked = self._ranked_candidate(field, meaning, Origin(_origin_source(source), key, raw), value)
            if ranked is not None:
                by_field.setdefault(field, []).append(ranked)
        return {
            field: [candidate for _, candidate in sorted(ranked, key=lambda pair: pair[0])]
            for field, ranked in by_field.items()
        }

    def _ranked_candidate(
        self, field: str, meaning: KeyMeaning, origin: Origin, value: str
    ) -> tuple[_SortKey, Candidate] | None:
        """Return a tag's candidate with its sort key among those of the same object.

        A yes ranks before a plain value, and a plain value before a no: `contains_pii: true` says more about personal
        data than `data_classification: internal`, while `contains_pii: false` says less. Before all of them ranks a
        refusal or a failure, since no other tag of the same object outweighs it; after them, a text that says nothing.
        """
        yes_no = meaning.yes_no
        answer = None if yes_no is None else self._index.parse_yes_no(value)
        if yes_no is None or answer is None:
            candidate = self._candidate(field, origin, value)
            if meaning.is_weak and (candidate.origin.state or not candidate.is_known):
                return None
            weight = _STATE_WEIGHTS[candidate.origin.state]
            is_foreign = yes_no is not None or field != meaning.field
            return (weight, is_foreign, meaning.rank, origin.key), candidate
        form = yes_no.affirmative if answer else yes_no.negative
        sort_key = (0 if answer else 2, True, meaning.rank, origin.key)
        return None if form is None else (sort_key, Candidate(form, origin))

    def _candidate(self, field: str, origin: Origin, value: str) -> Candidate:
        if field == "prompt_reference":
            value = linked_prompts_text(value)
        state = self._index.value_state(field, value)
        if state is not None:
            return Candidate(value, replace(origin, state=state))
        form = self._index.normal_form(field, value)
        is_known = form is not None or field not in NORMAL_FORMS
        # In a text of no known form, a date could be that of anything, such as a deadline.
        reading = _read_date(field, value) if is_known else DateReading()
        return Candidate(
            form or value, replace(origin, dated=reading.dated) if reading.dated else origin, is_known, reading.problem
        )


def _read_date(field: str, value: str) -> DateReading:
    spec = FIELD_SPECS[field]
    if not spec.may_carry_date:
        return DateReading()
    reading = read_date(value, years_alone=spec.is_date or bool(spec.normal_forms))
    if spec.may_be_identifier and len(reading.dated or "") != len("2026-03-01"):
        return DateReading()
    return reading


def _rank(field: str, candidate: Candidate) -> int:
    """Return the position of a candidate's value among the field's normal forms. Unknown values come last."""
    forms = NORMAL_FORMS[field]
    return forms.index(candidate.value) if candidate.is_known else len(forms)


def _origin_source(source: ValueSourceKind) -> SourceKind:
    if source == "lifecycle stage":
        raise ValueError("a value that mirrors the lifecycle stage has the origin of the stage")
    return "logged model" if source == "logged model tag" else source


def _tags(inputs: RecordInputs) -> dict[ValueSourceKind, Mapping[str, str]]:
    return {
        "version tag": inputs.version.tags,
        "model tag": inputs.model.tags if inputs.model else {},
        "run tag": inputs.run.tags if inputs.run else {},
        "logged model tag": inputs.logged_model.tags if inputs.logged_model else {},
    }


def source_attributes(inputs: RecordInputs) -> dict[tuple[ValueSourceKind, str], str | None]:
    """Return the values that ``value_sources.SOURCE_ATTRIBUTES`` names, of the objects that exist."""
    version, model, run, logged_model = inputs.version, inputs.model, inputs.run, inputs.logged_model
    attributes: dict[tuple[ValueSourceKind, str], str | None] = {
        ("version", "current_stage"): version.stage,
        ("version", "deployment_job_state"): (
            None if version.deployment_job_state == _NO_DEPLOYMENT_JOB else version.deployment_job_state
        ),
        ("version", "description"): version.description,
        ("version", "run_id"): inputs.origin.run_id if inputs.origin else version.run_id,
        ("version", "source"): version.source,
        ("experiment", "name"): inputs.experiment_name,
    }
    if model:
        attributes["model", "description"] = model.description
    if run:
        attributes["run", "artifact_uri"] = run.artifact_uri
        attributes["run", "experiment_id"] = run.experiment_id
        attributes["run", "status"] = run.status
        attributes["run", "user_id"] = None if run.user_id == _UNKNOWN_USER else run.user_id
    if logged_model:
        attributes["logged model", "artifact_uri"] = logged_model.artifact_uri
        attributes["logged model", "experiment_id"] = logged_model.experiment_id
        attributes["logged model", "model_id"] = logged_model.model_id
        attributes["logged model", "model_type"] = logged_model.model_type
        attributes["logged model", "source_run_id"] = logged_model.source_run_id
    return attributes
