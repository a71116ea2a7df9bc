"""Tag hygiene: values of no known form, texts that are not values, misspelled keys, and keys that no mapping covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import OSA

from verifywise_mlflow.normalizer.mapping.key_folding import fold, key_spellings
from verifywise_mlflow.normalizer.mapping.mapping_index import MappingIndex
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.origin import SourceKind, ValueState
from verifywise_mlflow.normalizer.record import MAY_LACK_VALUE, NORMAL_FORMS, TAG_FIELDS

_MIN_LENGTH_ONE_TYPO, _MIN_LENGTH_TWO_TYPOS = 5, 9
"""The minimum lengths of keys, in characters, for which a difference of one letter, or of two letters, counts as a
typo."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The use of a tag key on one kind of object."""

    source: SourceKind
    key: str
    uses: int
    """The number of objects that have the key."""
    example: tuple[str, int | None]
    """A model and a version with the key; the version is None if the tag is the model's own."""


@dataclass(frozen=True, slots=True)
class ValueUse:
    """A value under one key."""

    use: KeyUse
    value: str
    """The text, cut after 201 characters. No known form is that long."""


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A text that is not recognized as a value of its field, which has a closed set of values."""

    field: str
    found: ValueUse


@dataclass(frozen=True, slots=True)
class NoValue:
    """A text that is not a value, such as ``TBD``."""

    field: str
    found: ValueUse
    state: ValueState


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key that fills no field."""

    use: KeyUse
    probably: str | None
    """The known key that the tag key may misspell."""
    field: str | None
    """The field that the known key fills."""


@dataclass(frozen=True, slots=True)
class TagHygiene:
    """What can be fixed in a tenant's tags or added to its mapping; each list has the most used entry first."""

    misspelled: tuple[UnknownKey, ...]
    unknown_values: tuple[UnknownValue, ...]
    no_values: tuple[NoValue, ...]
    unmapped: tuple[UnknownKey, ...]
    read_keys: int
    """The number of distinct keys that the mapping covers; each kind of object counts separately."""
    is_cut: bool
    """Whether the least used keys or values are missing, because there are more than are examined."""


def fields_of(keys: Iterable[str], index: MappingIndex, fields: Collection[str]) -> dict[str, str]:
    """Return the keys that fill one of the fields, each with its field."""
    meanings = ((key, index.key_meaning(key)) for key in keys)
    return {key: meaning.field for key, meaning in meanings if meaning and meaning.field in fields}


def assess_tags(
    keys: Sequence[KeyUse], values: Sequence[ValueUse], mapping: TagMapping, index: MappingIndex, *, is_cut: bool
) -> TagHygiene:
    """Assess a tenant's tags against its mapping. ``keys`` must not contain MLflow's own keys."""
    known_keys = {fold(key): key for key in _known_keys(mapping)}
    unknown = [_unknown_key(use, known_keys, mapping, index) for use in keys if not _is_known_key(use.key, index)]
    assessed = [(field, value) for value in values if (field := _field_to_assess(value, index))]
    states = [(field, value, _state(value, field, index)) for field, value in assessed]
    return TagHygiene(
        misspelled=tuple(key for key in unknown if key.probably),
        unknown_values=tuple(
            UnknownValue(field, value)
            for field, value, state in states
            if state is None and not _is_known_value(value, field, index)
        ),
        no_values=tuple(NoValue(field, value, state) for field, value, state in states if state),
        unmapped=tuple(key for key in unknown if not key.probably),
        read_keys=len(keys) - len(unknown),
        is_cut=is_cut,
    )


def _is_known_key(key: str, index: MappingIndex) -> bool:
    return index.key_meaning(key) is not None or index.is_evaluation_key(key)


def _field_to_assess(use: ValueUse, index: MappingIndex) -> str | None:
    """Return the field that a value fills; None if this field accepts every text."""
    meaning = index.key_meaning(use.use.key)
    if meaning is None or meaning.is_weak or meaning.is_for_denials:
        return None
    field = index.field_of_value(meaning, use.value.strip())
    return field if field in NORMAL_FORMS or field in MAY_LACK_VALUE else None


def _is_known_value(use: ValueUse, field: str, index: MappingIndex) -> bool:
    value = use.value.strip()
    return (
        not value or field not in NORMAL_FORMS or index.normal_form(field, value) is not None or _is_answer(use, index)
    )


def _state(use: ValueUse, field: str, index: MappingIndex) -> ValueState | None:
    value = use.value.strip()
    return index.value_state(field, value) if value and not _is_answer(use, index) else None


def _is_answer(use: ValueUse, index: MappingIndex) -> bool:
    """Return whether the text is a yes or a no under a key that expects yes or no."""
    meaning = index.key_meaning(use.use.key)
    return bool(meaning and meaning.yes_no) and index.parse_yes_no(use.value.strip()) is not None


def _known_keys(mapping: TagMapping) -> Iterator[str]:
    for field in TAG_FIELDS:
        yield from mapping.keys(field)


def _unknown_key(use: KeyUse, known_keys: dict[str, str], mapping: TagMapping, index: MappingIndex) -> UnknownKey:
    for spelling in key_spellings(use.key, frozenset(map(fold, mapping.namespaces))):
        folded = "".join(spelling)
        max_typos = 2 if len(folded) >= _MIN_LENGTH_TWO_TYPOS else 1 if len(folded) >= _MIN_LENGTH_ONE_TYPO - 1 else 0
        if not max_typos:
            continue
        # The distance counts letters that are missing, added, replaced, or swapped with their neighbor.
        match = process.extractOne(folded, known_keys.keys(), scorer=OSA.distance, score_cutoff=max_typos)
        if match and len(match[0]) >= _MIN_LENGTH_ONE_TYPO:
            meaning = index.key_meaning(known_keys[match[0]])
            return UnknownKey(use, known_keys[match[0]], meaning.field if meaning else None)
    return UnknownKey(use, None, None)
