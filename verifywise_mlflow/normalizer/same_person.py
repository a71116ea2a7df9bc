"""Whether two texts may name the same person: the four-eyes principle requires a second person.

The people who attest something (approver, reviewer, validator) are compared with each other and with the people who
made the model. In doubt, two names count as one person. For example, a name that may be the owner's name counts as the
owner. So a doubt is never evidence of a second person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import permutations
from typing import Final

from verifywise_mlflow.normalizer.mapping.dates import strip_dates
from verifywise_mlflow.normalizer.mapping.key_folding import fold, split_words
from verifywise_mlflow.normalizer.record import FIELD_SPECS

PEOPLE_FIELDS: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.names_people)
"""The fields that name people."""
ATTESTING_FIELDS: Final = tuple(field for field in PEOPLE_FIELDS if FIELD_SPECS[field].is_attestation)
"""The fields that name people who vouch for the version."""
DEVELOPING_FIELDS: Final = tuple(field for field in PEOPLE_FIELDS if field not in ATTESTING_FIELDS)
"""The fields that name people who made the version or answer for it."""

_MAX_TEXT_LENGTH: Final = 200
"""The number of characters of a text that are compared; a tag may have 100,000 characters."""
_MAX_PEOPLE: Final = 12
_MAX_WORDS: Final = 4
"""The maximum number of words in a name that an account may abbreviate."""
_MIN_LENGTH_WITH_TYPO: Final = 7
"""The minimum number of letters in a name for which a difference of one letter counts as a misspelling."""
_MIN_ABBREVIATION: Final = 3
"""The minimum number of letters that an account has of at least one word, unless it consists of initials only: `adlov`
is Ada Lovelace."""
_MAX_LETTERS_OF_NUMBER: Final = 3
"""The maximum number of letters in an account that counts as a staff number, such as `u123456`."""

_BRACKETS: Final = re.compile(r"[(\[<{]([^()\[\]<>{}]*)[)\]>}]")
_SEPARATOR: Final = re.compile(r"[,;|/&+:\n]|\s[-–—]\s|\s(?:and|und|et|y|e|en)\s", re.IGNORECASE)
_ENTRY_SEPARATOR: Final = re.compile(r"[;|\n]")
_LDAP_ATTRIBUTE: Final = re.compile(r"\b(?:cn|uid|ou|dc|o|c)=", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d+")
_CAPITALIZED: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*\.?")
_TRANSLITERATION: Final = re.compile("(?<=[aou])e")
"""`Müller` is `mueller` in accounts; both spellings are compared as `muller`."""

_TITLE: Final = re.compile("dr|prof|mr|mrs|ms|mx|herr|frau|hr|fr|ing|dipl|phd|md|msc|mba|jr|sr")
_PARTICLE: Final = re.compile("van|von|der|den|de|da|di|du|del|della|dos|la|le|el|al|bin|ibn|ten|ter|zu")
"""The words of a name that are written in lower case."""
_ROLE_WORD: Final = re.compile(
    "head|chief|deputy|vice|senior|junior|lead|leader|officer|director|manager|analyst|engineer|scientist|developer|"
    "specialist|expert|consultant|auditor|president|chair|chairman|partner|member|board|committee|council|team|"
    "department|dept|division|unit|office|group|function|line|desk|bank|branch|region|site|risk|model|models|data|"
    "compliance|legal|privacy|security|quality|validation|review|approval|audit|governance|technology|business|product|"
    "finance|treasury|credit|fraud|operations|ai|ml|it|cro|ceo|cto|cio|ciso|cdo|dpo|vp|svp|evp|md|approver|approved|"
    "reviewer|reviewed|validator|validated|owner|signed|confirmed|behalf|delegate|delegated|acting|external|internal|"
    "independent|release|version|gmbh|ag|inc|ltd|llc|plc|corp|holding|the|of|for|by|on|in"
)
"""A word in the name of a role, a team or a company."""


class _Sameness(IntEnum):
    NONE = 0
    UNCLEAR = 1
    CERTAIN = 2


@dataclass(frozen=True, slots=True)
class _Spelling:
    words: tuple[str, ...]
    number: str | None
    """The account, if it is a staff number, which cannot be compared with a name."""


@dataclass(frozen=True, slots=True)
class _Person:
    spellings: tuple[_Spelling, ...]
    has_full_name: bool
    """Whether the text certainly names one person, and not a role, a team or only a part of a name."""

    def trust(self, spelling: _Spelling) -> _Sameness:
        """Return how certainly a spelling belongs to this person: a name in brackets may be somebody else."""
        return _Sameness.CERTAIN if spelling == self.spellings[0] or not self.has_full_name else _Sameness.UNCLEAR


@dataclass(frozen=True, slots=True)
class SamePerson:
    """The fields that name the same person as an attestation does."""

    certain: tuple[str, ...]
    """The fields that certainly name the same people: each person in the attestation is in one of these fields."""
    unclear: tuple[str, ...]
    """The fields that may name the same people."""


def same_person_fields(texts: Mapping[str, str]) -> dict[str, SamePerson]:
    """Return, for each field of an attestation, the other fields that name the same person, or may do so.

    Args:
        texts: the values of the fields that name people, without missing ones.

    If several people attest, one person who is somebody else is enough. The text must certainly name a person, and this
    person must not be in a field that names developers. `Ada Lovelace, Bob Stone` includes somebody else than the owner
    Ada; `Ada Lovelace, Head of Risk` may be only Ada. Each other attestation is compared separately, by the same rule.
    """
    if texts.keys().isdisjoint(ATTESTING_FIELDS):
        return {}
    people = {field: people_in(texts[field][:_MAX_TEXT_LENGTH]) for field in PEOPLE_FIELDS if field in texts}
    return {field: _compared(field, people) for field in ATTESTING_FIELDS if field in people}


def _compared(field: str, people: Mapping[str, Sequence[_Person]]) -> SamePerson:
    certain: list[str] = []
    unclear: list[str] = []
    for group in (DEVELOPING_FIELDS, *((other,) for other in ATTESTING_FIELDS if other != field)):
        named = {member: people[member] for member in group if member in people}
        # For each person, how certainly each field of the group names the same person.
        found = [{member: _sameness_to_any(person, named[member]) for member in named} for person in people[field]]
        best = [max(of_person.values(), default=_Sameness.NONE) for of_person in found]
        is_somebody_else = any(
            person.has_full_name and sameness is _Sameness.NONE
            for person, sameness in zip(people[field], best, strict=True)
        )
        if is_somebody_else:
            continue
        are_all_certain = all(sameness is _Sameness.CERTAIN for sameness in best)
        for member in named:
            sameness = max((of_person[member] for of_person in found), default=_Sameness.NONE)
            if sameness is not _Sameness.NONE:
                (certain if are_all_certain and sameness is _Sameness.CERTAIN else unclear).append(member)
    return SamePerson(tuple(certain), tuple(unclear))


def _sameness_to_any(person: _Person, others: Iterable[_Person]) -> _Sameness:
    return max((_sameness(person, other) for other in others), default=_Sameness.NONE)


@lru_cache(maxsize=4096)
def people_in(text: str) -> tuple[_Person, ...]:
    """Return the people that a text names.

    A name in brackets is another spelling of the name before them, unless it is a list of people.
    """
    undated = _LDAP_ATTRIBUTE.sub(" ", strip_dates(text))
    members: list[str] = []

    def without_members(bracket: re.Match[str]) -> str:
        if _is_list_of_people(bracket[1]):
            members.append(bracket[1])
            return " "
        return _SEPARATOR.sub(" ", bracket[0])

    entries = _ENTRY_SEPARATOR.split(_BRACKETS.sub(without_members, undated))
    lists = [*(map(_without_comma, entries) if len(entries) > 1 else entries), *members]
    people = (_person(part) for names in lists for part in _SEPARATOR.split(names))
    return tuple(dict.fromkeys(filter(None, people)))[:_MAX_PEOPLE]


def _is_list_of_people(text: str) -> bool:
    """Return whether a text consists of full names, such as the list of a committee's members."""
    names = _SEPARATOR.split(text)
    return len(names) > 1 and all(_is_full_name(name.strip()) for name in names)


