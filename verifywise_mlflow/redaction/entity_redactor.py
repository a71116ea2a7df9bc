"""Redacts every text field of the objects that were read. All texts of a customer pass through this module.

A field is redacted unless ``exempt_fields.py`` lists it, so a new field is redacted from its first day. An object with
nothing to redact is returned as the same object. The object records the kind and place of each redaction, never the
value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from verifywise_mlflow.common.globs import matches_any
from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.connector.models import Redaction
from verifywise_mlflow.normalizer.mapping.key_folding import is_system_key
from verifywise_mlflow.redaction.exempt_fields import EXEMPT_FIELDS, FIELD_NAMES
from verifywise_mlflow.redaction.settings import KeyFilter, RedactionSettings
from verifywise_mlflow.redaction.text_redactor import CACHE_SIZE, Redacted, ScanScope, TextRedactor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KeyedPlace = Literal["tag", "param", "metric"]
E = TypeVar("E", bound="DataclassInstance")
V = TypeVar("V", str, float)

_KEYLESS: Final = "text"
"""The key that is used for redacting texts without a key, such as messages and keys themselves."""
_KEYED_PLACES: Final[Mapping[str, KeyedPlace]] = {"tags": "tag", "params": "param", "metrics": "metric"}


@dataclass(frozen=True, slots=True)
class _KeyDecision:
    """How a key and its values are treated."""

    is_stored: bool
    redacted_key: Redacted | None
    """Set if the key itself must be redacted."""
    scope: ScanScope


@dataclass(slots=True)
class _RedactionLog:
    """The redactions in one object so far."""

    redactions: list[Redaction] = field(default_factory=list)

    def add(self, place: str, key: str | None, redacted: Redacted) -> str:
        """Record a redaction and return the redacted text."""
        counts = Counter((span.category, span.kind) for span in redacted.spans)
        self.redactions += (Redaction(place, key, category, kind, count) for (category, kind), count in counts.items())
        return redacted.text

    def add_dropped_keys(self, place: KeyedPlace, count: int) -> None:
        """Record the number of keys that the tenant's settings exclude."""
        if count:
            self.redactions.append(Redaction(place, None, "not kept", "denied", count))


