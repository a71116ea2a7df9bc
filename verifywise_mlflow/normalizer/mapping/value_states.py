"""Value states: texts that hold no value, such as `TBD`, `rejected by Ada`, `failed` and the account `root`.

A text is matched as a whole, without dates, so the owners `None of the above Ltd` and `test-automation` are values. The
head of a text, which is the part before a bracket or a punctuation mark, is also matched: `n/a (see wiki)`. Longer
forms, such as `rejected *`, are globs in value_states.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from verifywise_mlflow.common.globs import GlobTable, compile_globs
from verifywise_mlflow.normalizer.mapping.dates import strip_dates
from verifywise_mlflow.normalizer.mapping.key_folding import fold, split_words
from verifywise_mlflow.normalizer.origin import ValueState
from verifywise_mlflow.normalizer.record import FIELD_SPECS

ORDINARY: Final = "ordinary"
"""The state by which a mapping makes a text a value although another entry states that the text is not a value."""
ANY_FIELD: Final = "any"
"""The key in a mapping with the entries for all fields whose text may have a state."""

StateEntries = Mapping[str, Sequence[str]]
"""State to its words and globs."""

MAX_TEXT_LENGTH: Final = 200
"""The number of characters of a text that are matched; a tag may have 100,000. A long text states a refusal at its
beginning."""
_LONGEST_AMBIGUOUS_SURNAME = 3
"""The maximum number of letters in a head that counts as a surname if a comma follows: `No, Min-woo`, `Na, Hye-jin`."""

_HEAD = re.compile(
    r"(?P<head>n/a(?=\s)|.*?\S)\s*(?P<mark>[(\[{;,!|\n]|:(?!/)|\s[-–—]+\s|\.\s|(?<=n/a)\s)", re.I | re.DOTALL
)
_TEMPLATE = re.compile(r"<[^<>@]*>|\{\{.*\}\}|\$?\{\w+\}|\$\w+|%\w+%|%\(\w+\)s", re.DOTALL)
"""The syntax of a template that nobody has filled in: `<owner>`, `{{ owner }}`, `${OWNER}`."""
_QUESTION = re.compile(r"\?(?=[\s)\]}!.,;:]|$)")
"""A question mark at the end of a word. A question mark within a word belongs to the word, as in an address with a
query."""
_PARTS = re.compile(r"\s+(?:[/,;|]\s+)?|(?<=\w{2})/(?=\w{2})")
_FEWEST_PARTS = 2
_STATES_OF_PARTS = frozenset(ValueState) - {ValueState.GENERIC}
_FEWEST_LETTERS_OF_WORD = 2
"""The minimum number of letters in a word. After dates are removed, identifiers such as `F-2026-03` and `2026.1` have
fewer letters."""
_GLOB = re.compile(r"[*?]")


class ValueStateReader:
    """Recognizes the texts that are not values of one field."""

    def __init__(self, field: str, general: StateEntries, own: StateEntries) -> None:
        """Store the entries of a mapping for all fields and for this field. The latter take precedence."""
        spec = FIELD_SPECS[field]
        self._names_people = spec.names_people
        self._may_be_doubted = bool(spec.names_people or spec.is_attestation or spec.normal_forms)
        self._may_carry_date = spec.may_carry_date
        self._may_be_date_alone = spec.is_date or spec.may_be_identifier
        self._words = {fold(word): state for entries in (general, own) for state, word in _words(entries)}
        # Separators matter in the name of an account: `Jan Bot` is a person, `release-bot` is a machine.
        self._accounts = compile_globs(
            glob.casefold() for entries in (general, own) for glob in _globs(entries, {ValueState.GENERIC})
        )
        self._ordinary = GlobTable({ORDINARY: [*_globs(own, {ORDINARY}), *_globs(general, {ORDINARY})]})
        others = set(ValueState) - {ValueState.GENERIC}
        self._own_globs, self._general_globs = (
            GlobTable({state: _globs(entries, {state}) for state in others}) for entries in (own, general)
        )

    def is_doubted(self, text: str) -> bool:
        """Return whether a word of the text ends in a question mark that expresses a doubt, as in `completed?`."""
        return self._may_be_doubted and len(text) <= MAX_TEXT_LENGTH and _QUESTION.search(text) is not None

    def read(self, text: str) -> ValueState | None:
        """Return why a text is not a value; None if it is a value."""
        is_whole = len(text) <= MAX_TEXT_LENGTH
        text = text[:MAX_TEXT_LENGTH].strip()
        undated = strip_dates(text).strip() if self._may_carry_date else text
        if self._may_be_date_alone and sum(map(str.isalpha, undated)) < _FEWEST_LETTERS_OF_WORD:
            undated = text
        words = split_words(undated)
        undated_folded = "".join(words)
        folded = undated_folded if undated == text else fold(text)
        found = self._words.get(folded) or self._words.get(undated_folded)
        is_filler = is_whole and _is_repetition(folded)
        if found is None and (not undated_folded or _TEMPLATE.fullmatch(text) or is_filler):
            return ValueState.PLACEHOLDER
        found = (
            found
            or self._ordinary.match(words)
            or self._own_globs.match(words)
            or self._general_globs.match(words)
            or self._state_of_head(undated)
            or self._state_of_each_part(undated)
        )
        if found is None and self._accounts.match(text.casefold()):
            return ValueState.GENERIC
        return None if found in (None, ORDINARY) else ValueState(found)

    def _state_of_head(self, text: str) -> str | None:
        match = _HEAD.match(text)
        if match is None:
            return None
        head = fold(match["head"])
        if self._names_people and match["mark"] in (",", ". ") and len(head) <= _LONGEST_AMBIGUOUS_SURNAME:
            return None
        # `root (Ada Lovelace)` names somebody.
        state = self._words.get(head)
        return None if state == ValueState.GENERIC else state

    def _state_of_each_part(self, text: str) -> str | None:
        """Return the state of a text such as `none / none` or `TBD TBC`, if no part of the text is a value."""
        first = fold(_PARTS.split(text, maxsplit=1)[0])
        if first and self._words.get(first) not in _STATES_OF_PARTS:
            return None  # this is the case for most texts
        states: list[str] = []
        for part in _PARTS.split(text):
            if folded := fold(part):
                state = self._words.get(folded)
                if state not in _STATES_OF_PARTS:
                    return None
                states.append(state)
        return states[0] if len(states) >= _FEWEST_PARTS else None


def _is_repetition(folded: str) -> bool:
    """Return whether a text repeats one character, as in `aaaa`. `AA` is not counted: it may be an abbreviation."""
    return len(folded) > 2 and folded.count(folded[0]) == len(folded)


def _words(entries: StateEntries) -> list[tuple[str, str]]:
    return [(state, text) for state, texts in entries.items() for text in texts if not _GLOB.search(text)]


def _globs(entries: StateEntries, states: Collection[str]) -> list[str]:
    return [text for state, texts in entries.items() if state in states for text in texts if _GLOB.search(text)]
