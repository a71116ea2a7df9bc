"""The tag mapping: translates a customer's keys and values to our fields and normal forms.

The default mapping is data, in mapping.yaml and value_states.yaml.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.common.strict_yaml import PackagedFileLoader
from verifywise_mlflow.normalizer.mapping.key_folding import fold, is_system_key
from verifywise_mlflow.normalizer.mapping.value_sources import ValueSource
from verifywise_mlflow.normalizer.mapping.value_states import ANY_FIELD, ORDINARY
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import (
    ATTESTATIONS,
    DEFAULTABLE_FIELDS,
    MAY_LACK_VALUE,
    NORMAL_FORMS,
    PRECEDENCE_FIELDS,
    TAG_FIELDS,
)


def _text(value: object) -> object:
    if isinstance(value, bool) or value is None:
        raise ValueError("YAML does not read yes, no, on, off, true, false and null as text: put the word in quotes")
    return str(value) if isinstance(value, int | float) else value


def _has_a_letter_or_digit(word: str) -> str:
    if not fold(word):
        raise ValueError(f"{word!r} has no letter or digit to compare")
    return word


def _is_no_mere_wildcard(text: str) -> str:
    if not text.strip("*? "):
        raise ValueError(f"{text!r} matches every text: name the text, or a part of it")
    return text


def _tag_key(key: str) -> str:
    if is_system_key(key):
        raise ValueError(f"{key} is MLflow's own key: name it under precedence, as {{run tag: {key}}}")
    return key


def _one_of(choices: Collection[str], label: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in choices:
            raise ValueError(f"{name!r} is not a {label}; write one of {', '.join(choices)}")
        return name

    return AfterValidator(check)


Word = Annotated[str, BeforeValidator(_text), AfterValidator(_has_a_letter_or_digit)]
TagKey = Annotated[Word, AfterValidator(_tag_key)]
TextOrGlob = Annotated[str, BeforeValidator(_text), AfterValidator(_is_no_mere_wildcard)]
TagField = Annotated[str, _one_of(TAG_FIELDS, "field that tags can fill")]
PrecedenceField = Annotated[str, _one_of(PRECEDENCE_FIELDS, "field with a precedence")]
DefaultableField = Annotated[str, _one_of(DEFAULTABLE_FIELDS, "field that can have a default")]
Attestation = Annotated[str, _one_of(ATTESTATIONS, "attestation")]
ClosedField = Annotated[str, _one_of(tuple(NORMAL_FORMS), "field with normal forms")]
Stage = Annotated[str, _one_of(NORMAL_FORMS["lifecycle_stage"], "lifecycle stage")]
StateField = Annotated[str, _one_of((ANY_FIELD, *MAY_LACK_VALUE), "field whose text may be no value")]
State = Annotated[str, _one_of((*ValueState, ORDINARY), "state of a text")]

_Name = TypeVar("_Name", bound=str)
_Entry = TypeVar("_Entry")


class _Section(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class YesNoKey(_Section):
    """A key whose value is yes or no, such as ``contains_pii``, and the normal form for each. None means no form."""

    affirmative: str | None = None
    negative: str | None = None


class YesNoWords(_Section):
    """Spellings of yes and no."""

    affirmative: tuple[Word, ...] = ()
    negative: tuple[Word, ...] = ()


class TagMapping(_Section):
    """The meanings of keys, values and alias names. The files of the default mapping explain each section."""

    namespaces: tuple[Word, ...] = ()
    synonyms: Mapping[TagField, tuple[TagKey, ...]] = Field(default_factory=dict)
    weak_synonyms: Mapping[ClosedField, tuple[TagKey, ...]] = Field(default_factory=dict)
    """Keys that count only with a value of a known form."""
    denial_keys: Mapping[Attestation, tuple[TagKey, ...]] = Field(default_factory=dict)
    """Keys that count only with a text that denies the attestation."""
    denial_suffixes: tuple[Word, ...] = ()
    """Words that make such a key of any key of an attestation."""
    key_patterns: Mapping[TagField, tuple[Word, ...]] = Field(default_factory=dict)
    precedence: Mapping[PrecedenceField, tuple[ValueSource, ...]] = Field(default_factory=dict)
    replace_precedence: Mapping[PrecedenceField, tuple[ValueSource, ...]] = Field(default_factory=dict)
    """Field to its sources. They replace the sources of the extended mapping, instead of taking precedence over
    them."""
    defaults: Mapping[DefaultableField, Word] = Field(default_factory=dict)
    values: Mapping[ClosedField, Mapping[str, tuple[Word, ...]]] = Field(default_factory=dict)
    value_patterns: Mapping[ClosedField, Mapping[str, tuple[Word, ...]]] = Field(default_factory=dict)
    fillers: Mapping[ClosedField, tuple[Word, ...]] = Field(default_factory=dict)
    related_fields: Mapping[ClosedField, Mapping[ClosedField, tuple[Word, ...]]] = Field(default_factory=dict)
    """Field to related fields with their forms. A value under the field's keys may fill a related field instead."""
    value_states: Mapping[StateField, Mapping[State, tuple[TextOrGlob, ...]]] = Field(default_factory=dict)
    """Field and value state to the words and globs of texts that are not values."""
    questions: Mapping[ClosedField, Mapping[TagKey, YesNoKey]] = Field(default_factory=dict)
    answers: YesNoWords = YesNoWords()
    aliases: Mapping[Stage, tuple[Word, ...]] = Field(default_factory=dict)
    alias_qualifiers: tuple[Word, ...] = ()
    stageless_aliases: tuple[Word, ...] = ()
    """Words of aliases that do not concern use."""
    evaluation_keys: tuple[str, ...] = ()
    metrics: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _uses_known_forms(self) -> TagMapping:
        for field, forms in (*self.values.items(), *self.value_patterns.items()):
            _check_forms(field, forms)
        for field, default in self.defaults.items():
            if field in NORMAL_FORMS:
                _check_forms(field, [default])
        for forms_by_field in self.related_fields.values():
            for related, related_forms in forms_by_field.items():
                _check_forms(related, related_forms)
        for field, yes_no_keys in self.questions.items():
            for yes_no in yes_no_keys.values():
                _check_forms(field, filter(None, (yes_no.affirmative, yes_no.negative)))
        return self

    @model_validator(mode="after")
    def _states_each_precedence_once(self) -> TagMapping:
        if both := sorted(set(self.precedence) & set(self.replace_precedence)):
            raise ValueError(f"{both[0]} is listed under both precedence and replace_precedence: choose one")
        return self

    @model_validator(mode="after")
    def _compares_only_normal_forms(self) -> TagMapping:
        for field, sources in (*self.precedence.items(), *self.replace_precedence.items()):
            named = {member.source for source in sources for member in (source, *source.members)}
            if "lifecycle stage" in named and field != "deployment_status":
                raise ValueError(f"{field}: 'lifecycle stage' is a source of deployment_status alone")
            if field not in NORMAL_FORMS and any(source.members for source in sources):
                raise ValueError(f"{field}: 'highest of' is for fields with normal forms: {', '.join(NORMAL_FORMS)}")
        return self

    @model_validator(mode="after")
    def _gives_each_word_one_meaning(self) -> TagMapping:
        keys = {field: tuple(self.keys(field)) for field in TAG_FIELDS}
        for named in (keys, self.aliases, *self.values.values(), *self.value_states.values()):
            claims: dict[str, str] = {}
            for name, entries in named.items():
                for entry in entries:
                    if claims.setdefault(fold(entry), name) != name:
                        raise ValueError(f"{entry!r} stands for both {claims[fold(entry)]} and {name}: choose one")
        return self

    def keys(self, field: str) -> Iterator[str]:
        """Yield the keys that may fill a field."""
        for keys in (self.synonyms, self.weak_synonyms, self.denial_keys, self.questions):
            yield from keys.get(field, ())

    def extended_by(self, other: TagMapping) -> TagMapping:
        """Return this mapping with the entries of another mapping before its own entries.

        The other mapping's meaning of a word overrides the meaning in this mapping: the word is removed wherever this
        mapping had it. Most tenants have no mapping. Then nothing is joined, since validating a joined mapping takes as
        long as two stages.
        """
        if other == TagMapping():
            return self
        claimed = {fold(key) for field in TAG_FIELDS for key in other.keys(field)}
        return TagMapping(
            namespaces=_union(other.namespaces, self.namespaces),
            synonyms=_merge(other.synonyms, self.synonyms, claimed),
            weak_synonyms=_merge(other.weak_synonyms, self.weak_synonyms, claimed),
            denial_keys=_merge(other.denial_keys, self.denial_keys, claimed),
            denial_suffixes=_union(other.denial_suffixes, self.denial_suffixes),
            key_patterns=_merge(other.key_patterns, self.key_patterns, ()),
            precedence={
                field: _union(other.precedence.get(field, ()), self.precedence.get(field, ()))
                for field in _union(other.precedence, self.precedence)
            }
            | dict(other.replace_precedence),
            defaults={**self.defaults, **other.defaults},
            values={
                field: _merge(other.values.get(field, {}), self.values.get(field, {}))
                for field in _union(other.values, self.values)
            },
            value_patterns={
                field: _merge(other.value_patterns.get(field, {}), self.value_patterns.get(field, {}))
                for field in _union(other.value_patterns, self.value_patterns)
            },
            fillers=_merge(other.fillers, self.fillers, ()),
            related_fields={
                field: {**self.related_fields.get(field, {}), **other.related_fields.get(field, {})}
                for field in _union(other.related_fields, self.related_fields)
            },
            value_states={
                field: _merge(other.value_states.get(field, {}), self.value_states.get(field, {}))
                for field in _union(other.value_states, self.value_states)
            },
            questions={
                field: {
                    **other.questions.get(field, {}),
                    **{
                        key: yes_no for key, yes_no in self.questions.get(field, {}).items() if fold(key) not in claimed
                    },
                }
                for field in _union(other.questions, self.questions)
            },
            answers=YesNoWords(
                affirmative=_union(other.answers.affirmative, self.answers.affirmative),
                negative=_union(other.answers.negative, self.answers.negative),
            ),
            aliases=_merge(other.aliases, self.aliases),
            alias_qualifiers=_union(other.alias_qualifiers, self.alias_qualifiers),
            stageless_aliases=_union(other.stageless_aliases, self.stageless_aliases),
            evaluation_keys=_union(other.evaluation_keys, self.evaluation_keys),
            metrics=_union(other.metrics, self.metrics),
        )

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the mapping's canonical JSON. Records with another digest are outdated."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return sha256_of(canonical_json(self.model_dump(mode="json")))

    def __hash__(self) -> int:
        return hash(self._digest)


