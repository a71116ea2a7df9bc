"""The candidates for each field's value, from the objects around one version, in order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Final, TypeAlias

from verifywise_mlflow.normalizer.artifact_texts import artifact_texts
from verifywise_mlflow.normalizer.lifecycle_stage import alias_candidates, deployment_candidates
from verifywise_mlflow.normalizer.mapping.dates import DateReading, read_date
from verifywise_mlflow.normalizer.mapping.mapping_index import KeyMeaning, MappingIndex
from verifywise_mlflow.normalizer.mapping.precedence import Candidate, denies
from verifywise_mlflow.normalizer.mapping.value_sources import HINTS, TAG_SOURCES, ValueSource, ValueSourceKind
from verifywise_mlflow.normalizer.origin import Origin, SourceKind, ValueState
from verifywise_mlflow.normalizer.prompt_reference import linked_prompts_text
from verifywise_mlflow.normalizer.record import FIELD_SPECS, NORMAL_FORMS
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

_SortKey: TypeAlias = tuple[int, bool, int, str]
"""A sort key: the weight of the text, whether the key is for another kind of value, the key's rank, and the key
itself."""

_MAY_CARRY_DATE: Final = frozenset(name for name, spec in FIELD_SPECS.items() if spec.may_carry_date)
_DEFAULT_RULE: Final = "stated in the tenant's settings for all versions, not taken from MLflow"
_UNKNOWN_USER: Final = "unknown"
"""The user name that MLflow's client writes for a run without a user."""
_NO_DEPLOYMENT_JOB: Final = "NO_VALID_DEPLOYMENT_JOB_FOUND"

_DENIAL_WEIGHT: Final = -1
_YES_WEIGHT: Final = 0
_NO_WEIGHT: Final = 2
_STATE_WEIGHTS: Final[Mapping[ValueState | None, int]] = {
    None: 1,
    ValueState.PLACEHOLDER: 3,
    ValueState.GENERIC: 3,
}
"""Value state to the rank of a text among the texts of the same object. The lowest rank is first."""