@cache
def _redacted_fields(kind: type[DataclassInstance]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a type that are redacted, each with the name of its place."""
    names = (f"{kind.__name__}.{item.name}" for item in fields(kind))
    return tuple(
        (name.partition(".")[2], FIELD_NAMES.get(name, name.partition(".")[2]))
        for name in names
        if name not in EXEMPT_FIELDS
    )


class EntityRedactor:
    """Redacts objects according to the settings of one tenant."""

    def __init__(self, settings: RedactionSettings) -> None:
        self._filters: Mapping[KeyedPlace, KeyFilter] = {
            "tag": settings.tags,
            "param": settings.params,
            "metric": settings.metrics,
        }
        self._redactor = TextRedactor(settings)
        self._decisions: dict[tuple[KeyedPlace, str], _KeyDecision] = {}

    def redact(self, entity: E) -> E:
        """Return a redacted object: an object of MLflow, an artifact manifest, or a server's information about itself.

        Secrets are replaced within a text, so a source still leads to the same location. The redactions of an object
        without a field for them, such as an experiment, are not recorded: only the placeholder shows them.
        """
        log = _RedactionLog()
        redacted = self._object(log, entity)
        if log.redactions and hasattr(redacted, "redactions"):
            return cast("E", replace(cast("Any", redacted), redactions=tuple(log.redactions)))
        return redacted

    def message(self, text: str) -> str:
        """Return a redacted message, which may quote a server."""
        return self._text(_RedactionLog(), _KEYLESS, text)

    def _object(self, log: _RedactionLog, entity: E) -> E:
        changes: dict[str, object] = {}
        for name, place in _redacted_fields(type(entity)):
            value = getattr(entity, name)
            redacted = self._value(log, name, place, value)
            if redacted is not value:
                changes[name] = redacted
        return cast("E", replace(cast("Any", entity), **changes)) if changes else entity

    def _value(self, log: _RedactionLog, name: str, place: str, value: object) -> object:
        """Return a redacted value; the same value if there is nothing to redact."""
        kind = type(value)
        if kind is str:
            return self._text(log, place, cast("str", value))
        if isinstance(value, Mapping):
            return self._mapping(log, name, place, value)
        if kind is tuple or kind is list:
            items = cast("tuple[object, ...]", value)
            redacted = [self._value(log, name, place, item) for item in items]
            is_same = all(new is old for new, old in zip(redacted, items, strict=True))
            return value if is_same else kind(redacted)
        if isinstance(value, Problems):
            redacted_problems = value.map(lambda problem: self._text(log, place, problem))
            return value if redacted_problems == value else redacted_problems
        if is_dataclass(value) and not isinstance(value, type):
            return self._object(log, value)
        return value  # a number, a time, or one of our enumerations

    def _mapping(self, log: _RedactionLog, name: str, place: str, value: Mapping[Any, Any]) -> Mapping[Any, object]:
        keyed_place = _KEYED_PLACES.get(name)
        if keyed_place == "metric":
            return self._numbers(log, value)
        if keyed_place:
            return self._texts(log, keyed_place, value)
        redacted = {
            self._value(log, name, place, key): self._value(log, name, place, item) for key, item in value.items()
        }
        return value if redacted == value else redacted

    def _text(self, log: _RedactionLog, place: str, text: str) -> str:
        redacted = self._redactor.redact(self._redactor.scope(place), text)
        return text if redacted is None else log.add(place, None, redacted)

    def _texts(self, log: _RedactionLog, place: KeyedPlace, texts: Mapping[str, str]) -> Mapping[str, str]:
        result: dict[str, str] = {}
        redact, count_before, dropped = self._redactor.redact, len(log.redactions), 0
        for key, text in texts.items():
            decision = self._decisions.get((place, key)) or self._decide(place, key)
            if not decision.is_stored:
                dropped += 1
                continue
            redacted_key = decision.redacted_key
            result_key = key if redacted_key is None else self._unique_key(log, place, redacted_key, result)
            redacted = redact(decision.scope, text)
            result[result_key] = text if redacted is None else log.add(place, result_key, redacted)
        log.add_dropped_keys(place, dropped)
        return result if len(log.redactions) > count_before else texts

    def _numbers(self, log: _RedactionLog, metrics: Mapping[str, float]) -> Mapping[str, float]:
        result: dict[str, float] = {}
        count_before, dropped = len(log.redactions), 0
        for key, number in metrics.items():
            decision = self._decisions.get(("metric", key)) or self._decide("metric", key)
            if not decision.is_stored:
                dropped += 1
                continue
            redacted_key = decision.redacted_key
            result_key = key if redacted_key is None else self._unique_key(log, "metric", redacted_key, result)
            result[result_key] = number
        log.add_dropped_keys("metric", dropped)
        return result if len(log.redactions) > count_before else metrics

    def _unique_key(self, log: _RedactionLog, place: KeyedPlace, redacted: Redacted, existing: Mapping[str, V]) -> str:
        """Return a redacted key, numbered if it is taken: several keys may have the same redacted form."""
        key, number = redacted.text, 1
        while key in existing:
            number += 1
            key = f"{redacted.text} {number}"
        log.add(place, key, redacted)
        return key

    def _decide(self, place: KeyedPlace, key: str) -> _KeyDecision:
        key_filter = self._filters[place]
        is_allowed = key_filter.allow is None or is_system_key(key) or matches_any(key_filter.allow, key)
        decision = _KeyDecision(
            is_stored=is_allowed and not matches_any(key_filter.deny, key),
            redacted_key=self._redactor.redact(self._redactor.scope(_KEYLESS), key),
            scope=self._redactor.scope(key),
        )
        if len(self._decisions) >= CACHE_SIZE:
            self._decisions.clear()  # a server may use new keys in every run
        self._decisions[place, key] = decision
        return decision
