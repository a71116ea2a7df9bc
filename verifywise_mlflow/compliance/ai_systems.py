"""What a tenant declares about its AI systems: purpose, risk category, role, owner, reviews, documents.

Under the EU AI Act these belong to a system and its intended purpose, not to a model version, and MLflow knows no
systems. A declaration has an author and a date, and is always shown as declared: it is not evidence, and no verdict
depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from verifywise_mlflow.common.globs import compile_name_patterns
from verifywise_mlflow.compliance.entry_file import EntryFile, has_visible_text, stated_day
from verifywise_mlflow.compliance.frameworks import FrameworkName
from verifywise_mlflow.compliance.yaml_source import YamlSourceError
from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.normalizer.record import NORMAL_FORMS

MAX_NAME_CHARACTERS: Final = 120
"""The maximum length of a name, in characters. A longer text in a tag is a description."""

_CORRECTIONS: Final[Mapping[str, str]] = {
    "string_type": "write a text; YAML reads true, 3 and 2026-01-01 as other types unless they are quoted",
    "tuple_type": "write a list, each entry after a hyphen",
    "model_type": "write the fields here, each with its value after a colon",
}


class AiSystemsError(ValueError):
    """The file is not a valid file of AI systems. The message has one line per error: file, line, system, field."""


def _has_a_letter_or_digit(name: str) -> str:
    if not fold(name):
        raise ValueError("the name has no letter or digit to compare with a tag: write one that has")
    return name


def _is_single_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the text has a line break or another character that is not shown: write it on one line")
    return text


def _risk_category(value: str) -> str:
    forms = NORMAL_FORMS["risk_category"]
    if value not in forms:
        raise ValueError(f"{value!r} is not a risk category: write {', '.join(forms[:-1])} or {forms[-1]}")
    return value


_Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=4_000, strip_whitespace=True), AfterValidator(has_visible_text)
]
_Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500, strip_whitespace=True),
    AfterValidator(has_visible_text),
    AfterValidator(_is_single_line),
]
SystemName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, strip_whitespace=True),
    AfterValidator(_is_single_line),
    AfterValidator(_has_a_letter_or_digit),
]
_Day = Annotated[date, BeforeValidator(stated_day)]
Role = Literal["provider", "deployer", "importer", "distributor"]


class _Section(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class DocumentClauses(_Section):
    """The clauses of a framework that a document is about."""

    framework: FrameworkName
    clauses: tuple[_Line, ...] = Field(min_length=1, max_length=200)


class DeclaredDocument(_Section):
    """A document about the system, stored elsewhere. The declaration names the document; it is never opened."""

    title: _Line
    location: _Line
    """An address, a path or a file number by which people find the document."""
    version: _Line | None = None
    dated: _Day | None = None
    covers: tuple[DocumentClauses, ...] = ()


class RiskDecision(_Section):
    """The risk category that people decided on."""

    category: Annotated[str, AfterValidator(_risk_category)]
    basis: _Sentence | None = None
    """The reason for the category, such as the point of Annex III."""
    decided_by: _Line | None = None
    decided_on: _Day | None = None


class DeclaredSystem(_Section):
    """What one person declares about one AI system."""

    name: SystemName
    models: tuple[_Line, ...] = Field(default=(), max_length=1_000)
    """Names of registered models, in which ``*`` matches any characters and ``?`` matches one."""
    purpose: _Sentence | None = None
    """The approved intended purpose."""
    risk: RiskDecision | None = None
    roles: tuple[Role, ...] = ()
    """The roles that the organization has for this system."""
    provider: _Line | None = None
    """The organization that develops the system or commissions its development."""
    owner: _Line | None = None
    affected_persons: _Sentence | None = None
    last_review: _Day | None = None
    next_review: _Day | None = None
    documents: tuple[DeclaredDocument, ...] = Field(default=(), max_length=200)
    declared_by: _Line
    """The name of the person who makes this declaration."""
    declared_on: _Day

    @model_validator(mode="after")
    def _has_dates_in_order(self) -> DeclaredSystem:
        if self.last_review and self.next_review and self.next_review <= self.last_review:
            raise ValueError("next_review is not after last_review: correct one of them")
        return self

    def has_name(self, text: str) -> bool:
        """Return whether a text, such as a tag's value, is the system's name, regardless of case and separators."""
        return fold(text) == fold(self.name)

    def includes(self, model_name: str) -> bool:
        """Return whether the declaration names a model."""
        return self._patterns.fullmatch(model_name) is not None

    def patterns_without_model(self, model_names: Iterable[str]) -> list[str]:
        """Return the declared names and patterns that match no model."""
        names = list(model_names)
        return [pattern for pattern in self.models if not any(map(compile_name_patterns([pattern]).fullmatch, names))]

    @cached_property
    def _patterns(self) -> re.Pattern[str]:
        return compile_name_patterns(self.models)

    def is_review_overdue(self, today: date) -> bool:
        """Return whether the day of the next review has passed."""
        return self.next_review is not None and self.next_review < today

    @property
    def attribution(self) -> str:
        """Who declared the system, and when."""
        return f"declared by {self.declared_by} on {self.declared_on.isoformat()}"


class _Entry(DeclaredSystem):
    tenant: _Line | None = None


_FILE: Final = EntryFile("ai_systems", "system", _Entry.model_validate, lambda raw: raw.get("name"), _CORRECTIONS)


def load_ai_systems(path: Path, tenant_id: str, *, is_own: bool) -> tuple[DeclaredSystem, ...]:
    """Return what a tenant declares, from a YAML file with one key ``ai_systems``.

    An empty file is rejected: it may be half written, and it would withdraw all declarations.

    Args:
        path: the file.
        tenant_id: the tenant.
        is_own: whether the file belongs to this tenant alone; in a shared file, each system names its ``tenant``.

    Raises:
        AiSystemsError: the file is missing, is not YAML, or contains an invalid system, of this tenant or of another
            tenant.
    """
    try:
        found = _FILE.read(path, tenant_id, is_own=is_own)
    except YamlSourceError as error:
        raise AiSystemsError(str(error)) from error
    systems: dict[str, DeclaredSystem] = {}
    for located in found.entries:
        system = DeclaredSystem.model_validate(located.entry.model_dump(exclude={"tenant"}))
        if systems.setdefault(fold(system.name), system) is not system:
            found.errors.append(f"{located.location}: the system is declared twice: join both entries")
    if found.errors:
        raise AiSystemsError("\n".join(found.errors))
    return tuple(systems.values())


def declarations_document(systems: Iterable[DeclaredSystem]) -> dict[str, object]:
    """Return the document that is stored: the declarations by name, in the order of the file."""
    return {
        "systems": {
            system.name: {"position": position, **system.model_dump(mode="json", exclude_defaults=True)}
            for position, system in enumerate(systems)
        }
    }


def stored_declarations(document: Mapping[str, object]) -> tuple[DeclaredSystem, ...]:
    """Return the declarations of a stored document, in the order of their file.

    Raises:
        ValidationError: another release stored the document in a form that this release cannot read.
    """
    return _StoredDocument.model_validate(document).declarations()


class _StoredSystem(DeclaredSystem):
    position: int


class _StoredDocument(_Section):
    systems: Mapping[str, _StoredSystem] = Field(default_factory=dict)

    def declarations(self) -> tuple[DeclaredSystem, ...]:
        in_order = sorted(self.systems.values(), key=lambda system: system.position)
        return tuple(DeclaredSystem.model_validate(system.model_dump(exclude={"position"})) for system in in_order)