class Candidates:
    """The candidates from all objects around one version, by field."""

    def __init__(self, inputs: RecordInputs, aliases: Sequence[str], index: MappingIndex) -> None:
        """Collect the candidates from the version's objects and aliases, according to the tenant's mapping."""
        self._index = index
        self._environment = inputs.manifest.environment if inputs.manifest else None
        tags = _tags(inputs)
        self._texts: Mapping[ValueSourceKind, Mapping[str, str | None]] = {**source_attributes(inputs), **tags}
        self._aliases = {
            "lifecycle_stage": alias_candidates(aliases, index),
            "deployment_status": deployment_candidates(aliases, index),
        }
        self._by_synonym: Mapping[str, Mapping[str, Sequence[Candidate]]] = {
            source: self._candidates_by_synonym(source, of_source) for source, of_source in tags.items()
        }
        self._fields_of_tags = frozenset().union(*self._by_synonym.values())

    def for_field(self, field: str) -> list[Candidate]:
        """Return the candidates for a field, without duplicates, in the order of the mapping's precedence."""
        if field not in self._fields_of_tags and self._index.is_from_synonyms_alone(field):
            return []  # this is the case for most fields of most versions
        found: list[Candidate] = []
        has_synonym = field in self._fields_of_tags
        for source in self._index.value_sources(field):
            if has_synonym or source.key is not None or source.source not in TAG_SOURCES:
                found += self._from_source(source, field)
        return list(dict.fromkeys(found)) if len(found) > 1 else found

    def _from_source(self, source: ValueSource, field: str) -> Iterable[Candidate]:
        kind, key = source.source, source.key
        if kind == "highest of":
            found = [candidate for member in source.members for candidate in self._from_source(member, field)]
            if len(found) < 2:
                return found
            ranked = sorted(found, key=lambda candidate: _rank(field, candidate))
            # A value that mirrors the stage has no conflicts of its own. Conflicts are findings about the stage.
            is_mirror = any(member.source == "lifecycle stage" for member in source.members)
            return ranked[:1] if is_mirror else ranked
        texts = self._texts.get(kind)
        if key is not None and texts is not None:
            raw = texts.get(key)
            return self._from_text(field, kind, key, raw) if raw and raw.strip() else ()
        if kind in TAG_SOURCES:
            return self._by_synonym[kind].get(field, ())
        if kind == "alias":
            return self._aliases.get(field, ())
        if kind == "lifecycle stage":
            return self._from_stage(field)
        if kind == "artifact":
            return self._from_artifact(field, key or "")
        return self._from_defaults(field)  # the source is `config`

    def _from_text(self, field: str, source: ValueSourceKind, key: str, raw: str) -> Iterable[Candidate]:
        """Return the candidate from an attribute, or from a tag with an exact key."""
        value = raw.strip() if source in TAG_SOURCES else raw
        candidate = self._candidate(field, Origin(_origin_source(source), key, raw), value)
        return (candidate,) if (source, key) not in HINTS or _has_known_value(candidate) else ()

    def _from_defaults(self, field: str) -> Iterator[Candidate]:
        if field in self._index.defaults:
            default = self._index.defaults[field]
            yield Candidate(default, Origin("config", f"mapping.defaults.{field}", default, rule=_DEFAULT_RULE))

    def _from_artifact(self, field: str, key: str) -> Iterator[Candidate]:
        if self._environment is None:
            return
        for text in artifact_texts(self._environment, key):
            candidate = self._candidate(field, Origin("artifact", key, text), text)
            is_hint = ("artifact", key) in HINTS
            # If packages have both a client of a language model and a library for predictions, they show no kind.
            is_in_doubt = key == "packages" and candidate.value != NORMAL_FORMS[field][0]
            if not is_hint or (_has_known_value(candidate) and not is_in_doubt):
                yield candidate

    def _from_stage(self, field: str) -> Iterator[Candidate]:
        """Yield the value that the record's lifecycle stage implies for another field, with the stage's origin."""
        stage = next((candidate for candidate in self.for_field("lifecycle_stage") if candidate.is_known), None)
        form = self._index.normal_form(field, stage.value) if stage else None
        if stage and form:
            yield Candidate(form, stage.origin)

    def _candidates_by_synonym(
        self, source: ValueSourceKind, tags: Mapping[str, str]
    ) -> dict[str, Sequence[Candidate]]:
        """Return, by field, the candidates from the tags of an object whose keys are synonyms, the best first."""
        by_field: dict[str, list[tuple[_SortKey, Candidate]]] = {}
        for key, raw in tags.items():
            meaning = self._index.key_meaning(key)
            if meaning is None or not (value := raw.strip()):
                continue
            field = self._index.field_of_value(meaning, value)
            ranked = self._ranked_candidate(field, meaning, Origin(_origin_source(source), key, raw), value)
            if ranked is not None:
                by_field.setdefault(field, []).append(ranked)
        return {
            field: [candidate for _, candidate in (sorted(ranked, key=itemgetter(0)) if len(ranked) > 1 else ranked)]
            for field, ranked in by_field.items()
        }

    def _ranked_candidate(
        self, field: str, meaning: KeyMeaning, origin: Origin, value: str
    ) -> tuple[_SortKey, Candidate] | None:
        """Return a tag's candidate with its sort key, which orders the candidates of the same object.

        A yes ranks before a plain value, and a plain value before a no: `contains_pii: true` is more specific about
        personal data than `data_classification: internal`, and `contains_pii: false` is less specific. A refusal, a
        failure and a form that denies the field, such as `not_done`, rank before all other values, since no other tag
        of the same object outweighs them. A text without a meaning ranks last.
        """
        yes_no = meaning.yes_no
        answer = None if yes_no is None else self._index.parse_yes_no(value)
        if yes_no is None or answer is None:
            candidate = self._candidate(field, origin, value)
            if meaning.is_weak and (candidate.origin.state or not candidate.is_known):
                return None
            if meaning.is_for_denials and not _is_outcome(field, candidate):
                return None
            weight = _DENIAL_WEIGHT if denies(field, candidate) else _STATE_WEIGHTS[candidate.origin.state]
            is_foreign = yes_no is not None or field != meaning.field
            return (weight, is_foreign, meaning.rank, origin.key), candidate
        form = yes_no.affirmative if answer else yes_no.negative
        if form is None:
            return None
        candidate = Candidate(form, origin)
        weight = _DENIAL_WEIGHT if denies(field, candidate) else _YES_WEIGHT if answer else _NO_WEIGHT
        return (weight, True, meaning.rank, origin.key), candidate

    def _candidate(self, field: str, origin: Origin, value: str) -> Candidate:
        if field == "prompt_reference":
            value = linked_prompts_text(value)
        state, form = self._index.read_value(field, value)
        if state is not None:
            return Candidate(value, replace(origin, state=state))
        is_known = form is not None or field not in NORMAL_FORMS
        # In a text without a known form, a date could have any meaning, such as a deadline.
        if not is_known or field not in _MAY_CARRY_DATE:
            return Candidate(form or value, origin, is_known)
        reading = _read_date(field, value)
        return Candidate(
            form or value, replace(origin, dated=reading.dated) if reading.dated else origin, is_known, reading.problem
        )


