"""A lookup index over a tag mapping. It is built once and used for every tag of every version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from verifywise_mlflow.common.globs import GlobTable, compile_globs
from verifywise_mlflow.normalizer.mapping.canonical_values import MAX_VALUE_LENGTH, NormalFormReader
from verifywise_mlflow.normalizer.mapping.key_folding import fold, key_spellings, split_words
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, YesNoKey
from verifywise_mlflow.normalizer.mapping.value_sources import TAG_SOURCES, ValueSource
from verifywise_mlflow.normalizer.mapping.value_states import ANY_FIELD, MAX_TEXT_LENGTH, ValueStateReader
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import ATTESTATIONS, MAY_LACK_VALUE, NORMAL_FORMS

_NUMBER = re.compile(r"v?\d+")
_STAGELESS_WORD = re.compile(r"(?:v|ver|version|r|rev|build|run|q)?\d+(?:q\d)?|(?=[a-f]*\d)[0-9a-f]{7,64}")
"""A word of an alias that is a number, a date, or a hash."""


class ValueReading(NamedTuple):
    """The meaning of a text as a value of a field."""

    state: ValueState | None
    """Why the text is not a value; None if it is a value, such as a normal form."""
    form: str | None
    """The normal form of the text. None if the form is unknown or in doubt, and for a field without normal forms."""


_FREE_TEXT: Final = ValueReading(None, None)


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """The meaning of a tag key."""

    field: str
    rank: int
    """The key's position among the field's keys or yes/no keys; 0 is the best."""
    yes_no: YesNoKey | None = None
    """The normal forms for yes and for no; None if the key is not a yes/no key."""
    is_weak: bool = False
    """Whether the key counts only with a value of a known form."""
    is_for_denials: bool = False
    """Whether the key counts only with a text that denies the field, which is an attestation."""


class MappingIndex:
    """The meanings of one tenant's keys, values and alias names."""

    def __init__(self, mapping: TagMapping) -> None:
        self._precedence = dict(mapping.precedence)
        self._namespaces = frozenset(map(fold, mapping.namespaces))
        self._meanings = dict(_meanings(mapping))
        self._meanings_for_denials = dict(_meanings_for_denials(mapping))
        self._key_patterns = GlobTable(mapping.key_patterns)
        self._last_rank = max(map(len, mapping.synonyms.values()), default=0)
        self.defaults = dict(mapping.defaults)
        self._fields_from_synonyms_alone = frozenset(
            field
            for field, sources in mapping.precedence.items()
            if all(
                (source.source == "config" and field not in self.defaults)
                or (source.source in TAG_SOURCES and source.key is None)
                for source in sources
            )
        )
        self._stages = {fold(alias): stage for stage, aliases in mapping.aliases.items() for alias in aliases}
        self._qualifiers = frozenset(map(fold, mapping.alias_qualifiers))
        self._stageless_words = frozenset(map(fold, mapping.stageless_aliases))
        self._yes = frozenset(map(fold, mapping.answers.affirmative))
        self._no = frozenset(map(fold, mapping.answers.negative))
        self._form_readers = {
            field: NormalFormReader(
                mapping.values.get(field, {}), mapping.fillers.get(field, ()), mapping.value_patterns.get(field)
            )
            for field in NORMAL_FORMS
        }
        self._state_readers = {
            field: ValueStateReader(field, mapping.value_states.get(ANY_FIELD, {}), mapping.value_states.get(field, {}))
            for field in MAY_LACK_VALUE
        }
        # A tag may contain an alias name of a stage. The spellings for tags take precedence.
        self._alias_reader = NormalFormReader(mapping.aliases, mapping.fillers.get("lifecycle_stage", ()))
        self._related_forms = mapping.related_fields
        self._evaluation_pattern = _evaluation_pattern(mapping)
        # The same keys recur in every version. The cache is bounded, since the server decides how many keys there are.
        self.key_meaning = lru_cache(maxsize=8192)(self._key_meaning)
        self.is_evaluation_key = lru_cache(maxsize=8192)(self._is_evaluation_key)
        self.stage_of_alias = lru_cache(maxsize=8192)(self._stage_of_alias)
        self.deployment_of_alias = lru_cache(maxsize=8192)(self._deployment_of_alias)
        self._cached_reading = lru_cache(maxsize=8192)(self._reading)
        self._cached_normal_form = lru_cache(maxsize=8192)(self._normal_form)

    def value_sources(self, field: str) -> tuple[ValueSource, ...]:
        """Return the sources of a field's value, in order of precedence."""
        return self._precedence.get(field, ())

    def is_from_synonyms_alone(self, field: str) -> bool:
        """Return whether the field can be filled only by tags whose key is a synonym of the field."""
        return field in self._fields_from_synonyms_alone

    def _stage_of_alias(self, alias: str) -> str | None:
        """Return the lifecycle stage that an alias implies, even an alias such as ``prod-eu`` or ``champion_v2``."""
        exact = self._stages.get(fold(alias))
        return exact if exact is not None else self._stages.get("".join(self._distinctive_words(alias)))

    def _deployment_of_alias(self, alias: str) -> str | None:
        """Return the deployment status that an alias such as ``canary`` states by itself."""
        if self._is_stageless(alias):
            return None
        texts = (alias, " ".join(self._distinctive_words(alias)))
        return next(filter(None, (self.normal_form("deployment_status", text) for text in texts)), None)

    def is_unknown_alias(self, alias: str) -> bool:
        """Return whether an alias other than a number or ``latest`` states neither a stage nor a deployment."""
        return not (self.stage_of_alias(alias) or self.deployment_of_alias(alias) or self._is_stageless(alias))

    def _distinctive_words(self, alias: str) -> list[str]:
        return [word for word in split_words(alias) if word not in self._qualifiers and not _NUMBER.fullmatch(word)]

    def _is_stageless(self, alias: str) -> bool:
        return all(
            word in self._stageless_words or _STAGELESS_WORD.fullmatch(word) is not None for word in split_words(alias)
        )

    def normal_form(self, field: str, value: str) -> str | None:
        """Return a value's normal form; None if it is unknown or in doubt, and for a field without normal forms."""
        if field not in self._form_readers or len(value) > MAX_VALUE_LENGTH:
            return None
        return self._cached_normal_form(field, value)

    def _normal_form(self, field: str, value: str) -> str | None:
        if self._is_doubted(field, value):
            return None
        form = self._form_readers[field].read(value)
        if form is None and field == "lifecycle_stage":
            return self._alias_reader.read(value)
        return form

    def field_of_value(self, meaning: KeyMeaning, value: str) -> str:
        """Return the field that a key's value fills: a related field if the value has a form of that field only."""
        related = self._related_forms.get(meaning.field)
        # A single character is a form of a tier, but could have any meaning under another key.
        if not related or len(fold(value)) < 2 or self.normal_form(meaning.field, value) is not None:
            return meaning.field
        if meaning.yes_no and self.parse_yes_no(value) is not None:
            return meaning.field
        return next(
            (field for field, forms in related.items() if self.normal_form(field, value) in forms), meaning.field
        )

    def parse_yes_no(self, value: str) -> bool | None:
        """Return True for a value that means yes, False for a value that means no, and None for any other value."""
        folded = fold(value)
        return True if folded in self._yes else False if folded in self._no else None

    def value_state(self, field: str, value: str) -> ValueState | None:
        """Return why a text is not a value of a field; None if it is a value, such as a normal form."""
        return self.read_value(field, value).state

    def read_value(self, field: str, value: str) -> ValueReading:
        """Return the meaning of a text as a value of a field."""
        if field not in self._state_readers and field not in self._form_readers:
            return _FREE_TEXT
        # The text is cut, so that the cache holds no texts of 100,000 characters. No form is longer than the cut text.
        return self._cached_reading(field, value[: MAX_TEXT_LENGTH + 1])

    def _reading(self, field: str, value: str) -> ValueReading:
        form = self.normal_form(field, value)
        return ValueReading(None if form is not None else self._value_state(field, value), form)

    def _value_state(self, field: str, value: str) -> ValueState | None:
        reader = self._state_readers.get(field)
        if reader is None:
            return None
        # A doubt whether a version is deployed must leave the rules on use undecided, as an unknown text does.
        if reader.is_doubted(value):
            return None if field == "deployment_status" else ValueState.PLACEHOLDER
        return reader.read(value)

    def _is_doubted(self, field: str, value: str) -> bool:
        reader = self._state_readers.get(field)
        return reader is not None and reader.is_doubted(value)

    def _key_meaning(self, key: str) -> KeyMeaning | None:
        spellings = tuple(key_spellings(key, self._namespaces))
        for spelling in spellings:
            meaning = self._meanings.get("".join(spelling))
            if meaning is not None:
                return meaning
        for spelling in spellings:
            field = self._key_patterns.match(spelling)
            if field is not None:
                return KeyMeaning(field, self._last_rank)
        # A key with a meaning of its own keeps it, such as `dpia_status`.
        found = (self._meanings_for_denials.get("".join(spelling)) for spelling in spellings)
        return next(filter(None, found), None)

    def _is_evaluation_key(self, key: str) -> bool:
        return any(
            self._evaluation_pattern.match("_".join(spelling)) for spelling in key_spellings(key, self._namespaces)
        )