@cache
def default_mapping() -> TagMapping:
    """Return the default mapping, which a tenant's own mapping extends."""
    return TagMapping.model_validate({**_packaged("mapping.yaml"), "value_states": _packaged("value_states.yaml")})


def _packaged(name: str) -> dict[str, object]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    content: dict[str, object] = yaml.load(text, Loader=PackagedFileLoader)  # noqa: S506  # a CSafeLoader
    return content


def _check_forms(field: str, forms: Iterable[str]) -> None:
    for form in forms:
        if form not in NORMAL_FORMS[field]:
            raise ValueError(f"{form!r} is not a form of {field}; write one of {', '.join(NORMAL_FORMS[field])}")


def _union(first: Iterable[_Entry], second: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _merge(
    first: Mapping[_Name, tuple[str, ...]],
    second: Mapping[_Name, tuple[str, ...]],
    claimed: Collection[str] | None = None,
) -> dict[_Name, tuple[str, ...]]:
    """Join two lists per name. The ``claimed`` words (default: every word in ``first``) are left out of ``second``."""
    if claimed is None:
        claimed = {fold(word) for words in first.values() for word in words}
    return {
        name: _union(first.get(name, ()), (word for word in second.get(name, ()) if fold(word) not in claimed))
        for name in _union(first, second)
    }