def _read_date(field: str, value: str) -> DateReading:
    spec = FIELD_SPECS[field]
    reading = read_date(value, years_alone=spec.is_date or bool(spec.normal_forms))
    if spec.may_be_identifier and len(reading.dated or "") != len("2026-03-01"):
        return DateReading()
    return reading


def _rank(field: str, candidate: Candidate) -> int:
    """Return the position of a candidate's value among the field's normal forms. Any other value comes last."""
    forms = NORMAL_FORMS[field]
    return forms.index(candidate.value) if _has_known_value(candidate) else len(forms)


def _has_known_value(candidate: Candidate) -> bool:
    return candidate.is_known and candidate.origin.state is None


def _is_outcome(field: str, candidate: Candidate) -> bool:
    """Return whether a key that counts only for denials counts with this value.

    A tag of the training does not count: pipelines write `approved: false` before anybody has decided. Nor does a
    number as the result of an assessment: a scan with the result 0 found nothing.
    """
    is_of_training = candidate.origin.source in ("run tag", "logged model")
    is_number = not FIELD_SPECS[field].names_people and not any(map(str.isalpha, candidate.value))
    return denies(field, candidate) and not is_of_training and not is_number


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


def source_attributes(inputs: RecordInputs) -> dict[ValueSourceKind, dict[str, str | None]]:
    """Return the attributes in ``value_sources.SOURCE_ATTRIBUTES``, by object. Missing objects are left out."""
    version, model, run, logged_model = inputs.version, inputs.model, inputs.run, inputs.logged_model
    return {
        "version": {
            "current_stage": version.stage,
            "deployment_job_state": (
                None if version.deployment_job_state == _NO_DEPLOYMENT_JOB else version.deployment_job_state
            ),
            "description": version.description,
            "run_id": inputs.origin.run_id if inputs.origin else version.run_id,
            "source": version.source,
        },
        "model": {"description": model.description} if model else {},
        "run": {
            "artifact_uri": run.artifact_uri,
            "experiment_id": run.experiment_id,
            "status": run.status,
            "user_id": None if run.user_id == _UNKNOWN_USER else run.user_id,
        }
        if run
        else {},
        "experiment": {"name": inputs.experiment_name},
        "logged model": {
            "artifact_uri": logged_model.artifact_uri,
            "experiment_id": logged_model.experiment_id,
            "model_id": logged_model.model_id,
            "model_type": logged_model.model_type,
            "source_run_id": logged_model.source_run_id,
        }
        if logged_model
        else {},
    }