@lru_cache(maxsize=64)
def mapping_index(mapping: TagMapping) -> MappingIndex:
    """Return the index of a mapping. It is built once per mapping."""
    return MappingIndex(mapping)


def _meanings(mapping: TagMapping) -> Iterable[tuple[str, KeyMeaning]]:
    for field, keys in mapping.synonyms.items():
        for rank, key in enumerate(keys):
            yield fold(key), KeyMeaning(field, rank)
    for field, keys in mapping.weak_synonyms.items():
        for rank, key in enumerate(keys, start=len(mapping.synonyms.get(field, ()))):
            yield fold(key), KeyMeaning(field, rank, is_weak=True)
    for field, yes_no_keys in mapping.questions.items():
        # If two keys of one field both have the value yes, the more severe form counts. NORMAL_FORMS lists it first.
        forms = NORMAL_FORMS[field]
        for key, yes_no in yes_no_keys.items():
            yield fold(key), KeyMeaning(field, forms.index(yes_no.affirmative or forms[-1]), yes_no)


def _meanings_for_denials(mapping: TagMapping) -> Iterable[tuple[str, KeyMeaning]]:
    for field in ATTESTATIONS:
        denial_keys = mapping.denial_keys.get(field, ())
        rank = len(mapping.synonyms.get(field, ()))
        for key in denial_keys:
            yield fold(key), KeyMeaning(field, rank, is_for_denials=True)
        for key in (*mapping.synonyms.get(field, ()), *denial_keys):
            for suffix in mapping.denial_suffixes:
                yield fold(f"{key}_{suffix}"), KeyMeaning(field, rank, is_for_denials=True)


def _evaluation_pattern(mapping: TagMapping) -> re.Pattern[str]:
    metrics = ["_".join(split_words(metric)) for metric in mapping.metrics]
    metric_globs = [glob for name in metrics for glob in (name, f"{name}_*", f"*_{name}")]
    return compile_globs([*mapping.evaluation_keys, *metric_globs])
