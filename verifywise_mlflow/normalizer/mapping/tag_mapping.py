"""The tag mapping: which of a customer's words stand for which of ours. The default is data, in mapping.yaml."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.key_folding import fold, is_system_key
from verifywise_mlflow.normalizer.mapping.value_sources import DEFAULTED_FIELDS, PLACED_FIELDS, TAG_FIELDS, Place


def _text(written: object) -> object:
    if isinstance(written, bool) or written is None:
        raise ValueError("YAML reads yes, no, on, off, true, false and null as no text: put the word in quotes")
    return str(written) if isinstance(written, int | float) else written


def _comparable(word: str) -> str:
    if not fold(word):
        raise ValueError(f"{word!r} has no letter or digit to compare")
    return word


def _tag_key(key: str) -> str:
    if is_system_key(key):
        raise ValueError(f"{key} is MLflow's own key: name it under precedence, as {{run tag: {key}}}")
    return key


def _one_of(known: Collection[str], what: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"{name!r} is no {what}; there are {', '.join(known)}")
        return name

    return AfterValidator(check)


Word = Annotated[str, BeforeValidator(_text), AfterValidator(_comparable)]
TagKey = Annotated[Word, AfterValidator(_tag_key)]
TagField = Annotated[str, _one_of(TAG_FIELDS, "field that tags fill")]
PlacedField = Annotated[str, _one_of(PLACED_FIELDS, "field whose place can be chosen")]
DefaultedField = Annotated[str, _one_of(DEFAULTED_FIELDS, "field that can be stated for all versions")]
ClosedField = Annotated[str, _one_of(tuple(NORMAL_FORMS), "field with normal forms")]
Stage = Annotated[str, _one_of(NORMAL_FORMS["lifecycle_stage"], "lifecycle stage")]

_Name = TypeVar("_Name", bound=str)
_Entry = TypeVar("_Entry")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Question(_Part):
    """What yes and no say about a field, where a key asks a question. None: that answer says nothing."""

    affirmative: str | None = None
    negative: str | None = None


class Answers(_Part):
    """Ways to write yes and no."""

    affirmative: tuple[Word, ...] = ()
    negative: tuple[Word, ...] = ()


class TagMapping(_Part):
    """Which keys, values and alias names stand for what. mapping.yaml explains and fills each part."""

    namespaces: tuple[Word, ...] = ()
    synonyms: Mapping[TagField, tuple[TagKey, ...]] = Field(default_factory=dict)
    key_patterns: Mapping[TagField, tuple[Word, ...]] = Field(default_factory=dict)
    precedence: Mapping[PlacedField, tuple[Place, ...]] = Field(default_factory=dict)
    replace_precedence: Mapping[PlacedField, tuple[Place, ...]] = Field(default_factory=dict)
    """Places that are looked at instead of those of the mapping that this one extends, not before them."""
    defaults: Mapping[DefaultedField, Word] = Field(default_factory=dict)
    values: Mapping[ClosedField, Mapping[str, tuple[Word, ...]]] = Field(default_factory=dict)
    value_patterns: Mapping[ClosedField, Mapping[str, tuple[Word, ...]]] = Field(default_factory=dict)
    fillers: Mapping[ClosedField, tuple[Word, ...]] = Field(default_factory=dict)
    questions: Mapping[ClosedField, Mapping[TagKey, Question]] = Field(default_factory=dict)
    answers: Answers = Answers()
    aliases: Mapping[Stage, tuple[Word, ...]] = Field(default_factory=dict)
    alias_qualifiers: tuple[Word, ...] = ()
    evaluation_keys: tuple[str, ...] = ()
    metrics: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _uses_known_forms(self) -> TagMapping:
        for field, forms in (*self.values.items(), *self.value_patterns.items()):
            _check_forms(field, forms)
        for field, stated in self.defaults.items():
            if field in NORMAL_FORMS:
                _check_forms(field, [stated])
        for field, questions in self.questions.items():
            for question in questions.values():
                _check_forms(field, filter(None, (question.affirmative, question.negative)))
        return self

    @model_validator(mode="after")
    def _says_once_where_to_look(self) -> TagMapping:
        if both := sorted(set(self.precedence) & set(self.replace_precedence)):
            raise ValueError(f"{both[0]} stands under both precedence and replace_precedence: choose one")
        return self

    @model_validator(mode="after")
    def _gives_each_word_one_meaning(self) -> TagMapping:
        keys = {field: (*self.synonyms.get(field, ()), *self.questions.get(field, ())) for field in TAG_FIELDS}
        for named in (keys, self.aliases, *self.values.values()):
            claims: dict[str, str] = {}
            for name, entries in named.items():
                for entry in entries:
                    if claims.setdefault(fold(entry), name) != name:
                        raise ValueError(f"{entry!r} stands for both {claims[fold(entry)]} and {name}: choose one")
        return self

    def extended_by(self, other: TagMapping) -> TagMapping:
        """Return this mapping with another's entries before its own.

        What the other says a word stands for holds: the word is taken out wherever this mapping had it.
        """
        claimed = {fold(key) for keys in (*other.synonyms.values(), *other.questions.values()) for key in keys}
        return TagMapping(
            namespaces=_joined(other.namespaces, self.namespaces),
            synonyms=_merged(other.synonyms, self.synonyms, claimed),
            key_patterns=_merged(other.key_patterns, self.key_patterns, ()),
            precedence={
                field: _joined(other.precedence.get(field, ()), self.precedence.get(field, ()))
                for field in _joined(other.precedence, self.precedence)
            }
            | dict(other.replace_precedence),
            defaults={**self.defaults, **other.defaults},
            values={
                field: _merged(other.values.get(field, {}), self.values.get(field, {}))
                for field in _joined(other.values, self.values)
            },
            value_patterns={
                field: _merged(other.value_patterns.get(field, {}), self.value_patterns.get(field, {}))
                for field in _joined(other.value_patterns, self.value_patterns)
            },
            fillers=_merged(other.fillers, self.fillers, ()),
            questions={
                field: {
                    **other.questions.get(field, {}),
                    **{key: asked for key, asked in self.questions.get(field, {}).items() if fold(key) not in claimed},
                }
                for field in _joined(other.questions, self.questions)
            },
            answers=Answers(
                affirmative=_joined(other.answers.affirmative, self.answers.affirmative),
                negative=_joined(other.answers.negative, self.answers.negative),
            ),
            aliases=_merged(other.aliases, self.aliases),
            alias_qualifiers=_joined(other.alias_qualifiers, self.alias_qualifiers),
            evaluation_keys=_joined(other.evaluation_keys, self.evaluation_keys),
            metrics=_joined(other.metrics, self.metrics),
        )

    def digest(self) -> str:
        """Return the SHA-256, in hex, of the mapping's canonical JSON; records made with another one are outdated."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def __hash__(self) -> int:
        return hash(self._digest)


@cache
def default_mapping() -> TagMapping:
    """Return the mapping of mapping.yaml, which a tenant's own extends."""
    text = files(__package__).joinpath("mapping.yaml").read_text(encoding="utf-8")
    # libyaml's parser, in C, saves each process a tenth of a second over yaml.safe_load.
    return TagMapping.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))


def _check_forms(field: str, forms: Iterable[str]) -> None:
    for form in forms:
        if form not in NORMAL_FORMS[field]:
            raise ValueError(f"{form!r} is no form of {field}; there are {', '.join(NORMAL_FORMS[field])}")


def _joined(first: Iterable[_Entry], second: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _merged(
    first: Mapping[_Name, tuple[str, ...]],
    second: Mapping[_Name, tuple[str, ...]],
    claimed: Collection[str] | None = None,
) -> dict[_Name, tuple[str, ...]]:
    """Join two lists per name; ``second`` loses what is ``claimed`` (default: every word in ``first``)."""
    if claimed is None:
        claimed = {fold(word) for words in first.values() for word in words}
    return {
        name: _joined(first.get(name, ()), (word for word in second.get(name, ()) if fold(word) not in claimed))
        for name in _joined(first, second)
    }
