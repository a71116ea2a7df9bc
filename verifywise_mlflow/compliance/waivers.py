"""Waivers: gaps that a named person accepts, for a reason and until a date.

A waiver is shown next to a verdict and never replaces it: the rule still fails, the badge does not change, and the
approver is shown with both. A waiver is valid through its day of expiry, UTC; after that, the gap is open again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from verifywise_mlflow.common.globs import compile_globs
from verifywise_mlflow.common.validation_errors import correction_for, field_path
from verifywise_mlflow.compliance.yaml_source import YamlSource, YamlSourceError, read_yaml_source


def _has_visible_text(text: str) -> str:
    """Reject text that consists of spaces, control characters and zero-width characters: it names nobody."""
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise ValueError("the text has no visible character: write a name or a sentence")
    return text


def _day(value: object) -> object:
    """Reject numbers and timestamps, which pydantic would accept as dates: 20260630 would be a day in 1970."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        day = None
    if type(day) is not date:  # a datetime is a date as well
        raise ValueError(f"{str(value)!r} is not a date: write it like 2026-12-31")
    if day == date.max:
        raise ValueError("this is the last day of the calendar: write an earlier date")
    return day


_Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True), AfterValidator(_has_visible_text)
]
_MAX_VERSION_NUMBER = 2**31 - 1
"""The largest version number that MLflow and our tables can store."""
_EXPECTED = "write one key 'waivers' at the top level, with a list; without any waiver, write waivers: []"


class WaiversError(ValueError):
    """The file is not a valid waivers file. The message has one line per error: file, line, waiver, field."""


class Waiver(BaseModel):
    """An accepted gap: which one, by whom, why and until when."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    rule: _Sentence
    """The id of a rule. A waiver is for one rule: gaps must be accepted rule by rule."""
    model: _Sentence
    """A registered model's name, in which ``*`` matches any characters and ``?`` matches one."""
    version: int | None = Field(default=None, ge=1, le=_MAX_VERSION_NUMBER, strict=True)
    """Null: all versions, including future ones."""
    approver: _Sentence
    reason: _Sentence
    expires: Annotated[date, BeforeValidator(_day)]
    """The last day on which it is valid, UTC."""

    def covers(self, rule_id: str, model_name: str, version_number: int) -> bool:
        """Return whether it covers a rule's verdict on a version."""
        if rule_id != self.rule or self.version not in (None, version_number):
            return False
        return self._pattern.fullmatch(model_name) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # The expression from fnmatch never backtracks over what a * has matched, so no pattern is slow on any name.
        return compile_globs([self.model.replace("[", "[[]")])

    @property
    def is_pattern(self) -> bool:
        """Whether it may cover several models, and models that do not exist yet."""
        return any(wildcard in self.model for wildcard in "*?")

    @property
    def ends_at(self) -> datetime:
        """The time from which it is no longer valid."""
        return datetime.combine(self.expires + timedelta(days=1), time(), UTC)

    @property
    def sentence(self) -> str:
        """Who accepted the gap, until when and why."""
        return f"accepted by {self.approver} through {self.expires.isoformat()}: {self.reason}"

    @property
    def about(self) -> str:
        """The rule, model and version that it covers."""
        return f"{self.rule} on {self.model}" + (f" version {self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class WaiverChanges:
    """The changes that make the stored waivers match a file."""

    granted: tuple[Waiver, ...]
    withdrawn: tuple[Waiver, ...]
    """Stored waivers that the file no longer contains."""


def waiver_changes(stored: Iterable[Waiver], declared: Iterable[Waiver], today: date) -> WaiverChanges:
    """Return what a file changes. A waiver that expired before it was first read is not granted."""
    before, after = dict.fromkeys(stored), dict.fromkeys(declared)
    return WaiverChanges(
        granted=tuple(waiver for waiver in after if waiver not in before and waiver.expires >= today),
        withdrawn=tuple(waiver for waiver in before if waiver not in after and waiver.expires >= today),
    )


class _WaiverEntry(Waiver):
    tenant: _Sentence | None = None


def load_waivers(path: Path, tenant_id: str, *, is_own: bool) -> dict[Waiver, str]:
    """Return a tenant's waivers from a YAML file with one key ``waivers``; each maps to its place: file, line, number.

    An empty file is rejected: it may be half written, and would withdraw all waivers.

    Args:
        path: the file.
        tenant_id: the tenant.
        is_own: whether the file belongs to this tenant alone; in a shared file, each waiver names its ``tenant``.

    Raises:
        WaiversError: the file is missing, is not YAML, or contains an invalid waiver, of this tenant or another one.
    """
    try:
        source = read_yaml_source(path, expected=_EXPECTED)
    except YamlSourceError as error:
        raise WaiversError(str(error)) from error
    except RecursionError as error:
        raise WaiversError(f"{path}: is nested too deeply: write it flatter") from error
    entries = source.document.get("waivers")
    if set(source.document) != {"waivers"} or not isinstance(entries, list):
        raise WaiversError(f"{path}: {_EXPECTED}")
    waivers: dict[Waiver, str] = {}
    errors: list[str] = []
    for index, raw in enumerate(entries):
        try:
            entry = _WaiverEntry.model_validate(raw)
        except ValidationError as error:
            errors += _entry_errors(error, source, index)
            continue
        location = f"{path}:{source.line_of(('waivers', index))}: waiver {index + 1}"
        if entry.tenant is None and not is_own:
            errors.append(f"{location}: tenant: this file is for all tenants: name the tenant of the waiver")
        elif entry.tenant not in (None, tenant_id):
            if is_own:
                errors.append(
                    f"{location}: tenant: this file is for tenant {tenant_id!r} only, and the waiver names "
                    f"{entry.tenant!r}: move it to another file"
                )
        else:
            waiver = Waiver.model_validate(entry.model_dump(exclude={"tenant"}))
            if waiver in waivers:
                errors.append(f"{location}: the same waiver occurs twice: remove one")
            waivers[waiver] = location
    if errors:
        raise WaiversError("\n".join(errors))
    return waivers


def _entry_errors(error: ValidationError, source: YamlSource, index: int) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        line = source.line_of(("waivers", index, *detail["loc"]))
        yield f"{source.path}:{line}: waiver {index + 1}: {waiver_error(detail)}"


def waiver_error(detail: ErrorDetails) -> str:
    """Return what is wrong with a field of a waiver, as a sentence."""
    return f"{field_path(detail['loc']) or 'the waiver'}: {correction_for(detail['type'], detail['msg'])}"
