"""A tag mapping made ready for looking things up: built once, asked for every tag of every version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from verifywise_mlflow.common.globs import Globs
from verifywise_mlflow.normalizer.mapping.canonical_values import NORMAL_FORMS, Forms
from verifywise_mlflow.normalizer.mapping.key_folding import fold, spellings, words
from verifywise_mlflow.normalizer.mapping.tag_mapping import Question, TagMapping
from verifywise_mlflow.normalizer.mapping.value_sources import Place

_NUMBER = re.compile(r"v?\d+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a tag key stands for."""

    field: str
    rank: int
    """Its place among the field's keys, or among its questions; 0 is the best."""
    question: Question | None = None
    """Set where the key is answered with yes or no."""


class Vocabulary:
    """What the keys, values and alias names of one tenant stand for."""

    def __init__(self, mapping: TagMapping) -> None:
        self._precedence = dict(mapping.precedence)
        self._namespaces = frozenset(map(fold, mapping.namespaces))
        self._meanings = dict(_meanings(mapping))
        self._key_patterns = Globs(mapping.key_patterns)
        self._last_rank = max(map(len, mapping.synonyms.values()), default=0)
        self.defaults = dict(mapping.defaults)
        self._stages = {fold(alias): stage for stage, aliases in mapping.aliases.items() for alias in aliases}
        self._qualifiers = frozenset(map(fold, mapping.alias_qualifiers))
        self._yes = frozenset(map(fold, mapping.answers.affirmative))
        self._no = frozenset(map(fold, mapping.answers.negative))
        self._forms = {
            field: Forms(
                mapping.values.get(field, {}), mapping.fillers.get(field, ()), mapping.value_patterns.get(field)
            )
            for field in NORMAL_FORMS
        }
        # A tag may tell the stage by the name of the alias; the words for tags go first.
        self._alias_forms = Forms(mapping.aliases, mapping.fillers.get("lifecycle_stage", ()))
        self._evaluation = _evaluation_pattern(mapping)
        # The same keys come again with every version; their number is the server's choice, hence the bound.
        self.meaning = lru_cache(maxsize=8192)(self._meaning)
        self.tells_of_evaluation = lru_cache(maxsize=8192)(self._tells_of_evaluation)

    def places(self, field: str) -> tuple[Place, ...]:
        """Return where to look for a field's value, the best place first."""
        return self._precedence.get(field, ())

    def stage(self, alias: str) -> str | None:
        """Return the lifecycle stage that an alias stands for, ``prod-eu`` and ``champion_v2`` among them."""
        exact = self._stages.get(fold(alias))
        if exact is not None:
            return exact
        plain = [word for word in words(alias) if word not in self._qualifiers and not _NUMBER.fullmatch(word)]
        return self._stages.get("".join(plain))

    def form(self, field: str, value: str) -> str | None:
        """Return a value's normal form; None for an unknown one, and for a field without normal forms."""
        forms = self._forms.get(field)
        if forms is None:
            return None
        form = forms.read(value)
        if form is None and field == "lifecycle_stage":
            return self._alias_forms.read(value)
        return form

    def answer(self, value: str) -> bool | None:
        """Return whether a value says yes or no; None where it says neither."""
        folded = fold(value)
        return True if folded in self._yes else False if folded in self._no else None

    def _meaning(self, key: str) -> Meaning | None:
        for spelling in spellings(key, self._namespaces):
            meaning = self._meanings.get("".join(spelling))
            if meaning is not None:
                return meaning
        for spelling in spellings(key, self._namespaces):
            field = self._key_patterns.match(spelling)
            if field is not None:
                return Meaning(field, self._last_rank)
        return None

    def _tells_of_evaluation(self, key: str) -> bool:
        return any(self._evaluation.match("_".join(spelling)) for spelling in spellings(key, self._namespaces))


@lru_cache(maxsize=64)
def vocabulary(mapping: TagMapping) -> Vocabulary:
    """Return the mapping's vocabulary; the same mapping is not made ready twice."""
    return Vocabulary(mapping)


def _meanings(mapping: TagMapping) -> Iterable[tuple[str, Meaning]]:
    for field, keys in mapping.synonyms.items():
        for rank, key in enumerate(keys):
            yield fold(key), Meaning(field, rank)
    for field, questions in mapping.questions.items():
        # Of two questions that are both answered with yes, the graver answer counts, as NORMAL_FORMS lists them.
        forms = NORMAL_FORMS[field]
        for key, question in questions.items():
            yield fold(key), Meaning(field, forms.index(question.affirmative or forms[-1]), question)


def _evaluation_pattern(mapping: TagMapping) -> re.Pattern[str]:
    metrics = ["_".join(words(metric)) for metric in mapping.metrics]
    globs = [*mapping.evaluation_keys, *(glob for name in metrics for glob in (name, f"{name}_*", f"*_{name}"))]
    return re.compile("|".join(map(translate, globs)) or r"(?!)")