def _without_comma(entry: str) -> str:
    """Return an entry such as `Stone, Bob` as `Bob Stone`."""
    surname, comma, given_name = (part.strip() for part in entry.partition(","))
    name = f"{given_name} {surname}"
    return name if comma and _is_full_name(name) else entry


def _person(text: str) -> _Person | None:
    name = _BRACKETS.sub(" ", text).strip()
    spellings = tuple(filter(None, map(_spelling, (name, *_BRACKETS.findall(text)))))
    return _Person(spellings, _is_full_name(name)) if spellings else None


def _spelling(text: str) -> _Spelling | None:
    without_domain = text.rsplit("\\", 1)[-1]
    account = next((part for part in (without_domain.split("@", 1)[0], without_domain) if fold(part)), text)
    folded = fold(account)
    letters = sum(map(str.isalpha, folded))
    digits = len(folded) - letters
    words = tuple(
        _TRANSLITERATION.sub("", word)
        for word in (_DIGITS.sub("", word) for word in split_words(account))
        if word and not _TITLE.fullmatch(word)
    )
    if digits and (letters <= _MAX_LETTERS_OF_NUMBER or digits > letters):
        return _Spelling((), folded)
    return _Spelling(words, None) if words else None


def _is_full_name(text: str) -> bool:
    """Return whether a text is a full name, or an address that contains one: `Ada Lovelace`, `ada.lovelace@…`."""
    if "@" in text:
        words = split_words(text.split("@", 1)[0])
        return len(words) > 1 and all(word.isalpha() and not _ROLE_WORD.fullmatch(word) for word in words)
    written = text.split()
    named = [word for word in written if len(fold(word)) > 1]
    return (
        len(named) > 1
        and len(written) <= _MAX_WORDS
        and all(_PARTICLE.fullmatch(word) or (_CAPITALIZED.fullmatch(word) and word[0].isupper()) for word in written)
        and not any(_ROLE_WORD.fullmatch(word) for word in split_words(text))
    )


