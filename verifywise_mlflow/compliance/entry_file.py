"""A YAML file with one list of entries that people write, such as waivers or AI systems. Tenants may share a file.

In a shared file, each entry names its tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from verifywise_mlflow.common.validation_errors import correction_for, field_path
from verifywise_mlflow.compliance.yaml_source import YamlSource, YamlSourceError, read_yaml_source


class _TenantEntry(Protocol):
    @property
    def tenant(self) -> str | None:
        """The tenant that the entry names."""


Entry = TypeVar("Entry", bound=_TenantEntry)


@dataclass(frozen=True, slots=True)
class LocatedEntry(Generic[Entry]):
    """An entry with its place for error messages: file, line, and name or number."""

    entry: Entry
    location: str


@dataclass(slots=True)
class TenantEntries(Generic[Entry]):
    """The entries of one tenant, and the errors in the whole file, which concern all tenants that share it."""

    entries: list[LocatedEntry[Entry]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """One line each: file, line, entry, field and correction."""


@dataclass(frozen=True, slots=True)
class EntryFile(Generic[Entry]):
    """The format of one kind of entry file."""

    key: str
    """The only key at the top level of the file."""
    noun: str
    """What an entry is, for error messages."""
    validate: Callable[[object], Entry]
    name_of: Callable[[Mapping[object, object]], object] = lambda _: None
    """Returns an entry's name as the file has it. Without a name, messages state the entry's number."""
    corrections: Mapping[str, str] = field(default_factory=dict)
    """Corrections specific to this kind of file, by pydantic's type of error."""

    def read(self, path: Path, tenant_id: str, *, is_own: bool) -> TenantEntries[Entry]:
        """Return the entries of a tenant.

        An empty file is rejected: it may be half written, and it would withdraw all entries.

        Args:
            path: the file.
            tenant_id: the tenant.
            is_own: whether the file belongs to this tenant alone; in a shared file, each entry names its tenant.

        Raises:
            YamlSourceError: the file is missing, is not YAML, or does not have the one key with a list.
        """
        expected = (
            f"write one key '{self.key}' at the top level, with a list; without any {self.noun}, write {self.key}: []"
        )
        source = read_yaml_source(path, expected=expected)
        raw_entries = source.document.get(self.key)
        if set(source.document) != {self.key} or not isinstance(raw_entries, list):
            raise YamlSourceError(f"{path}: {expected}")
        found = TenantEntries[Entry]()
        for index, raw in enumerate(raw_entries):
            label = self._label(index, raw)
            try:
                entry = self.validate(raw)
            except ValidationError as error:
                found.errors += self._problems(error, source, index, label)
                continue
            location = f"{path}:{source.line_of((self.key, index))}: {label}"
            if entry.tenant is None and not is_own:
                found.errors.append(
                    f"{location}: tenant: this file is for all tenants: name the tenant of the {self.noun}"
                )
            elif entry.tenant in (None, tenant_id):
                found.entries.append(LocatedEntry(entry, location))
            elif is_own:
                found.errors.append(
                    f"{location}: tenant: this file is for tenant {tenant_id!r} only, and the {self.noun} names "
                    f"{entry.tenant!r}: move it to another file"
                )
        return found

    def problem(self, location: tuple[str | int, ...], kind: str, message: str) -> str:
        """Return what is wrong with a field, as a sentence.

        Args:
            location: the place in the entry.
            kind: pydantic's type of error.
            message: pydantic's own text.
        """
        return f"{field_path(location) or f'the {self.noun}'}: {correction_for(kind, message, self.corrections)}"

    def _problems(self, error: ValidationError, source: YamlSource, index: int, label: str) -> Iterator[str]:
        for detail in error.errors(include_url=False):
            line = source.line_of((self.key, index, *detail["loc"]))
            yield f"{source.path}:{line}: {label}: {self.problem(detail['loc'], detail['type'], detail['msg'])}"

    def _label(self, index: int, raw: object) -> str:
        name = self.name_of(raw) if isinstance(raw, Mapping) else None
        return f"{self.noun} {name!r}" if isinstance(name, str) and name else f"{self.noun} {index + 1}"


def has_visible_text(text: str) -> str:
    """Reject text that consists of spaces, control characters and zero-width characters: such text names nobody."""
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise ValueError("the text has no visible character: write a name or a sentence")
    return text


def stated_day(value: object) -> object:
    """Reject numbers and timestamps, which pydantic would accept as dates: 20260630 would be a day in 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        day = None
    if type(day) is not date:  # a datetime is a date as well
        raise ValueError(f"{str(value)!r} is not a date: write it like 2026-12-31")
    return day
