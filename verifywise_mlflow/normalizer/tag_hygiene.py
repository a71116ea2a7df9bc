"""How well a tenant's tags can be read: values of no known form, keys that look misspelt, keys nobody mapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import OSA

from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS
from verifywise_mlflow.normalizer.mapping.key_folding import fold, spellings
from verifywise_mlflow.normalizer.mapping.mapping_index import Vocabulary
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.record import SourceKind

_ONE_SLIP, _TWO_SLIPS = 5, 9
"""Letters from which on a key with one letter wrong, or two, is more likely a slip than another word."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A tag key on one kind of object."""

    source: SourceKind
    key: str
    uses: int
    """Objects that have it."""
    example: tuple[str, int | None]
    """A model where it stands, and a version; None where the tag is the model's own."""


@dataclass(frozen=True, slots=True)
class ValueUse:
    """A value under one key."""

    use: KeyUse
    value: str
    """Cut after 201 characters, which is longer than any known form."""


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A value that should have a normal form, and has none that is known."""

    field: str
    found: ValueUse


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key that fills no field."""

    use: KeyUse
    probably: str | None
    """The known key that it may be a slip of."""
    field: str | None
    """The field that the known key fills."""


@dataclass(frozen=True, slots=True)
class TagHygiene:
    """What could be mended in a tenant's tags, or added to its mapping; of each list, the most used first."""

    misspelt: tuple[UnknownKey, ...]
    unknown_values: tuple[UnknownValue, ...]
    unmapped: tuple[UnknownKey, ...]
    read_keys: int
    """Distinct keys that are understood, each kind of object counted apart."""
    is_cut: bool
    """Whether there are more distinct keys or values than are looked at: the least used ones are missing."""


def fields_with_forms(keys: Iterable[str], vocabulary: Vocabulary) -> dict[str, str]:
    """Return, of the keys, those whose values should have a normal form, with their fields."""
    meanings = ((key, vocabulary.meaning(key)) for key in keys)
    return {key: meaning.field for key, meaning in meanings if meaning and meaning.field in NORMAL_FORMS}


def hygiene(
    keys: Sequence[KeyUse], values: Sequence[ValueUse], mapping: TagMapping, vocabulary: Vocabulary, *, is_cut: bool
) -> TagHygiene:
    """Judge the tags of a tenant by its mapping. MLflow's own keys are not to be among them."""
    known = {fold(key): key for key in _known_keys(mapping)}
    unknown = [_unknown(use, known, mapping, vocabulary) for use in keys if not _is_read(use.key, vocabulary)]
    fields = fields_with_forms({value.use.key for value in values}, vocabulary)
    return TagHygiene(
        misspelt=tuple(key for key in unknown if key.probably),
        unknown_values=tuple(
            UnknownValue(fields[value.use.key], value)
            for value in values
            if value.use.key in fields and not _is_known(value, fields[value.use.key], vocabulary)
        ),
        unmapped=tuple(key for key in unknown if not key.probably),
        read_keys=len(keys) - len(unknown),
        is_cut=is_cut,
    )


def _is_read(key: str, vocabulary: Vocabulary) -> bool:
    return vocabulary.meaning(key) is not None or vocabulary.tells_of_evaluation(key)


def _is_known(found: ValueUse, field: str, vocabulary: Vocabulary) -> bool:
    value = found.value.strip()
    meaning = vocabulary.meaning(found.use.key)
    asks = meaning is not None and meaning.question is not None
    return not value or vocabulary.form(field, value) is not None or (asks and vocabulary.answer(value) is not None)


def _known_keys(mapping: TagMapping) -> Iterator[str]:
    for keys in (*mapping.synonyms.values(), *mapping.questions.values()):
        yield from keys


def _unknown(use: KeyUse, known: dict[str, str], mapping: TagMapping, vocabulary: Vocabulary) -> UnknownKey:
    for spelling in spellings(use.key, frozenset(map(fold, mapping.namespaces))):
        folded = "".join(spelling)
        slips = 2 if len(folded) >= _TWO_SLIPS else 1 if len(folded) >= _ONE_SLIP - 1 else 0
        # Letters that were left out, put in, exchanged, or that changed places with their neighbour.
        found = process.extractOne(folded, known.keys(), scorer=OSA.distance, score_cutoff=slips) if slips else None
        if found and len(found[0]) >= _ONE_SLIP:
            meaning = vocabulary.meaning(known[found[0]])
            return UnknownKey(use, known[found[0]], meaning.field if meaning else None)
    return UnknownKey(use, None, None)