@lru_cache(maxsize=8192)
def _sameness(person: _Person, other: _Person) -> _Sameness:
    numbers = {spelling.number for spelling in person.spellings if spelling.number}
    other_numbers = {spelling.number for spelling in other.spellings if spelling.number}
    if numbers & other_numbers:
        return _Sameness.CERTAIN
    found = max(
        (
            min(
                _sameness_of_names(spelling.words, other_spelling.words),
                person.trust(spelling),
                other.trust(other_spelling),
            )
            for spelling in person.spellings
            for other_spelling in other.spellings
            if spelling.words and other_spelling.words
        ),
        default=_Sameness.NONE,
    )
    # A staff number may belong to anybody who has no other number.
    return max(found, _Sameness.UNCLEAR) if bool(numbers) != bool(other_numbers) else found


def _may_be_a_typo(name: str, other: str) -> bool:
    from rapidfuzz.distance import OSA  # loads forty modules, which a sync without new records does not need

    return OSA.distance(name, other) <= 1


def _sameness_of_names(name: tuple[str, ...], other: tuple[str, ...]) -> _Sameness:
    joined, other_joined = "".join(name), "".join(other)
    if joined == other_joined:
        return _Sameness.CERTAIN
    if set(name) <= set(other) or set(other) <= set(name):
        return _Sameness.CERTAIN if min(len(name), len(other)) > 1 else _Sameness.UNCLEAR
    if min(len(joined), len(other_joined)) >= _MIN_LENGTH_WITH_TYPO and _may_be_a_typo(joined, other_joined):
        return _Sameness.UNCLEAR
    shared = {word for word in set(name) & set(other) if len(word) > 1}
    if shared:
        rest, other_rest = ([word for word in words if word not in shared] for words in (name, other))
        return _Sameness.CERTAIN if _are_compatible(rest, other_rest) else _Sameness.NONE
    return max(_sameness_of_account(account, words) for account, words in ((joined, other), (other_joined, name)))


def _are_compatible(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether each word of the shorter list begins a word of the longer list, or vice versa: `A.`, `Alex`."""
    shorter, longer = sorted((names, others), key=len)
    return all(any(word.startswith(other) or other.startswith(word) for other in longer) for word in shorter)


def _sameness_of_account(account: str, words: Sequence[str]) -> _Sameness:
    """Return whether an account consists of beginnings of a name's words: `alovelace`, `adal`, less certainly `al`."""
    found = _Sameness.NONE
    for order in permutations(words[:_MAX_WORDS]):
        for lengths in _segmentations(account, order):
            if len(lengths) > 1 and any(map(_is_whole, lengths, order)):
                return _Sameness.CERTAIN
            if len(lengths) > 1 and (max(lengths) >= _MIN_ABBREVIATION or max(lengths) == 1):
                found = _Sameness.UNCLEAR
    return found


def _is_whole(length: int, word: str) -> bool:
    return length == len(word)


def _segmentations(account: str, words: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Yield how many letters of each of the first words make up the account."""
    if not account:
        yield ()
        return
    if not words:
        return
    longest = next((length for length in range(len(words[0]), 0, -1) if account.startswith(words[0][:length])), 0)
    for length in range(longest, 0, -1):
        for rest in _segmentations(account[length:], words[1:]):
            yield (length, *rest)
